//! `profiler run -- COMMAND`.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, ExitCode};

use super::args::Run;
use super::output::{finish, live, meter, open_json};
use super::{FAILED, Failure, USAGE};
use crate::session::{Followed, Signals, follow};

/// No such command, as shells say it.
const NOT_FOUND: u8 = 127;
/// The command cannot be executed, as shells say it.
const NOT_EXECUTABLE: u8 = 126;

/// Runs the command under measurement.
pub(super) fn run(args: &Run) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) =
        args.command.split_first().filter(|(name, _)| !name.is_empty())
    else {
        return Err(Failure::new(USAGE, "the command is empty"));
    };
    let json = open_json(&args.output)?;
    let mut meter = meter(&args.output)?;
    // Before the command starts: a signal that comes early must reach it too.
    let mut signals = Signals::take()?;
    let mut command = Command::new(program);
    command.args(arguments);
    let mut child = meter.spawn(command).map_err(|error| not_started(program, &error))?;
    let followed = Followed::Command { child: &mut child, wait_all: args.wait_all };
    let outcome = follow(followed, &mut *meter, &mut signals, live(&args.output))?;
    let shown = args.command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    finish(&args.output, json.as_ref(), shown, meter.finish(), Some(outcome.status()))
}

pub(super) fn not_started(program: &OsStr, error: &io::Error) -> Failure {
    let program = program.to_string_lossy();
    let (status, reason) = match error.kind() {
        io::ErrorKind::NotFound => (NOT_FOUND, "no such command".to_owned()),
        io::ErrorKind::PermissionDenied => (NOT_EXECUTABLE, "not executable".to_owned()),
        _ if error.raw_os_error().is_some() => (NOT_EXECUTABLE, error.to_string()),
        _ => (FAILED, error.to_string()),
    };
    Failure::new(status, format_args!("cannot run {program}: {reason}"))
}
