//! `cargo xtask run`: builds the product and becomes it.
//!
//! Promises: the product's exit status, signals, standard input and output are its own, because
//! it replaces this process; what xtask says goes to standard error, and it says nothing when it
//! had nothing to do. Without arguments it is the agent.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::process::{self, Rights};
use crate::{build, setup};

/// The options of `cargo xtask run`.
#[derive(Args)]
pub(crate) struct Options {
    /// Arguments for profiler, after `--`: `cargo xtask run -- run -- make -j4`; without any, runs
    /// the agent
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// The file systems that the kernel half is reached through: type and place.
const NEEDED: [(&str, &str); 2] = [("tracefs", "/sys/kernel/tracing"), ("bpf", "/sys/fs/bpf")];

/// Builds, mounts what is missing, and executes.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    let program = build::product(true)?;
    mount_file_systems()?;
    let mut command = Command::new(&program);
    forget_cargo(&mut command);
    if options.arguments.is_empty() {
        guide(&program);
        command.arg("agent");
    }
    let error = command.args(&options.arguments).exec();
    Err(error).with_context(|| format!("cannot execute {}", program.display()))
}

/// Mounts what a fresh machine may lack, or says which command does.
pub(crate) fn mount_file_systems() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    for (kind, place) in NEEDED {
        let mounted = mounts.lines().any(|line| {
            let mut fields = line.split(' ').skip(1);
            fields.next() == Some(place) && fields.next() == Some(kind)
        });
        if mounted {
            continue;
        }
        let rights = process::rights();
        let mut command = process::as_root(rights, "mount");
        command.args(["-t", kind, kind, place]);
        if rights == Rights::None {
            eprintln!("{kind} is not mounted; to mount it: {}", process::shown(&command));
        } else if let Err(error) = process::run(&mut command) {
            // Not the end: profiler says itself what it cannot do without it.
            eprintln!("{error:#}");
        }
    }
    Ok(())
}

/// Removes what cargo added to the environment: the command that profiler runs may be a cargo of
/// another project.
fn forget_cargo(command: &mut Command) {
    process::forget_cargo_run(command);
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"] {
        command.env_remove(name);
    }
    let Some(libraries) = env::var_os("LD_LIBRARY_PATH") else { return };
    let ours = |folder: &Path| {
        folder.ends_with("deps")
            || folder.ends_with("debug")
            || folder.components().any(|part| part.as_os_str() == "toolchains")
            || folder.components().any(|part| part.as_os_str() == "rustlib")
    };
    let left: Vec<_> = env::split_paths(&libraries).filter(|folder| !ours(folder)).collect();
    match env::join_paths(&left) {
        Ok(value) if !left.is_empty() => command.env("LD_LIBRARY_PATH", value),
        _ => command.env_remove("LD_LIBRARY_PATH"),
    };
}

fn guide(program: &Path) {
    eprintln!(
        "built {}

Without arguments this runs the agent. Besides:
  cargo xtask run -- run -- make -j4                a command, with what it cost
  cargo xtask run -- attach --pid 1234 --duration 5s   a process that is running already
  cargo xtask run -- doctor                         what works on this machine, and what does not
  cargo xtask run -- --help                         everything else
  cargo xtask test                                  all tests, here and on two other kernels
  cargo xtask bench                                 what measuring costs
",
        program.display()
    );
}
