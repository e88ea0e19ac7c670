//! The Python client's own tests, in an environment of their own below the target folder.
//!
//! Promises: nothing is installed outside that folder, but for Debian's part of Python that makes such
//! environments; once it is there no network is needed; where it cannot be made, the tests are named
//! as skipped, with the reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::counts::Counts;
use crate::process::{self, Rights};
use crate::{apt, build};

/// The oldest Python that the client works with.
const OLDEST: &str = "import sys; sys.exit(sys.version_info < (3, 9))";

/// The exit status of pytest when no test has the wanted name.
const NOTHING_FOUND: &str = "no tests ran";

/// Runs them against the built program, and checks the client's types.
pub(crate) fn run(program: &Path, filter: Option<&str>) -> Result<Counts> {
    let folder = process::workspace().join("clients/python");
    let python = match environment(&folder) {
        Ok(python) => python,
        Err(error) => {
            let mut counts = Counts::default();
            let line = format!("SKIPPED: all tests of clients/python: {error:#}");
            eprintln!("{line}");
            counts.skipped += 1;
            counts.reasons.push(line.replace('\n', " "));
            return Ok(counts);
        }
    };
    let mut command = Command::new(&python);
    command.args(["-m", "pytest", "-q", "-rsfE", "-p", "no:cacheprovider"]);
    if let Some(filter) = filter {
        command.args(["-k", filter]);
    }
    command.current_dir(&folder).env("PROFILER_BIN", program).env("PYTHONDONTWRITEBYTECODE", "1");
    let (succeeded, output) = process::run_and_read(&mut command)?;
    let none =
        output.iter().any(|line| line.contains(NOTHING_FOUND) || line.contains("deselected"));
    let mut counts = Counts::read_pytest(succeeded || (filter.is_some() && none), &output);
    if filter.is_none() {
        let mut types = Command::new(&python);
        types.args(["-m", "mypy", "--cache-dir=/dev/null"]).current_dir(&folder);
        if !process::run_and_read(&mut types)?.0 {
            counts.fail("the types of the Python client");
        }
    }
    Ok(counts)
}

/// The interpreter of an environment that has what the tests need.
fn environment(client: &Path) -> Result<PathBuf> {
    let folder = build::target_folder()?.join("python");
    let python = folder.join("bin/python");
    let asked = fs::read_to_string(client.join("pyproject.toml")).context("pyproject.toml")?;
    let done = folder.join("made-for");
    let is_made = fs::read_to_string(&done).is_ok_and(|made_for| made_for == asked)
        && process::answer(Command::new(&python).args(["-c", "import pytest, varlink"])).is_ok();
    if is_made {
        return Ok(python);
    }
    let system = process::find_program("python3").context("there is no python3")?;
    process::answer(Command::new(&system).args(["-c", OLDEST]))
        .context("python3 is older than 3.9")?;
    make(&system, &folder)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--retries", "1", "--timeout", "15"]).args(wanted(&asked));
    process::run(&mut install).context("PyPI cannot be reached")?;
    fs::write(&done, asked).context("a note of what is installed")?;
    Ok(python)
}

/// Makes an empty environment.
fn make(system: &Path, folder: &Path) -> Result<()> {
    let make = || {
        let mut command = Command::new(system);
        process::run(command.args(["-m", "venv", "--clear"]).arg(folder))
    };
    let Err(error) = make() else { return Ok(()) };
    let rights = process::rights();
    if rights == Rights::None || !apt::available() {
        return Err(error.context("python3 cannot make an environment"));
    }
    // Debian has it in a package of its own.
    apt::install(rights, &["python3-venv".to_owned()])?;
    make()
}

/// What the line `test = ["a", "b"]` of the project's file names.
fn wanted(project: &str) -> Vec<String> {
    let line = project.lines().find_map(|line| line.strip_prefix("test = ["));
    let names = line.and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
    names.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_installed_is_what_the_project_names() {
        let project = include_str!("../../../clients/python/pyproject.toml");
        let wanted = super::wanted(project);
        assert!(wanted.iter().any(|name| name.starts_with("pytest>=")), "{wanted:?}");
        assert!(wanted.iter().any(|name| name.starts_with("varlink>=")), "{wanted:?}");
    }
}
