//! `profiler call METHOD [JSON]`.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use profiler_client::Socket;
use profiler_client::interfaces::definition::{Interface, Kind};
use profiler_client::interfaces::{CONTROL, SERVICE, WORKER};
use profiler_client::protocol::{ControlCall, ServiceCall, WorkerCall};
use profiler_client::wire::Mode;
use serde_json::value::RawValue;

use super::args::Call;
use super::{connect, failure};
use crate::cli::{Failure, USAGE, print};

/// The interfaces, their methods, and where they are served.
const INTERFACES: [(&str, &[&str], Socket); 3] = [
    (WorkerCall::INTERFACE, WorkerCall::METHODS, Socket::Worker),
    (ControlCall::INTERFACE, ControlCall::METHODS, Socket::Control),
    (ServiceCall::INTERFACE, ServiceCall::METHODS, Socket::Worker),
];

/// Calls a method, or lists them.
pub(super) fn call(args: &Call) -> Result<ExitCode, Failure> {
    let Some(method) = &args.method else {
        print(&list()?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let (method, socket) = resolve(method).ok_or_else(|| {
        let reason = format!("no method {method:?}; `profiler call` lists them");
        Failure::new(USAGE, reason)
    })?;
    let parameters: &RawValue = serde_json::from_str(&args.parameters)
        .map_err(|error| Failure::new(USAGE, format_args!("the parameters: {error}")))?;
    if !parameters.get().starts_with('{') {
        return Err(Failure::new(USAGE, "the parameters are not a JSON object"));
    }
    let mut connection = connect(args.socket.as_ref(), socket)?;
    let mode = if args.more { Mode::More } else { Mode::One };
    connection.send(&method, &parameters, mode).map_err(failure)?;
    loop {
        let (text, continues) = connection.receive_text().map_err(failure)?;
        print(&shown(&text)?)?;
        if !continues {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The full name of a method, and where it is served. Names of other interfaces are left to the agent.
fn resolve(name: &str) -> Option<(String, Socket)> {
    for (interface, methods, socket) in INTERFACES {
        for method in methods {
            let full = format!("{interface}.{method}");
            if full == name || full.ends_with(&format!(".{name}")) {
                return Some((full, socket));
            }
        }
    }
    None
}

/// JSON for people at a terminal, and a line for programs.
fn shown(json: &str) -> Result<String, Failure> {
    if !stdout().is_terminal() {
        return Ok(format!("{json}\n"));
    }
    let value: serde_json::Value = serde_json::from_str(json)?;
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

/// Each method with its parameters, and the begin of what is said of it.
fn list() -> Result<String, Failure> {
    let mut text = String::new();
    for definition in [WORKER, CONTROL, SERVICE] {
        let interface = Interface::parse(definition)?;
        text += &format!("{}\n", interface.name);
        for member in &interface.members {
            let Kind::Method(takes, _) = &member.kind else { continue };
            let takes: Vec<String> =
                takes.iter().map(|field| format!("{}: {}", field.name, field.of)).collect();
            let first = member.comment.replace('\n', " ");
            let first = first.split_inclusive(". ").next().unwrap_or_default().trim_end();
            text += &format!("  {}({})\n      {first}\n", member.name, takes.join(", "));
        }
    }
    text += "\n`?` may be left out; `[]` is a list. docs/protocol.md says what each gives.\n";
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_by_the_end_of_its_name() {
        let full = "org.profiler.Control.Status".to_owned();
        for name in ["Status", "Control.Status", "org.profiler.Control.Status"] {
            assert_eq!(resolve(name), Some((full.clone(), Socket::Control)));
        }
        assert_eq!(resolve("Release").unwrap().0, "org.profiler.Worker.Release");
        assert_eq!(resolve("tatus"), None);
        assert_eq!(resolve(""), None);
    }

    #[test]
    fn every_method_is_listed_with_what_it_does() {
        let list = list().unwrap();
        for (_, methods, _) in INTERFACES {
            for method in methods {
                assert!(list.contains(&format!("\n  {method}(")), "{method} in\n{list}");
            }
        }
        assert!(list.contains("Release(lease: int, outcome: ?Outcome)\n      Gives the slot back"));
    }
}
