//! The route through rustup: a nightly compiler builds the core library from the rust-src
//! component.
//!
//! Promise: a nightly that is there is used as it is and never updated. bpf-linker has to read
//! that nightly's bitcode, so it is built against the LLVM of the same major version; a linker in
//! `PATH` with another LLVM is passed over.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Compiler, Finding, Route, Step, Toolchain};
use crate::apt;
use crate::process;

/// Looks for the parts.
pub(crate) fn examine() -> Result<Finding> {
    if process::find_program("rustup").is_none() {
        return Ok(Finding::Impossible("no rustup on this machine".to_owned()));
    }
    let Some(sysroot) = sysroot() else {
        return Ok(missing_from_rustup("rustup has no nightly toolchain"));
    };
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return Ok(missing_from_rustup("rustup's nightly has no rust-src component"));
    }
    let rustc = sysroot.join("bin/rustc");
    let compiler = Compiler::ask(&rustc)?;
    if let Some(linker) = super::find_linker(compiler.llvm)? {
        return Ok(Finding::Ready(Toolchain {
            route: Route::Nightly,
            rustc,
            version: compiler.version,
            cargo: Some(sysroot.join("bin/cargo")),
            linker,
            path_prefix: None,
        }));
    }
    missing_linker(compiler.llvm)
}

/// The folder of the toolchain called "nightly". Asked only when it is there, since rustup
/// may install what it is asked for.
fn sysroot() -> Option<PathBuf> {
    let list = process::answer(Command::new("rustup").args(["toolchain", "list"])).ok()?;
    list.lines().find(|line| line.starts_with("nightly-") && !line.starts_with("nightly-2"))?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "rustc", "--print", "sysroot"]);
    Some(PathBuf::from(process::answer(&mut command).ok()?.trim_end()))
}

fn missing_from_rustup(why: &str) -> Finding {
    let mut command = Command::new("rustup");
    command.args(["toolchain", "install", "nightly", "--profile", "minimal", "--no-self-update"]);
    command.args(["--component", "rust-src"]);
    let what = "downloading Rust nightly with the sources of its library, about 100 MB".to_owned();
    Finding::Missing { why: why.to_owned(), steps: vec![Step::Run { what, command }] }
}

/// With the compiler there, only the linker is wanting: it needs LLVM's headers.
fn missing_linker(llvm: u32) -> Result<Finding> {
    let why = format!("no bpf-linker for the LLVM {llvm} of rustup's nightly");
    let mut steps = Vec::new();
    if !Path::new(&super::llvm_prefix(llvm)).join("bin/llvm-config").exists() {
        let package = format!("llvm-{llvm}-dev");
        if !apt::available() || apt::candidate(&package).is_none() {
            return Ok(Finding::Impossible(format!(
                "{why}, and no package {package} to build one with: put a bpf-linker {} into \
                 PATH, such as a binary from the project's releases page",
                super::LINKER_VERSION
            )));
        }
        let others = ["zlib1g-dev", "libzstd-dev"].map(str::to_owned);
        steps.push(Step::Packages([package].into_iter().chain(others).collect()));
    }
    steps.push(super::build_linker(llvm)?);
    Ok(Finding::Missing { why, steps })
}
