//! `cargo xtask test`: every check that there is, here and under two other kernels.
//!
//! Promises: one failing stage does not hide the next, unless nothing can be built; a test that
//! could not run is named, with the reason, and never counts as passed; and the last line is
//! `N passed, N failed, N skipped`, with a failing exit status unless N failed is 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::toolchain::{Route, Toolchain};
use crate::{build, process, run, setup, vm};
use counts::Counts;
use report::Report;

mod counts;
mod python;
mod report;

/// The options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the virtual machines
    #[arg(long)]
    no_vm: bool,
    /// Run only tests whose name contains this, and no checks of the source
    filter: Option<String>,
}

/// A guest with all tests is given up on after this.
const GUEST_LIMIT: Duration = Duration::from_secs(1800);

/// Runs the stages and prints what came of them.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut report = Report::default();
    let filter = options.filter.as_deref();
    if filter.is_none() {
        report.check("formatting", || {
            process::run(process::cargo().args(["fmt", "--all", "--check"]))
        });
        report.check("formatting, kernel half", || {
            let mut command = process::cargo();
            command
                .args(["fmt", "--check"])
                .current_dir(process::workspace().join("profiler-ebpf"));
            process::run(&mut command)
        });
    }
    let mut found = None;
    report.check("BPF toolchain", || {
        found = Some(setup::ensure()?);
        run::mount_file_systems()
    });
    let mut built = None;
    report.check("build", || {
        let mut command = process::cargo();
        command.args(["build", "--workspace", "--bins", "--tests"]);
        // build.rs refuses warnings in the kernel half then.
        command.env("PROFILER_DENY_WARNINGS", "1");
        built = Some(build::cargo(command)?);
        Ok(())
    });
    let (Some(toolchain), Some(built)) = (found, built) else {
        eprintln!("nothing to test without a build");
        return Ok(report.close());
    };
    if filter.is_none() {
        report.check("clippy", || {
            let mut command = process::cargo();
            command.args(["clippy", "--workspace", "--all-targets"]).args(["--", "-D", "warnings"]);
            process::run(command.env("PROFILER_DENY_WARNINGS", "1"))
        });
        clippy_for_kernel_half(&toolchain, &mut report);
    }
    let programs = vm::Programs::of(&built)?;
    here(&built, filter, &mut report)?;
    if options.no_vm {
        return Ok(report.close());
    }
    for series in vm::SERIES {
        report.tests(&format!("integration tests, kernel {series}"), || {
            let commands = programs.commands(filter);
            let outcome = vm::boot(series, &programs, &[], &commands, GUEST_LIMIT)?;
            let mut total = Counts::default();
            for command in &outcome.finished {
                total.add(&Counts::read(&command.name, command.status == 0, &command.output));
                total.skip(&command.skipped);
            }
            if let Some(failure) = outcome.failure {
                eprintln!("{failure}");
                total.fail("the guest did not run all tests");
            }
            Ok(total)
        });
    }
    Ok(report.close())
}

/// The tests that run on this kernel.
fn here(built: &build::Built, filter: Option<&str>, report: &mut Report) -> Result<()> {
    let folder = build::target_folder()?;
    let log = folder.join("skipped-tests.log");
    let stage = |arguments: &[&str], one_by_one: bool| {
        fs::remove_file(&log).ok();
        let mut command = process::cargo();
        command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments).arg("--");
        command.args(filter);
        if one_by_one {
            command.arg("--test-threads=1");
        }
        command.env("PROFILER_DENY_WARNINGS", "1").env("PROFILER_SKIPPED_LOG", &log);
        for (variable, program) in [("PROFILER_BIN", "profiler"), ("PROFILER_WORKLOAD", "workload")]
        {
            if let Some(path) = built.programs.get(program) {
                command.env(variable, path);
            }
        }
        counts_of(&mut command, &log)
    };
    report.tests("unit tests", || stage(&["--lib", "--bins"], false));
    report.tests("documentation tests", || stage(&["--doc"], false));
    // One after the other: they measure, and would measure each other.
    report.tests("integration tests, this kernel", || stage(&["--test", "*"], true));
    if let Some(program) = built.programs.get("profiler") {
        report.tests("the Python client", || python::run(program, filter));
    }
    Ok(())
}

/// Runs cargo test and adds up what it says.
fn counts_of(command: &mut Command, log: &Path) -> Result<Counts> {
    let (succeeded, output) = process::run_and_read(command)?;
    let mut counts = Counts::read(&process::shown(command), succeeded, &output);
    let skipped = fs::read_to_string(log).unwrap_or_default();
    counts.skip(&skipped.lines().map(str::to_owned).collect::<Vec<_>>());
    Ok(counts)
}

/// Clippy has to be the one of the compiler that the kernel half is built with. Where there is
/// none, the build has at least refused warnings.
fn clippy_for_kernel_half(toolchain: &Toolchain, report: &mut Report) {
    let name = "clippy, kernel half";
    let clippy = toolchain.rustc.with_file_name("cargo-clippy");
    if !process::is_program(&clippy) {
        let rustc = toolchain.rustc.display();
        report.left_out(name, &format!("no clippy beside {rustc}; its build refused warnings"));
        return;
    }
    report.check(name, || {
        let folder: PathBuf = build::target_folder()?.join("profiler-ebpf");
        let mut command = Command::new(clippy);
        command.current_dir(process::workspace().join("profiler-ebpf"));
        process::forget_cargo_run(&mut command);
        command.args(["clippy", "--release", "--target", "bpfel-unknown-none", "--target-dir"]);
        command.arg(folder);
        if toolchain.route == Route::Nightly {
            command.args(["-Z", "build-std=core"]);
        }
        command.args(["--", "-D", "warnings"]);
        if let Some(cargo) = &toolchain.cargo {
            command.env("CARGO", cargo);
        }
        command.env("RUSTC", &toolchain.rustc).env("RUSTC_BOOTSTRAP", "1");
        let flags = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        process::run(&mut command).context("the kernel half")
    });
}
