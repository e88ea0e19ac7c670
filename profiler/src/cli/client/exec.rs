//! `profiler exec --connector NAME -- COMMAND`.

use std::io::{IsTerminal, Write, stderr};
use std::process::{Command, ExitCode};

use profiler_client::protocol::{Grant, Outcome, Usage, Waiting};
use profiler_client::{Client, Lease};
use serde::Serialize;

use super::args::Exec;
use super::failure;
use crate::cli::run::not_started;
use crate::cli::{FAILED, Failure, USAGE};
use crate::export::json::Target;
use crate::session::{Signals, run_to_end};
use crate::ui::agent;

/// What `--json` writes.
#[derive(Serialize)]
struct Record {
    grant: Option<Grant>,
    usage: Option<Usage>,
    exit_status: i32,
}

/// Waits for a slot, runs the command, and gives the slot back.
pub(super) fn exec(args: &Exec) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) =
        args.command.split_first().filter(|(name, _)| !name.is_empty())
    else {
        return Err(Failure::new(USAGE, "the command is empty"));
    };
    let json = match &args.json {
        Some(path) => Some(Target::open(path).map_err(|error| {
            Failure::new(USAGE, format_args!("cannot write --json {}: {error}", path.display()))
        })?),
        None => None,
    };
    let client = args.socket.as_ref().map_or_else(Client::new, Client::at);
    // Until here a signal ends us, and with the connection the place in the queue.
    let request = args.request().children();
    let lease = client.acquire_telling(&request, told).map_err(failure)?;
    if !lease.is_managed() {
        eprintln!("profiler: no agent; the command runs unmanaged");
    }
    let grant = lease.grant().cloned();
    let mut signals = Signals::take()?;
    let mut child = match Command::new(program).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            // What became of the slot matters less than why there is no command.
            let _ = lease.release(Some(Outcome::Cancelled));
            return Err(not_started(program, &error));
        }
    };
    let status = run_to_end(&mut child, &mut signals)?.status();
    let usage = released(lease, status);
    report(args, json.as_ref(), Record { grant, usage, exit_status: status })
}

/// The figures, as far as there are any: the command has had its effect, and its exit status counts.
fn released(lease: Lease, status: i32) -> Option<Usage> {
    let outcome = if status == 0 { Outcome::Succeeded } else { Outcome::Failed };
    match lease.release(Some(outcome)) {
        Ok(usage) => usage.map(|usage| Usage { exit_status: Some(status), ..usage }),
        Err(error) => {
            eprintln!("profiler: no figures: {error}");
            None
        }
    }
}

fn report(args: &Exec, json: Option<&Target>, record: Record) -> Result<ExitCode, Failure> {
    if args.usage {
        let text = record.usage.as_ref().map_or_else(
            || "profiler: nobody counted what the command used\n".to_owned(),
            agent::usage,
        );
        // Standard error may be closed; the exit status still says how the command ended.
        let _ = stderr().write_all(text.as_bytes());
    }
    let written = json.map_or(Ok(()), |target| target.write(&record));
    let status = u8::try_from(record.exit_status).unwrap_or(FAILED);
    match written {
        Err(error) if status == 0 => {
            Err(Failure::new(FAILED, format_args!("cannot write --json: {error}")))
        }
        _ => Ok(ExitCode::from(status)),
    }
}

/// Says at a terminal why nothing happens yet.
fn told(waiting: &Waiting) {
    if stderr().is_terminal() {
        eprintln!("profiler: {}", agent::waiting(waiting));
    }
}
