//! `profiler agent`: the daemon that workers talk to; `profiler unpin`: takes what it left off the
//! kernel.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use profiler_client::Socket;
use tracing_subscriber::EnvFilter;

use super::args::{Agent, Unpin};
use super::{Failure, USAGE, print};
use crate::agent::{self, Counting, Listening};
use crate::config::{Config, Layers, LogFormat};
use crate::kernel::{Legacy, PIN_ROOT, Pins};

pub(super) fn agent(args: &Agent) -> Result<ExitCode, Failure> {
    let mut set = args.configuration.set.clone();
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    if let Some(folder) = &args.sockets {
        set.push(format!("sockets.worker={}", quoted(&folder.join("worker.sock"))));
        set.push(format!("sockets.control={}", quoted(&folder.join("control.sock"))));
    }
    if args.keep_on_stop {
        set.push("shutdown.keep_counting=true".to_owned());
    }
    let layers = Layers::of_process(args.configuration.config.clone(), set);
    let config = Config::load(&layers).map_err(|problems| Failure::new(USAGE, problems))?;
    start_log(&config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    agent::run(layers, config, greet)?;
    Ok(ExitCode::SUCCESS)
}

fn start_log(config: &Config) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(config.log.filter.as_str()))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match config.log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// The option that a client needs to find a socket, if it needs any.
fn option(path: &Option<PathBuf>, socket: Socket) -> String {
    let elsewhere = path.as_ref().filter(|path| !socket.candidates().contains(path));
    elsewhere.map_or(String::new(), |path| format!(" --socket {}", path.display()))
}

/// Says where the agent listens, and what can be done with it.
fn greet(listening: &Listening) {
    let place = |path: &Option<PathBuf>| {
        path.as_ref().map_or("given by the service manager".into(), |p| p.display().to_string())
    };
    let mut text = format!(
        "profiler agent {}\n  workers    {}\n  operators  {}\n",
        env!("CARGO_PKG_VERSION"),
        place(&listening.worker),
        place(&listening.control),
    );
    match &listening.counting {
        Counting::Exactly(Legacy::None) => {}
        Counting::Exactly(Legacy::TakenOver) => text += "  took over what a former agent counted\n",
        Counting::Sampled(None) => {
            text += "  figures are samples of /proc, as attribution.enabled is false\n";
        }
        Counting::Sampled(Some(why)) => {
            text += &format!("  figures are samples of /proc, not exact: {why}\n");
            text += "  `profiler doctor` says how to get exact ones\n";
        }
        Counting::Exactly(Legacy::Lost { reasons }) => {
            text += "  lost what a former agent counted, and its leases:\n";
            text.extend(reasons.iter().map(|reason| format!("    {reason}\n")));
        }
    }
    if let Some(trouble) = &listening.history_trouble {
        text += &format!("  no history: {trouble}\n");
    }
    let next = [
        (format!("profiler status{}", option(&listening.control, Socket::Control)), "what it does"),
        (
            format!(
                "profiler exec{} --connector local_files -- COMMAND",
                option(&listening.worker, Socket::Worker)
            ),
            "a job, with what it cost",
        ),
        ("Ctrl-C".to_owned(), "ends it"),
    ];
    let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    text.push('\n');
    text.extend(next.map(|(command, what)| format!("  {command:width$}  {what}\n")));
    // Nobody may be looking.
    let _ = io::stderr().write_all(text.as_bytes());
}

pub(super) fn unpin(args: &Unpin) -> Result<ExitCode, Failure> {
    let root = args.pins.clone().unwrap_or_else(|| PIN_ROOT.into());
    let removed = Pins::below(&root).remove_all().map_err(|error| {
        anyhow::anyhow!("cannot remove what is pinned below {}: {error}", root.display())
    })?;
    if removed.is_empty() {
        print(&format!("nothing is pinned below {}\n", root.display()))?;
    }
    for folder in removed {
        print(&format!("removed {}\n", folder.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
