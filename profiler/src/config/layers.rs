//! The places that settings come from, read in order.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment;
use super::keys::Known;
use super::merged::Merged;
use super::problem::{Origin, Problem};
use super::surroundings::Surroundings;
use super::{key_path, written};

/// More than any configuration has; a file that is larger is a mistake.
const LARGEST_FILE: u64 = 1 << 20;

/// Where to look for settings.
#[derive(Clone, Debug)]
pub struct Layers {
    /// A file that must be there. Otherwise the usual one is read if it is there.
    pub file: Option<PathBuf>,
    /// From the command line: `thresholds.cpu_percent=90`.
    pub set: Vec<String>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// What defaults depend on.
    pub surroundings: Surroundings,
}

impl Layers {
    /// Those of this process, with what its command line says.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            // What is no text is none of our settings' values; the checks will say so.
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Self {
            file,
            set,
            environment: std::env::vars_os().filter_map(text).collect(),
            surroundings: Surroundings::of_process(),
        }
    }

    /// The file that is read first, whether it is there or not.
    #[must_use]
    pub fn main_file(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.surroundings.file)
    }

    /// The folder whose `.toml` files are read after it, in the order of their names.
    #[must_use]
    pub fn drop_in_folder(&self) -> PathBuf {
        let mut folder = self.main_file().as_os_str().to_owned();
        folder.push(".d");
        PathBuf::from(folder)
    }

    /// Reads them all.
    pub(super) fn read(&self) -> (Merged, Vec<Problem>) {
        let known = Known::new();
        let mut merged = Merged::default();
        let mut problems = Vec::new();
        let is_optional = self.file.is_none();
        problems.extend(read_file(self.main_file(), is_optional, &known, &mut merged));
        match drop_ins(&self.drop_in_folder()) {
            Ok(files) => {
                for file in files {
                    problems.extend(read_file(&file, false, &known, &mut merged));
                }
            }
            Err(error) => problems.push(of_file(&self.drop_in_folder(), &error)),
        }
        problems.extend(environment::read(&self.environment, &mut merged));
        for flag in &self.set {
            problems.extend(read_flag(flag, &known, &mut merged));
        }
        (merged, problems)
    }
}

fn read_file(path: &Path, is_optional: bool, known: &Known, merged: &mut Merged) -> Vec<Problem> {
    let text = match bounded_text(path) {
        Ok(text) => text,
        Err(error) if is_optional && error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![of_file(path, &error)],
    };
    let file = Arc::new(path.to_owned());
    let origin = |line| Origin::File { file: Arc::clone(&file), line: Some(line) };
    written::read(&text, &origin, known, merged)
}

fn bounded_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other(format!("larger than {LARGEST_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text"))
}

fn of_file(path: &Path, error: &io::Error) -> Problem {
    let origin = Origin::File { file: Arc::new(path.to_owned()), line: None };
    Problem { origin, path: None, what: format!("cannot be read: {error}") }
}

/// The files of a folder that count, in the order of their names; none if there is no folder.
fn drop_ins(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        // What editors leave beside a file begins with a dot.
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if is_toml && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `KEY=VALUE`, where the value may be written without quotes.
fn read_flag(flag: &str, known: &Known, merged: &mut Merged) -> Vec<Problem> {
    let origin = |_| Origin::Flag(flag.to_owned());
    let Some((key, value)) = flag.split_once('=') else {
        let what = "has no value; write KEY=VALUE, such as thresholds.cpu_percent=90".to_owned();
        return vec![Problem { origin: origin(0), path: None, what }];
    };
    let is_toml = toml::de::DeValue::parse(value.trim()).is_ok();
    let value = if is_toml { value.to_owned() } else { key_path::text(value.trim()) };
    written::read(&format!("{key} = {value}"), &origin, known, merged)
}
