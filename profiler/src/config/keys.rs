//! The list of all settings that exist.

use super::profiles::{Provider, source_keys};
use super::section::{Key, Section};
use super::sections::{
    Attribution, Capacities, Control, General, History, Intervals, Limits, Log, Memory, Monitoring,
    Shutdown, Sockets, Streaming, Thresholds,
};
use crate::model::Partial;

/// Stands for a name that the user chooses.
pub(super) const ANY_NAME: &str = "*";

/// Every setting, section by section.
#[must_use]
pub fn keys() -> Vec<Key> {
    let sections: [&[Key]; 16] = [
        General::KEYS,
        Sockets::KEYS,
        Limits::KEYS,
        Capacities::KEYS,
        Monitoring::KEYS,
        Attribution::KEYS,
        Thresholds::KEYS,
        Memory::KEYS,
        Streaming::KEYS,
        Intervals::KEYS,
        History::KEYS,
        Log::KEYS,
        Shutdown::KEYS,
        Control::KEYS,
        Provider::KEYS,
        Partial::KEYS,
    ];
    sections.concat().into_iter().chain(source_keys()).collect()
}

/// What may stand at one place of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A setting.
    Setting(Key),
    /// A section with settings or sections in it.
    Section,
    /// A section whose name the user chooses.
    Named,
}

/// The settings as a tree, to find a written name in.
#[derive(Clone, Debug)]
pub(super) struct Known(Vec<(Vec<&'static str>, Key)>);

impl Known {
    /// The tree of all settings.
    pub(super) fn new() -> Self {
        let parts = |key: Key| {
            let section = key.section.split('.').filter(|part| !part.is_empty());
            (section.chain([key.name]).collect(), key)
        };
        Self(keys().into_iter().map(parts).collect())
    }

    /// What a name means in a section, which is given by its pattern; `None` if it means nothing.
    pub(super) fn place(&self, section: &[&str], name: &str) -> Option<Place> {
        let depth = section.len();
        let inside = self.0.iter().filter(|(parts, _)| parts.starts_with(section));
        let fits = |part: &str| part == name || part == ANY_NAME;
        let (parts, key) = inside
            .filter(|(parts, _)| parts.get(depth).is_some_and(|part| fits(part)))
            .min_by_key(|(parts, _)| parts.len())?;
        Some(match parts.get(depth) {
            Some(&ANY_NAME) => Place::Named,
            _ if parts.len() == depth + 1 => Place::Setting(*key),
            _ => Place::Section,
        })
    }

    /// The names that a section has, those that users choose left out.
    pub(super) fn names(&self, section: &[&str]) -> Vec<&'static str> {
        let inside = self.0.iter().filter(|(parts, _)| parts.starts_with(section));
        let mut names: Vec<_> =
            inside.filter_map(|(parts, _)| parts.get(section.len()).copied()).collect();
        names.dedup();
        names.retain(|name| *name != ANY_NAME);
        names
    }

    /// Full names of settings whose own name is this: where a misplaced one belongs.
    pub(super) fn elsewhere(&self, name: &str) -> Option<String> {
        let key = self.0.iter().find(|(_, key)| key.name == name);
        key.map(|(_, key)| key.full_name())
    }
}
