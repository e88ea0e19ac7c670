//! `cargo xtask vm`: runs the integration tests, or a command, under another kernel.
//!
//! The kernels are Debian's, for cloud machines: taken out of their packages, never installed. The
//! guest has a small root in memory with busybox, the product and whatever it links to, and the
//! host's processor, emulated where it cannot be virtualised. Promises: each command's output and
//! exit status come back; a guest that hangs or dies is reported with the end of its console.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::{build, process, setup};
use boot::{Boot, Outcome};
use initramfs::Root;

pub(crate) mod boot;
mod initramfs;
mod kernel;
mod needed;

/// The options of `cargo xtask vm`.
#[derive(Args)]
pub(crate) struct Options {
    /// Which kernel
    #[arg(long, default_value = "all")]
    kernel: Wanted,
    /// Give up on a guest after so many seconds
    #[arg(long, default_value_t = 1800)]
    timeout: u64,
    /// Also take this program or file of the host, with the libraries it needs
    #[arg(long, value_name = "PATH")]
    with: Vec<PathBuf>,
    /// Run this instead of the integration tests: `cargo xtask vm -- profiler doctor`
    #[arg(last = true)]
    command: Vec<String>,
}

/// The kernels that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// The oldest that is supported
    #[value(name = "6.1")]
    V6_1,
    /// A recent one with long support
    #[value(name = "6.12")]
    V6_12,
    /// Each of them
    All,
}

/// The series that tests run under.
pub(crate) const SERIES: [&str; 2] = ["6.1", "6.12"];

/// How long one test program may take in a guest: emulation is some ten times slower.
const PROGRAM_LIMIT: Duration = Duration::from_secs(400);

/// One command for the guest's shell.
#[derive(Debug)]
pub(crate) struct GuestCommand {
    /// What reports call it.
    pub(crate) name: String,
    /// As the shell reads it.
    pub(crate) line: String,
}

/// Runs what was asked for under each kernel; the exit status is the guest's.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let series: &[&str] = match options.kernel {
        Wanted::V6_1 => &SERIES[..1],
        Wanted::V6_12 => &SERIES[1..],
        Wanted::All => &SERIES,
    };
    setup::ensure()?;
    let programs = Programs::build()?;
    let commands = if options.command.is_empty() {
        programs.commands(None)
    } else {
        let line = options.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        vec![GuestCommand { name: options.command.join(" "), line }]
    };
    let mut code = 0;
    for series in series {
        eprintln!("kernel {series}");
        let limit = Duration::from_secs(options.timeout);
        let outcome = boot(series, &programs, &options.with, &commands, limit)?;
        for command in outcome.finished.iter().filter(|command| command.status != 0) {
            eprintln!("kernel {series}: `{}` exited with {}", command.name, command.status);
            code = if code == 0 { command.status } else { code };
        }
        if let Some(failure) = outcome.failure {
            bail!("kernel {series}: {failure}");
        }
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// The programs that go into the guest.
pub(crate) struct Programs {
    profiler: PathBuf,
    workload: Option<PathBuf>,
    tests: BTreeMap<String, PathBuf>,
}

impl Programs {
    /// Builds all of them, the way that `cargo xtask test` does.
    fn build() -> Result<Self> {
        let mut command = process::cargo();
        command.args(["build", "--workspace", "--bins", "--tests"]);
        Self::of(&build::cargo(command)?)
    }

    /// Picks them from what was built.
    pub(crate) fn of(built: &build::Built) -> Result<Self> {
        let profiler = built.programs.get("profiler").cloned();
        Ok(Self {
            profiler: profiler.context("cargo built no program called profiler")?,
            workload: built.programs.get("workload").cloned(),
            tests: built.integration_tests.clone(),
        })
    }

    /// One command for each test program. What it skipped goes to a file, and is printed after a
    /// word that no test prints.
    pub(crate) fn commands(&self, filter: Option<&str>) -> Vec<GuestCommand> {
        let filter = filter.map(quoted).unwrap_or_default();
        let limit = PROGRAM_LIMIT.as_secs();
        let line = |name: &String| {
            format!("timeout -k 10 {limit} /tests/{name} --test-threads=1 {filter}")
        };
        self.tests
            .keys()
            .map(|name| GuestCommand { name: name.clone(), line: line(name) })
            .collect()
    }
}

/// Boots the series with the programs, runs the commands, and returns how they ended.
pub(crate) fn boot(
    series: &str,
    programs: &Programs,
    with: &[PathBuf],
    commands: &[GuestCommand],
    limit: Duration,
) -> Result<Outcome> {
    let kernel = kernel::find(series)?;
    eprintln!("kernel package {}", kernel.package);
    let folder = build::target_folder()?.join("vm");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;

    let mut root = Root::default();
    root.busybox(&needed::busybox()?)?;
    root.program(&programs.profiler, Path::new("/bin/profiler"))?;
    if let Some(workload) = &programs.workload {
        root.program(workload, Path::new("/bin/workload"))?;
    }
    for (name, test) in &programs.tests {
        root.program(test, &Path::new("/tests").join(name))?;
    }
    for file in with {
        let file = file.canonicalize().with_context(|| file.display().to_string())?;
        root.program(&file, &file)?;
    }
    root.modules(&kernel.modules)?;
    let boot = Boot::new(kernel.image, folder.join(format!("{series}.log")), limit);
    root.text("/init", 0o755, &boot.init(commands));
    let image = folder.join(format!("{series}.cpio"));
    root.write(&image).with_context(|| format!("cannot write {}", image.display()))?;
    boot.run(&image, commands)
}

/// A word for the guest's shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
