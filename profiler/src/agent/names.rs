//! Names of connectors, sources and providers, as numbers that the core and the maps use.

use std::collections::HashMap;

/// How long a name may be, in bytes: so much is kept of it in a map.
pub(super) const MOST_BYTES: usize = 63;

/// Names with the numbers that they were given, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Names {
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The number of a name that may be new.
    pub(super) fn add(&mut self, name: &str) -> u32 {
        if let Some(found) = self.find(name) {
            return found;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.into());
        self.by_name.insert(name.into(), number);
        number
    }

    pub(super) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).zip(self.names.iter().map(|name| &**name))
    }
}

/// Why this is no name, if it is none.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name has at least one character")
    } else if name.len() > MOST_BYTES {
        Some("a name has at most 63 bytes")
    } else if name.chars().any(char::is_control) {
        Some("a name has no control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let mut names = Names::default();
        assert_eq!((names.add("a"), names.add("b"), names.add("a")), (0, 1, 0));
        assert_eq!((names.find("b"), names.find("c")), (Some(1), None));
        assert_eq!(names.name(1), "b");
    }

    #[test]
    fn what_cannot_be_kept_or_shown_is_no_name() {
        for odd in ["", "a\nb", "\u{1b}[2J", &"x".repeat(64)] {
            assert!(fault(odd).is_some(), "{odd:?}");
        }
        assert_eq!(fault("imap/größe 1"), None);
    }
}
