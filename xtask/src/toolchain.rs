//! The BPF toolchain: a compiler with a core library for the BPF target, and a linker for it.
//!
//! Two routes lead to one ([`nightly`] and [`distribution`]). Which was taken is written into the
//! file `.bpf-toolchain` at the top of the workspace, and `profiler/build.rs` reads it there: the
//! target folder would be the wrong place, since anybody may move it with `CARGO_TARGET_DIR`.
//! Promise: the record is written only when it changes, so that nothing is rebuilt for it.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::process;

pub(crate) mod distribution;
pub(crate) mod nightly;

/// The version of bpf-linker that this project builds with.
const LINKER_VERSION: &str = "^0.13";

/// Where the compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Route {
    /// Rust nightly from rustup with its rust-src component: builds the core library itself.
    Nightly,
    /// The distribution's packages: a stable compiler with a core library already built.
    Distribution,
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nightly => "nightly",
            Self::Distribution => "distribution",
        })
    }
}

/// A toolchain that is complete.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// How it was found.
    pub(crate) route: Route,
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// What the compiler answers to `--version`: after an upgrade the record is out of date.
    pub(crate) version: String,
    /// The compiler's own cargo, where the one that builds everything else will not do.
    pub(crate) cargo: Option<PathBuf>,
    /// bpf-linker.
    pub(crate) linker: PathBuf,
    /// A folder that has to come first in `PATH` while building.
    pub(crate) path_prefix: Option<PathBuf>,
}

/// What looking for a route's parts has shown.
pub(crate) enum Finding {
    /// Everything is there.
    Ready(Toolchain),
    /// This is not there yet, and these steps get it. More may be missing after them.
    Missing {
        /// What is missing.
        why: String,
        /// How to get it.
        steps: Vec<Step>,
    },
    /// This machine cannot go this way.
    Impossible(String),
}

/// One thing to do about a missing part.
pub(crate) enum Step {
    /// Fetch the package lists.
    UpdateLists,
    /// Install these packages.
    Packages(Vec<String>),
    /// Run this command, which takes about so long.
    Run {
        /// What it does and how long that takes.
        what: String,
        /// The command.
        command: Command,
    },
}

/// The record's path.
pub(crate) fn record_path() -> PathBuf {
    process::workspace().join(".bpf-toolchain")
}

impl Toolchain {
    /// Reads the record; an error says in what respect it is missing or out of date.
    pub(crate) fn recorded() -> Result<Self> {
        let path = record_path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let values: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |key: &str| {
            let value = values.get(key).copied();
            value.with_context(|| format!("{}: no line {key}=", path.display()))
        };
        let optional = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let found = Self {
            route: Route::from_str(value("ROUTE")?, false).map_err(anyhow::Error::msg)?,
            rustc: value("RUSTC")?.into(),
            version: value("RUSTC_VERSION")?.to_owned(),
            cargo: optional(value("CARGO")?),
            linker: value("LINKER")?.into(),
            path_prefix: optional(value("PATH_PREFIX")?),
        };
        for program in [Some(&found.rustc), Some(&found.linker), found.cargo.as_ref()] {
            if let Some(program) = program.filter(|program| !process::is_program(program)) {
                bail!("{} is gone", program.display());
            }
        }
        let version = Compiler::ask(&found.rustc)?.version;
        ensure!(
            version == found.version,
            "{} was {:?} and is now {version:?}",
            found.rustc.display(),
            found.version
        );
        Ok(found)
    }

    /// Writes the record, unless it says the same already.
    pub(crate) fn record(&self) -> Result<()> {
        let text = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| path.display().to_string()).unwrap_or_default()
        };
        let lines = [
            "# Written by `cargo xtask setup`, read by profiler/build.rs.".to_owned(),
            format!("ROUTE={}", self.route),
            format!("RUSTC={}", self.rustc.display()),
            format!("RUSTC_VERSION={}", self.version),
            format!("CARGO={}", text(&self.cargo)),
            format!("LINKER={}", self.linker.display()),
            format!("PATH_PREFIX={}", text(&self.path_prefix)),
        ];
        let (path, record) = (record_path(), lines.join("\n") + "\n");
        if fs::read_to_string(&path).is_ok_and(|old| old == record) {
            return Ok(());
        }
        fs::write(&path, record).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What a compiler says about itself.
