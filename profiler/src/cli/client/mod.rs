//! The commands that talk to an agent.

mod args;
mod call;
mod exec;
mod view;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use profiler_client::protocol::{
    Connectors, Explain, ExplainJob, ExplainedJob, History, Jobs, LeaseId, ServiceError, Status,
    Text, WorkerError,
};
use profiler_client::{CallError, Connection, Socket};

pub(super) use args::Command;

use super::{FAILED, Failure, USAGE};
use crate::ui::agent;

/// No slot now, or the agent takes no work: the same may work later. `EX_TEMPFAIL` of `sysexits.h`.
const LATER: u8 = 75;

/// Does what a command says.
pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Exec(args) => exec::exec(args),
        Command::Call(args) => call::call(args),
        Command::Status(args) => view::live(&Status {}, &args.view, agent::status),
        Command::Slots(args) => view::live(&connectors(args.connector()), &args.view, agent::slots),
        Command::Connectors(args) => {
            view::live(&connectors(args.connector()), &args.view, agent::connectors)
        }
        Command::Jobs(args) => {
            let connector = args.connector();
            view::live(&Jobs { connector }, &args.view, |list| agent::jobs(&list.jobs))
        }
        Command::History(args) => {
            let since_unix_ms = args.since_unix_ms();
            let connector = args.connector.as_deref().map(Text::from);
            let parameters = History { connector, since_unix_ms, limit: Some(args.limit) };
            view::once(&parameters, &args.one, |list| agent::history(&list.jobs))
        }
        Command::Explain(args) => {
            if let Some(lease) = args.job {
                let lease = LeaseId(lease);
                let shown = |job: &ExplainedJob| agent::explained_job(lease, job);
                return view::once(&ExplainJob { lease }, &args.one, shown);
            }
            let name = args.connector.as_deref().unwrap_or_default();
            let connector = Text::from(name);
            view::once(&Explain { connector }, &args.one, |explained| {
                agent::explained(name, explained)
            })
        }
    }
}

const fn connectors(connector: Option<Text<'_>>) -> Connectors<'_> {
    Connectors { connector }
}

/// Connects to the socket that the user named, or to the usual one.
fn connect(named: Option<&PathBuf>, socket: Socket) -> Result<Connection, Failure> {
    let candidates = named.map_or_else(|| socket.candidates(), |path| vec![path.clone()]);
    Connection::open(&candidates).map_err(failure)
}

/// What a call came to, in one line with the next step.
fn failure(error: CallError) -> Failure {
    let status = match &error {
        CallError::Worker(WorkerError::NotGranted { .. } | WorkerError::Draining {}) => LATER,
        CallError::Service(
            ServiceError::InvalidParameter { .. }
            | ServiceError::MethodNotFound { .. }
            | ServiceError::InterfaceNotFound { .. },
        ) => USAGE,
        _ => FAILED,
    };
    Failure::new(status, reason(&error))
}

fn reason(error: &CallError) -> String {
    let CallError::NoAgent { path, reason } = error else { return error.to_string() };
    let shown = path.display();
    match reason.kind() {
        io::ErrorKind::NotFound => {
            format!("no agent at {shown}; `profiler agent` starts one")
        }
        io::ErrorKind::ConnectionRefused => {
            format!("the agent at {shown} has ended; `profiler agent` starts one")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not permitted to talk to the agent at {shown}; its group is (`ls -l {shown}`)")
        }
        _ => error.to_string(),
    }
}
