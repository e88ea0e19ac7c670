//! The dotted name of a setting: `connectors.imap_mailbox.avg_cpu_cores`.

use std::fmt;

/// Where a setting is, section by section. Its text is what TOML takes as a dotted key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path with these parts.
    pub fn new<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(parts.into_iter().map(str::to_owned).collect())
    }

    /// Of a setting whose name has no part that a user chose.
    pub(super) fn of_name(name: &str) -> Self {
        Self::new(name.split('.').filter(|part| !part.is_empty()))
    }

    /// The path of something inside this one.
    #[must_use]
    pub fn with(&self, part: &str) -> Self {
        let mut path = self.clone();
        path.0.push(part.to_owned());
        path
    }

    /// Its parts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The section that it is in, and its own name there.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, &str)> {
        let (last, section) = self.0.split_last()?;
        Some((Self(section.to_vec()), last))
    }

    /// Whether it lies in the section of this path.
    #[must_use]
    pub fn is_in(&self, section: &Self) -> bool {
        self.0.starts_with(&section.0)
    }
}

/// A part as TOML takes it: bare where that is allowed, in quotes otherwise.
pub(super) fn quoted(part: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !part.is_empty() && part.chars().all(is_bare) {
        return part.to_owned();
    }
    text(part)
}

/// Text as TOML takes it, on one line.
pub(super) fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.parts().map(quoted).collect();
        f.write_str(&parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_toml_would_misread_is_quoted() {
        let path = KeyPath::new(["connectors", "my.mail \"box\"", "max_concurrent_jobs"]);
        assert_eq!(path.to_string(), r#"connectors."my.mail \"box\"".max_concurrent_jobs"#);
        assert_eq!(KeyPath::new(["a-b_1"]).to_string(), "a-b_1");
        assert_eq!(KeyPath::new([""]).to_string(), "\"\"");
    }
}
