//! An ad-hoc session: one command or process, measured from begin to end.
//!
//! A [`Meter`] is either [`Exact`] (eBPF) or [`Sampled`] (`/proc`); both make the same record.

mod command;
mod exact;
mod host;
mod host_totals;
mod sampled;
mod signals;

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command};

use rustix::event::PollFd;

use crate::model::{Conservation, ProcessRecord, ThreadRecord, Usage};

pub use command::{Followed, Outcome, follow, run_to_end};
pub use exact::Exact;
pub use host::this_host;
pub use sampled::Sampled;
pub use signals::Signals;

/// Measures one command or process.
pub trait Meter {
    /// Starts a command so that all of it is measured, from its first instruction.
    ///
    /// # Errors
    /// As `Command::spawn`.
    fn spawn(&mut self, command: Command) -> io::Result<Child>;

    /// Measures a process that runs already, and what it starts from now on.
    ///
    /// # Errors
    /// One clear line on why this process cannot be measured.
    fn attach(&mut self, pid: u32) -> Result<(), AttachError>;

    /// Takes in what happened since the last call, and says how things stand.
    fn look(&mut self) -> Standing;

    /// How long until the next look is due, in milliseconds.
    fn look_every_ms(&self) -> u64;

    /// A descriptor that asks for an earlier look when it becomes readable.
    fn early_look(&self) -> Option<PollFd<'_>>;

    /// Ends the measurement. Figures of tasks that are just ending are waited for.
    fn finish(self: Box<Self>) -> Measured;
}

/// Why a running process cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No such process.
    #[error("no process has the id {0}")]
    NoProcess(u32),
    /// It is a thread, not a process.
    #[error("{0} is a thread of process {1}; attach to that")]
    Thread(u32, u32),
    /// It has ended already.
    #[error("process {0} ({1}) is a zombie: it has ended and waits for its parent {2}")]
    Zombie(u32, String, u32),
    /// It belongs to the kernel.
    #[error("process {0} ({1}) is a kernel thread; only user processes can be measured")]
    KernelThread(u32, String),
    /// Something else.
    #[error("cannot measure process {0}: {1}")]
    Other(u32, String),
}

/// How things stand at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Time on CPU so far.
    pub cpu_ns: u64,
    /// Tasks alive now.
    pub tasks: u64,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The whole.
    pub usage: Usage,
    /// Each process.
    pub processes: Vec<ProcessRecord>,
    /// Each thread.
    pub threads: Vec<ThreadRecord>,
    /// Tasks that still run.
    pub still_running: u64,
    /// Time that our programs took in the kernel; `None` unless the kernel keeps it.
    pub bpf_ns: Option<u64>,
    /// The host's own totals over the same time; `None` for samples.
    pub conservation: Option<Conservation>,
}

/// Checks that `pid` is a process that can be measured.
fn check_process(pid: u32) -> Result<(), AttachError> {
    let other = |error: &dyn std::fmt::Display| AttachError::Other(pid, error.to_string());
    let process = pid.try_into().map_err(|_| AttachError::NoProcess(pid)).and_then(|pid_t| {
        procfs::process::Process::new(pid_t).map_err(|error| match error {
            procfs::ProcError::NotFound(_) => AttachError::NoProcess(pid),
            error => other(&error),
        })
    })?;
    let status = process.status().map_err(|error| match error {
        procfs::ProcError::NotFound(_) => AttachError::NoProcess(pid),
        error => other(&error),
    })?;
    let stat = process.stat().map_err(|error| other(&error))?;
    if status.tgid.cast_unsigned() != pid {
        return Err(AttachError::Thread(pid, status.tgid.cast_unsigned()));
    }
    match stat.state {
        'Z' | 'X' => Err(AttachError::Zombie(pid, stat.comm, stat.ppid.cast_unsigned())),
        _ if stat.flags & PF_KTHREAD != 0 => Err(AttachError::KernelThread(pid, stat.comm)),
        _ => Ok(()),
    }
}

/// The flag of a kernel thread, in the kernel's `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Counts a loss, if there is one.
fn note_loss(lost: &mut BTreeMap<String, u64>, cause: &str, count: u64) {
    if count > 0 {
        lost.insert(cause.to_owned(), count);
    }
}
