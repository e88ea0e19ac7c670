//! Debian packages: what there is, what is installed, and the commands that install more.
//!
//! Promises: names are looked up in the machine's own package lists, since they differ from one
//! release to the next; the lists are fetched only when they lack something; and nothing that is
//! installed is ever removed to make room.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{self, Rights};

/// Whether this machine has apt at all.
pub(crate) fn available() -> bool {
    process::find_program("apt-get").is_some() && process::find_program("apt-cache").is_some()
}

/// The names of all packages that the regular expression matches.
pub(crate) fn search(expression: &str) -> Vec<String> {
    let mut command = Command::new("apt-cache");
    command.args(["search", "--names-only", expression]);
    let Ok(found) = process::answer(&mut command) else { return Vec::new() };
    found.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The version that apt would install, if it knows the package.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let mut command = Command::new("apt-cache");
    command.args(["show", "--no-all-versions", package]);
    let found = process::answer(&mut command).ok()?;
    found.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
}

/// Whether the first version is older than the second, by Debian's order.
pub(crate) fn is_older(first: &str, second: &str) -> bool {
    let mut command = Command::new("dpkg");
    process::answer(command.args(["--compare-versions", first, "lt", second])).is_ok()
}

/// Whether the package is installed and configured.
pub(crate) fn is_installed(package: &str) -> bool {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat", "${db:Status-Status}", package]);
    process::answer(&mut command).is_ok_and(|status| status == "installed")
}

/// The packages that the package depends on, itself included, each with its direct dependencies.
pub(crate) fn dependencies(package: &str) -> Vec<(String, Vec<String>)> {
    let mut command = Command::new("apt-cache");
    command.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"]);
    command.args(["--no-breaks", "--no-replaces", "--no-enhances", package]);
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for line in process::answer(&mut command).unwrap_or_default().lines() {
        if let Some(needed) = line.trim_start().strip_prefix("Depends: ") {
            if let Some((_, direct)) = all.last_mut() {
                direct.push(needed.to_owned());
            }
        } else if !line.starts_with([' ', '|']) {
            all.push((line.to_owned(), Vec::new()));
        }
    }
    all
}

/// The command that fetches the package lists.
pub(crate) fn update_command(rights: Rights) -> Command {
    let mut command = process::as_root(rights, "apt-get");
    command.args(["-q", "update"]);
    command
}

/// The command that installs the packages.
pub(crate) fn install_command(rights: Rights, packages: &[String]) -> Command {
    // Through env, since sudo clears variables.
    let mut command = process::as_root(rights, "env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "install", "--yes"]);
    command.args(["--no-install-recommends", "--no-remove", "-o", "DPkg::Lock::Timeout=120"]);
    command.args(packages);
    command
}

/// Installs the packages; lists that have grown old are fetched anew, once.
pub(crate) fn install(rights: Rights, packages: &[String]) -> Result<()> {
    let first = process::run(&mut install_command(rights, packages));
    let Err(error) = first else { return Ok(()) };
    eprintln!("{error:#}");
    eprintln!("the package lists may be out of date; fetching them and trying once more");
    process::run(&mut update_command(rights))?;
    process::run(&mut install_command(rights, packages))
        .with_context(|| format!("installing {}", packages.join(" ")))
}
