//! Debian packages: what there is, what is installed, and the commands that install more.
//!
//! Promises: names are looked up in the machine's own package lists, since they differ from one
//! release to the next; the lists are fetched only when they lack something; and nothing that is
//! installed is ever removed to make room.

use std::fs;
use std::path::Path;
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

/// Whether apt knows the package and can install it without taking anything away.
pub(crate) fn can_install(package: &str) -> bool {
    let mut command = simulated_install(package);
    process::answer(command.arg("--no-remove")).is_ok()
}

/// Unpacks the package into a new folder, with all that it needs and the machine does not have.
pub(crate) fn unpack(package: &str, folder: &Path) -> Result<()> {
    let plan = process::answer(&mut simulated_install(package))?;
    let packages = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let work = folder.with_extension(format!("unpacking-{}", std::process::id()));
    let files = work.join("files");
    fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
    let mut download = Command::new("apt-get");
    process::run(download.current_dir(&work).args(["-q", "download"]).args(packages))?;
    for file in fs::read_dir(&work).with_context(|| work.display().to_string())? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            process::run(Command::new("dpkg").arg("-x").arg(&path).arg(&files))?;
        }
    }
    // Only what is whole appears under the final name, whatever happens in between.
    fs::remove_dir_all(folder).ok();
    fs::rename(&files, folder).with_context(|| folder.display().to_string())?;
    fs::remove_dir_all(&work).with_context(|| work.display().to_string())
}

/// The command that tells what installing the package would do.
fn simulated_install(package: &str) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-q", "--simulate", "install", "--no-install-recommends", package]);
    command
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
