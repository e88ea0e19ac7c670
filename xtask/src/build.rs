//! `cargo xtask build`, and building for the other verbs.
//!
//! Promises: paths of what was built come from cargo itself, so they are right wherever the
//! target folder is; and a build that had nothing to do says nothing.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufReader, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::process;
use crate::setup;

/// The options of `cargo xtask build`.
#[derive(Args)]
pub(crate) struct Options {
    /// Optimised, as it is shipped (the default)
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// With overflow checks and without optimisation
    #[arg(long)]
    debug: bool,
}

/// Builds the product and says where it is.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    let release = options.release || !options.debug;
    let built = product(release)?;
    println!("built {}", built.display());
    Ok(())
}

/// Builds the product, kernel half included.
pub(crate) fn product(release: bool) -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(["build", "--package", "profiler"]);
    if release {
        command.arg("--release");
    }
    let built = cargo(command)?;
    let program = built.programs.get("profiler").cloned();
    program.context("cargo built the package profiler, but no program of that name")
}

/// What a cargo run has built.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// Programs by name.
    pub(crate) programs: BTreeMap<String, PathBuf>,
    /// Tests of the whole product on a kernel, by the name of their file.
    pub(crate) integration_tests: BTreeMap<String, PathBuf>,
}

/// Runs a cargo command that builds; its messages go to standard error while it works.
pub(crate) fn cargo(mut command: Command) -> Result<Built> {
    let shown = process::shown(&command);
    command.arg("--message-format=json-render-diagnostics");
    if io_is_terminal() && env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let messages = child.stderr.take().context("cargo's messages")?;
    let passing_on = thread::spawn(move || pass_on(BufReader::new(messages)));
    let mut artifacts = String::new();
    child.stdout.take().context("cargo's output")?.read_to_string(&mut artifacts)?;
    let status = child.wait()?;
    passing_on.join().ok();
    if !status.success() {
        bail!("`{shown}` failed: {status}; cargo's messages are above");
    }
    Ok(read_artifacts(&artifacts))
}

/// Passes cargo's messages on, but for the one that it writes when there was nothing to do.
fn pass_on(messages: impl std::io::BufRead) {
    for line in messages.lines().map_while(Result::ok) {
        if !line.contains("Finished") {
            eprintln!("{line}");
        }
    }
}

fn io_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// One line of cargo's output for each artifact.
fn read_artifacts(lines: &str) -> Built {
    let mut built = Built::default();
    for line in lines.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let target = &message["target"];
        let (Some(path), Some(name), Some(kind)) =
            (message["executable"].as_str(), target["name"].as_str(), target["kind"][0].as_str())
        else {
            continue;
        };
        let list = match (kind, message["profile"]["test"].as_bool()) {
            ("bin", Some(false)) => &mut built.programs,
            // Those of other packages read files of theirs, and no kernel makes a difference to them.
            ("test", _) if is_of_whole_product(&message) => &mut built.integration_tests,
            _ => continue,
        };
        list.insert(name.to_owned(), path.into());
    }
    built
}

fn is_of_whole_product(artifact: &Value) -> bool {
    let manifest = artifact["manifest_path"].as_str();
    manifest.is_some_and(|manifest| {
        Path::new(manifest).parent().is_some_and(|folder| folder.ends_with("tests"))
    })
}

/// What `cargo metadata` says about the workspace's own packages.
pub(crate) fn metadata() -> Result<Value> {
    let mut command = process::cargo();
    command.args(["metadata", "--no-deps", "--format-version=1"]);
    serde_json::from_str(&process::answer(&mut command)?).context("the output of cargo metadata")
}

/// The folder that cargo builds into.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str();
    folder.map(PathBuf::from).context("cargo metadata names no target folder")
}
