//! The command line: one file per command, and the exit statuses that they share.

mod agent;
mod args;
mod attach;
mod check_config;
mod client;
mod diff;
mod doctor;
mod output;
mod own_cost;
mod replay;
mod run;
mod simulate;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};

use crate::ui::text::plain;

/// Something failed that is neither the user's input nor the command's own doing.
const FAILED: u8 = 1;
/// The arguments cannot be used as they are.
const USAGE: u8 = 2;

/// Parses the arguments, does what they say, and returns the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Run(args) => run::run(&args),
        Command::Attach(args) => attach::attach(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Agent(args) => agent::agent(&args),
        Command::Unpin(args) => agent::unpin(&args),
        Command::CheckConfig(args) => check_config::check_config(&args),
        Command::Client(command) => client::run(&command),
        Command::Completion { shell } => completion(shell),
    };
    result.unwrap_or_else(|error| {
        // A reason may name a process, whose name is its own choice.
        let reason = format!("{:#}", error.reason);
        let reason = reason.lines().map(plain).collect::<Vec<_>>().join("\n");
        // Standard error may be closed; the exit status is left.
        let _ = writeln!(io::stderr(), "profiler: {reason}");
        ExitCode::from(error.status)
    })
}

fn completion(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "profiler", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints to standard output. A reader that has seen enough and went away is no error.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// An error with the exit status that it ends in.
#[derive(Debug)]
struct Failure {
    reason: anyhow::Error,
    status: u8,
}

impl Failure {
    fn new(status: u8, reason: impl std::fmt::Display) -> Self {
        Self { reason: anyhow::anyhow!("{reason}"), status }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { reason: error.into(), status: FAILED }
    }
}
