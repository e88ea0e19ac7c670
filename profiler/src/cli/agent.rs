//! `profiler agent`: the daemon that workers talk to; `profiler unpin`: takes what it left off the
//! kernel.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::args::{Agent, Unpin};
use super::{Failure, print};
use crate::agent::{self, Settings};
use crate::ipc::Limits;
use crate::kernel::{Capacity, PIN_ROOT, Pins};
use crate::model::Bytes;

/// Memory that jobs never get, unless said otherwise: what a desktop needs to stay usable.
const RESERVE: Bytes = Bytes(500 << 20);

pub(super) fn agent(args: &Agent) -> Result<ExitCode, Failure> {
    let filter = EnvFilter::try_from_env("PROFILER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    let settings = settings(args)?;
    agent::run(&settings, |is_taken_over| greet(&settings, is_taken_over))?;
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Agent) -> Result<Settings, Failure> {
    let folder = match &args.sockets {
        Some(folder) => folder.clone(),
        None => default_folder()?,
    };
    fs::create_dir_all(&folder)
        .map_err(|error| anyhow::anyhow!("cannot make {}: {error}", folder.display()))?;
    Ok(Settings {
        worker_socket: folder.join("worker.sock"),
        control_socket: folder.join("control.sock"),
        groups: (group("profiler"), group("profiler-admin")),
        limits: Limits::default(),
        capacity: Capacity::AGENT,
        pins: args.pins.clone().unwrap_or_else(|| PIN_ROOT.into()),
        keep_on_stop: args.keep_on_stop,
        memory_reserve: RESERVE,
    })
}

/// `/run/profiler` for root, a folder of one's own for everybody else.
fn default_folder() -> Result<PathBuf, Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok("/run/profiler".into());
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("profiler"));
    own.ok_or_else(|| anyhow::anyhow!("XDG_RUNTIME_DIR is not set; say --sockets FOLDER").into())
}

/// The number of a group, if there is one of that name.
fn group(name: &str) -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Says where the agent listens, and what can be done with it.
fn greet(settings: &Settings, is_taken_over: bool) {
    let mut text = format!(
        "profiler agent {}\n  workers    {}\n  operators  {}\n",
        env!("CARGO_PKG_VERSION"),
        settings.worker_socket.display(),
        settings.control_socket.display(),
    );
    if is_taken_over {
        text += "  took over what a former agent counted\n";
    }
    text += "\n  profiler status                                   what it does\n  \
             profiler exec --connector local_files -- COMMAND  a job, with what it cost\n  \
             Ctrl-C                                            ends it\n";
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
