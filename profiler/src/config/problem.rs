//! What is wrong with a configuration: where, what, and what would be right.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::key_path::KeyPath;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In a file.
    File {
        /// The file.
        file: Arc<PathBuf>,
        /// The line, from 1; `None` if it is about the file as a whole.
        line: Option<usize>,
    },
    /// In an environment variable.
    Variable(&'static str),
    /// On the command line, as written there.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line: Some(line) } => write!(f, "{}:{line}", file.display()),
            Self::File { file, line: None } => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "--set {flag}"),
        }
    }
}

/// One thing that is wrong. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// With which setting, if it is about one.
    pub path: Option<KeyPath>,
    /// What, and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match &self.path {
            Some(path) => format!("{}: {path} {}", self.origin, self.what),
            None => format!("{}: {}", self.origin, self.what),
        };
        // Parts of it are as somebody wrote them, and it goes to a terminal.
        line.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}

/// Everything that is wrong with a configuration; never empty. A line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The known name nearest to one that is not known, if any is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// How alike they must be. Names with one letter in three wrong are 0.67 alike.
    const ALIKE: f64 = 0.6;
    // A long name is nobody's typing error, and comparing it would take time.
    const LONGEST: usize = 100;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    let alike = |known: &'a str| {
        (strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase()), known)
    };
    let likeness = known.into_iter().map(alike).filter(|(likeness, _)| *likeness >= ALIKE);
    likeness.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// `; did you mean X?`, or nothing.
pub(super) fn did_you_mean(known: Option<impl fmt::Display>) -> String {
    known.map(|known| format!("; did you mean {known}?")).unwrap_or_default()
}
