//! The route through the distribution's packages: Debian ships the core library for the BPF
//! target ready-made, beside the compiler that belongs to it.
//!
//! Promise: no package name is taken from memory but the pattern `libstd-rust*-dev-bpf`. The
//! compiler's package follows from the match, and the LLVM version from the compiler's own
//! library, so a later release works without a change here.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Compiler, Finding, Route, Step, Toolchain};
use crate::apt;
use crate::process;

/// Where Debian's compiler packages put it.
const RUSTC: &str = "/usr/bin/rustc";

/// Looks for the parts.
pub(crate) fn examine() -> Result<Finding> {
    let rustc = Path::new(RUSTC);
    if has_core_library(rustc) {
        let compiler = Compiler::ask(rustc)?;
        if let Err(error) = check_release(compiler.release) {
            return Ok(Finding::Impossible(format!("{error:#}")));
        }
        if let Some(linker) = super::find_linker(compiler.llvm)? {
            let prefix = super::llvm_prefix(compiler.llvm).join("bin");
            return Ok(Finding::Ready(Toolchain {
                route: Route::Distribution,
                rustc: rustc.to_path_buf(),
                version: compiler.version,
                cargo: None,
                linker,
                path_prefix: prefix.is_dir().then_some(prefix),
            }));
        }
        let mut steps = packages_step(linker_packages(compiler.llvm));
        steps.push(super::build_linker(compiler.llvm)?);
        return Ok(Finding::Missing { why: format!("no bpf-linker for {RUSTC}"), steps });
    }
    if !apt::available() {
        return Ok(Finding::Impossible("no apt-get on this machine".to_owned()));
    }
    plan_everything()
}

/// What to install where not even the compiler is there.
fn plan_everything() -> Result<Finding> {
    let why = "no compiler with a core library for the BPF target".to_owned();
    let Some((library, version)) = newest_library() else {
        return Ok(Finding::Missing { why, steps: vec![Step::UpdateLists] });
    };
    // "1.96.0+dfsg1-1"; without an epoch in all releases so far.
    let plain = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
    if let Err(error) = super::release(plain).and_then(check_release) {
        return Ok(Finding::Impossible(format!("{library}: {error:#}")));
    }
    let family = library.trim_start_matches("libstd-").trim_end_matches("-dev-bpf");
    let compiler = family.replacen("rust", "rustc", 1);
    let Some(llvm) = llvm_of(&compiler) else {
        return Ok(Finding::Impossible(format!("cannot tell which LLVM {compiler} comes with")));
    };
    // For the checks of `cargo xtask test`; the build does without.
    let clippy = Some(format!("{family}-clippy")).filter(|name| apt::candidate(name).is_some());
    let mut packages = vec![compiler, library];
    packages.extend(clippy);
    packages.extend(linker_packages(llvm));
    let mut steps = packages_step(packages);
    if super::find_linker(llvm)?.is_none() {
        steps.push(super::build_linker(llvm)?);
    }
    Ok(Finding::Missing { why, steps })
}

/// Whether this compiler can build for the BPF target as it is.
fn has_core_library(rustc: &Path) -> bool {
    if !process::is_program(rustc) {
        return false;
    }
    let mut command = std::process::Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", "bpfel-unknown-none"]);
    let Ok(folder) = process::answer(&mut command) else { return false };
    let Ok(files) = std::fs::read_dir(folder.trim_end()) else { return false };
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

/// A release may offer more than one Rust: the newest core library, with its version.
fn newest_library() -> Option<(String, String)> {
    let mut newest: Option<(String, String)> = None;
    for name in apt::search("^libstd-rust(-[a-z]+)?-dev-bpf$") {
        let Some(version) = apt::candidate(&name) else { continue };
        if newest.as_ref().is_none_or(|(_, other)| apt::is_older(other, &version)) {
            newest = Some((name, version));
        }
    }
    newest
}

/// The LLVM that the compiler's library is linked to, before it is installed.
fn llvm_of(compiler: &str) -> Option<u32> {
    let all = apt::dependencies(compiler);
    let mut library = all.iter().filter(|(package, _)| package.starts_with("libstd-rust"));
    library.find_map(|(_, needed)| {
        let name = needed.iter().find_map(|name| name.strip_prefix("libllvm"))?;
        name.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    })
}

/// What bpf-linker is built with.
fn linker_packages(llvm: u32) -> Vec<String> {
    let mut packages = vec![format!("llvm-{llvm}-dev")];
    packages.extend(["zlib1g-dev", "libzstd-dev"].map(str::to_owned));
    // A package of its own in some releases, a part of llvm-dev in others.
    let polly = format!("libpolly-{llvm}-dev");
    if apt::candidate(&polly).is_some() {
        packages.push(polly);
    }
    if process::find_program("c++").is_none() {
        packages.push("g++".to_owned());
    }
    packages
}

/// The step for those of the packages that are not installed.
fn packages_step(packages: Vec<String>) -> Vec<Step> {
    let missing: Vec<String> =
        packages.into_iter().filter(|package| !apt::is_installed(package)).collect();
    if missing.is_empty() { Vec::new() } else { vec![Step::Packages(missing)] }
}

fn check_release(release: (u32, u32)) -> Result<()> {
    let (major, minor) = super::oldest_release()?;
    if release < (major, minor) {
        let (old_major, old_minor) = release;
        bail!("the distribution's Rust is {old_major}.{old_minor}, and this needs {major}.{minor}");
    }
    Ok(())
}