pub(crate) struct Compiler {
    /// The line that `--version` prints.
    pub(crate) version: String,
    /// The release alone, such as `(1, 96)`.
    pub(crate) release: (u32, u32),
    /// The major version of the LLVM inside: the linker must understand its bitcode.
    pub(crate) llvm: u32,
}

impl Compiler {
    /// Asks the compiler.
    pub(crate) fn ask(rustc: &Path) -> Result<Self> {
        let said = process::answer(Command::new(rustc).arg("-vV"))?;
        let field = |name: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(name));
            found.with_context(|| format!("`{} -vV` has no line {name:?}", rustc.display()))
        };
        let llvm = field("LLVM version: ")?.split('.').next().and_then(|major| major.parse().ok());
        Ok(Self {
            version: said.lines().next().unwrap_or_default().to_owned(),
            release: release(field("release: ")?)?,
            llvm: llvm.with_context(|| format!("`{} -vV`: no LLVM version", rustc.display()))?,
        })
    }
}

/// Reads the first two numbers of a Rust version.
fn release(text: &str) -> Result<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("not a Rust version: {text:?}"),
    }
}

/// The oldest compiler that the workspace supports, from its Cargo.toml.
pub(crate) fn oldest_release() -> Result<(u32, u32)> {
    let path = process::workspace().join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let line = line.with_context(|| format!("{}: no line rust-version", path.display()))?;
    release(line.trim_matches('"'))
}

/// Where this project keeps its own linker for an LLVM version.
fn own_linker(llvm: u32) -> Result<PathBuf> {
    Ok(process::cache()?.join(format!("bpf-linker-llvm-{llvm}/bin/bpf-linker")))
}

/// A linker that reads what a compiler with this LLVM writes: our own, or one in `PATH`.
fn find_linker(llvm: u32) -> Result<Option<PathBuf>> {
    let candidates = [Some(own_linker(llvm)?), process::find_program("bpf-linker")];
    Ok(candidates.into_iter().flatten().find(|linker| linker_fits(linker, llvm)))
}

/// Whether the linker starts, is of a version that we know, and does not bring another LLVM. One
/// with LLVM linked into it does not tell which, and is given the benefit of the doubt.
fn linker_fits(linker: &Path, llvm: u32) -> bool {
    let Ok(version) = process::answer(Command::new(linker).arg("--version")) else { return false };
    if !version.contains(&format!(" {}.", LINKER_VERSION.trim_start_matches('^'))) {
        return false;
    }
    let libraries = process::answer(Command::new("ldd").arg(linker)).unwrap_or_default();
    let wanted = format!("libLLVM.so.{llvm}");
    let other = format!("libLLVM-{llvm}");
    !libraries.contains("libLLVM") || libraries.contains(&wanted) || libraries.contains(&other)
}

/// The step that builds the linker from source, against the distribution's LLVM.
fn build_linker(llvm: u32) -> Result<Step> {
    let root = process::cache()?.join(format!("bpf-linker-llvm-{llvm}"));
    let mut command = process::cargo();
    command.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--force"]);
    command.args(["--no-default-features", "--features", &format!("llvm-{llvm}"), "--root"]);
    command.arg(root);
    let prefix = llvm_prefix(llvm);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}/bin:{path}", prefix.display())).env("LLVM_PREFIX", prefix);
    let what = format!("building bpf-linker for LLVM {llvm}, about a minute on two cores");
    Ok(Step::Run { what, command })
}

/// Where Debian's packages put an LLVM version.
fn llvm_prefix(llvm: u32) -> PathBuf {
    format!("/usr/lib/llvm-{llvm}").into()
}
