//! Running other programs.
//!
//! Promises: what changes the machine or takes long is shown before it runs, in a form that can
//! be pasted into a shell; an error names the command, its exit and what it said; and standard
//! output stays free, because `cargo xtask run` hands it to the program that it starts.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// The folder with the workspace's Cargo.toml.
pub(crate) fn workspace() -> PathBuf {
    // Cargo names the folder as it is now; the one from compile time may have been moved since.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .filter(|_| env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == "xtask"))
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Where things that are slow to get are kept, across projects and clean builds.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => bail!("no folder for downloads: set HOME or XDG_CACHE_HOME"),
    };
    Ok(base.join("profiler"))
}

/// Cargo in the workspace, as the user would have called it.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    forget_cargo_run(&mut command);
    command
}

/// Removes what `cargo run` added to the environment of this program. Build scripts watch some
/// of it, and would run again whenever a build started from here follows one that did not.
pub(crate) fn forget_cargo_run(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let added = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if added.iter().any(|prefix| text.starts_with(prefix)) || text == "CARGO_PRIMARY_PACKAGE" {
            command.env_remove(&name);
        }
    }
}

/// The command as one would type it, with the variables that were set for it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), extended(name, value)))
        .collect();
    words.push(quoted(command.get_program()));
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

/// A variable that only got something in front, such as PATH, is shown without the long rest.
fn extended(name: &OsStr, value: &OsStr) -> String {
    let (value, old) = (value.to_string_lossy(), env::var(name).unwrap_or_default());
    match value.strip_suffix(&old).filter(|_| !old.is_empty()) {
        Some(added) => format!("{}\"${}\"", quoted(added.as_ref()), name.to_string_lossy()),
        None => quoted(value.as_ref().as_ref()),
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+-_./:=,@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Shows the command, runs it to its end with its output passed to standard error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", shown(command));
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}; its messages are above", shown(command));
    }
    Ok(())
}

/// Runs a quick question silently, and returns what it wrote.
pub(crate) fn answer(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        bail!("`{}` failed: {status}\n{}", shown(command), said.trim_end());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The program's path, looked up as a shell does.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

/// Whether this is a file that may be executed.
pub(crate) fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// By which right this program may change the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// It is root.
    Root,
    /// `sudo` works without asking for a password.
    Sudo,
    /// Neither.
    None,
}

/// Finds out which rights there are.
pub(crate) fn rights() -> Rights {
    if rustix::process::geteuid().is_root() {
        Rights::Root
    } else if find_program("sudo").is_some()
        && answer(Command::new("sudo").args(["-n", "true"])).is_ok()
    {
        Rights::Sudo
    } else {
        Rights::None
    }
}

/// A command that needs root, written so that it works with these rights; without any, as the
/// user would have to type it.
pub(crate) fn as_root(rights: Rights, program: &str) -> Command {
    if rights == Rights::Root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    if rights == Rights::Sudo {
        command.arg("-n");
    }
    command.arg(program);
    command
}

/// Shows the command and runs it; its standard output is passed on line by line, and returned
/// with whether it succeeded.
pub(crate) fn run_and_read(command: &mut Command) -> Result<(bool, Vec<String>)> {
    eprintln!("+ {}", shown(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child =
        command.spawn().with_context(|| format!("cannot start `{}`", shown(command)))?;
    let mut lines = Vec::new();
    let output = child.stdout.take().context("the command's output")?;
    // Split by hand: a test may print what is not text.
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        lines.push(line);
    }
    Ok((child.wait()?.success(), lines))
}
