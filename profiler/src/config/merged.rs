//! What was written in all places, later places before earlier ones.

use std::collections::{BTreeMap, BTreeSet};

use super::key_path::KeyPath;
use super::problem::Origin;
use super::raw::Raw;

/// One setting as somebody wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// Which setting.
    pub(super) path: KeyPath,
    /// The value.
    pub(super) raw: Raw,
    /// Where.
    pub(super) origin: Origin,
}

/// For each setting that was written, the value that counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    values: BTreeMap<KeyPath, (Raw, Origin)>,
    /// Sections that were written, an empty one included: `[providers.openai]` says something.
    sections: BTreeSet<KeyPath>,
}

impl Merged {
    /// Adds what was written in one place; it replaces what is there already.
    pub(super) fn add(&mut self, written: Written) {
        self.values.insert(written.path, (written.raw, written.origin));
    }

    /// Adds a section, with or without settings in it.
    pub(super) fn add_section(&mut self, section: KeyPath) {
        self.sections.insert(section);
    }

    /// The value of a setting.
    pub(super) fn raw(&self, section: &KeyPath, name: &str) -> Option<&Raw> {
        self.values.get(&section.with(name)).map(|(raw, _)| raw)
    }

    /// Where a setting was written.
    pub(super) fn origin(&self, path: &KeyPath) -> Origin {
        self.values.get(path).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The names that users chose inside a section: those of connectors, say.
    pub(super) fn names_in(&self, section: &KeyPath) -> BTreeSet<String> {
        let depth = section.parts().count();
        let inside = self.sections.iter().filter(|path| path.is_in(section));
        inside.filter_map(|path| path.parts().nth(depth)).map(str::to_owned).collect()
    }
}
