//! One place where settings are written, as TOML: read, each name and value held against what is
//! known, everything wrong reported at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key_path::KeyPath;
use super::keys::{ANY_NAME, Known, Place};
use super::merged::{Merged, Written};
use super::problem::{Origin, Problem, did_you_mean, nearest};
use super::raw::Raw;
use super::section::Key;
use super::setting::{NAME, is_name};

/// Reads a text of settings into `merged`. `origin_of` says where a line, from 1, is.
pub(super) fn read(
    text: &str,
    origin_of: &dyn Fn(usize) -> Origin,
    known: &Known,
    merged: &mut Merged,
) -> Vec<Problem> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, origin_of, known, merged, problems: Vec::new() };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        // Of several lines the first says what is wrong.
        let what = error.message().lines().next().unwrap_or("this is not TOML");
        reader.problem(at, None, what.to_owned());
    }
    if reader.problems.is_empty() {
        reader.section(&KeyPath::default(), &[], document.get_ref());
    }
    // Tables are in the order of names; people read from top to bottom.
    reader.problems.sort_by_key(|(at, _)| *at);
    reader.problems.into_iter().map(|(_, problem)| problem).collect()
}

struct Reader<'a> {
    text: &'a str,
    origin_of: &'a dyn Fn(usize) -> Origin,
    known: &'a Known,
    merged: &'a mut Merged,
    /// Each with its place in the text.
    problems: Vec<(usize, Problem)>,
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(at);
        (self.origin_of)(1 + before.filter(|byte| **byte == b'\n').count())
    }

    fn problem(&mut self, at: usize, path: Option<KeyPath>, what: String) {
        let origin = self.origin(at);
        self.problems.push((at, Problem { origin, path, what }));
    }

    fn section(&mut self, path: &KeyPath, pattern: &[&str], table: &DeTable<'_>) {
        self.merged.add_section(path.clone());
        for (name, value) in table {
            let (at, name) = (name.span().start, name.get_ref().as_ref());
            let inner = path.with(name);
            match self.known.place(pattern, name) {
                Some(Place::Setting(key)) => self.setting(inner, &key, value),
                Some(Place::Section) => self.subsection(&inner, pattern, name, value),
                Some(Place::Named) if is_name(name) => {
                    self.subsection(&inner, pattern, ANY_NAME, value);
                }
                Some(Place::Named) => {
                    self.problem(at, Some(inner), format!("has no usable name; it must be {NAME}"));
                }
                None => self.unknown(at, inner, pattern, name),
            }
        }
    }

    fn subsection(
        &mut self,
        path: &KeyPath,
        pattern: &[&str],
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) {
        let pattern = [pattern, &[name]].concat();
        match value.get_ref() {
            DeValue::Table(table) => self.section(path, &pattern, table),
            other => {
                let found = Raw::of(other);
                let what = format!("is {found}; must be a section: [{path}]");
                self.problem(value.span().start, Some(path.clone()), what);
            }
        }
    }

    fn setting(&mut self, path: KeyPath, key: &Key, value: &Spanned<DeValue<'_>>) {
        let at = value.span().start;
        let raw = Raw::of(value.get_ref());
        if (key.admits)(&raw) {
            let origin = self.origin(at);
            self.merged.add(Written { path, raw, origin });
        } else {
            self.problem(at, Some(path), unfit(&raw, key));
        }
    }

    fn unknown(&mut self, at: usize, path: KeyPath, pattern: &[&str], name: &str) {
        let names = self.known.names(pattern);
        let near = nearest(name, names.iter().copied()).map(str::to_owned);
        let meant = near.or_else(|| self.known.elsewhere(name));
        let what = match meant {
            Some(meant) => format!("is not known{}", did_you_mean(Some(meant))),
            None => format!("is not known; known here: {}", names.join(", ")),
        };
        self.problem(at, Some(path), what);
    }
}

/// Why a value will not do.
pub(super) fn unfit(raw: &Raw, key: &Key) -> String {
    format!("is {raw}; must be {}", (key.expected)())
}
