//! The workloads' command line: `--name value` pairs, a report, and what follows `--`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::truth::Report;

/// A subcommand's options.
#[derive(Debug, Default)]
pub(crate) struct Args {
    options: Vec<(String, String)>,
    /// The words after `--`.
    pub(crate) rest: Vec<String>,
}

impl Args {
    /// Splits words into pairs; a word without `--` before it is an error.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                args.rest = words.cloned().collect();
                break;
            }
            let name = word.strip_prefix("--").ok_or_else(|| format!("not an option: {word}"))?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            args.options.push((name.to_owned(), value.clone()));
        }
        Ok(args)
    }

    /// An option as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// An option as a number (or anything else that parses), or its default.
    pub(crate) fn get<T: FromStr>(&self, name: &str, default: T) -> T {
        self.text(name).map_or(default, |text| {
            text.parse().unwrap_or_else(|_| panic!("--{name} {text}: not a number"))
        })
    }

    /// Whether the file that an option names is there; so it is without that option.
    pub(crate) fn is_due(&self, name: &str) -> bool {
        self.text(name).is_none_or(|path| Path::new(path).exists())
    }

    /// Where the truth goes.
    pub(crate) fn report(&self) -> Report {
        Report::new(self.text("report").map(PathBuf::from))
    }
}
