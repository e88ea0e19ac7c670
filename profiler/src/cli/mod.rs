//! The command line: one file per command, and the exit statuses that they share.

mod args;
mod attach;
mod doctor;
mod output;
mod run;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};

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
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "profiler",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("profiler: {:#}", error.reason);
        ExitCode::from(error.status)
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
