//! `cargo xtask bench`: runs one of the programs called `bench-*` in the package of the tests.
//!
//! Promise: whatever is measured was built in release, the product and the benchmark alike.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{build, process, run, setup};

/// The options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Which benchmark; without a name, lists them
    name: Option<String>,
    /// Arguments for the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds and executes, or lists.
pub(crate) fn run(options: &Options) -> Result<()> {
    let names = names()?;
    let list = names.iter().map(|name| format!("  cargo xtask bench {name}\n")).collect::<String>();
    let Some(name) = &options.name else {
        print!("{list}");
        return Ok(());
    };
    if !names.contains(name) {
        bail!("no benchmark {name:?}; there are:\n{}", list.trim_end());
    }
    setup::ensure()?;
    run::mount_file_systems()?;
    let mut command = process::cargo();
    command.args(["build", "--release", "--package=profiler", "--package=profiler-tests"]);
    let built = build::cargo(command)?.programs;
    let program = |name: &str| {
        built.get(name).with_context(|| format!("cargo built no program called {name}"))
    };
    let mut command = Command::new(program(&format!("bench-{name}"))?);
    command.env("PROFILER_BIN", program("profiler")?);
    command.env("PROFILER_WORKLOAD", program("workload")?);
    let error = command.args(&options.arguments).exec();
    Err(error).with_context(|| format!("cannot execute {}", process::shown(&command)))
}

/// The benchmarks, without their prefix.
fn names() -> Result<Vec<String>> {
    let metadata = build::metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata: no packages")?;
    let mut names: Vec<String> = packages
        .iter()
        .filter(|package| package["name"] == "profiler-tests")
        .filter_map(|package| package["targets"].as_array())
        .flatten()
        .filter_map(|target| target["name"].as_str()?.strip_prefix("bench-"))
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}
