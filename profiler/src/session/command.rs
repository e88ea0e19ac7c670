//! Following a session from its begin to its end: signals, looks, the live line.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal as KillSignal, kill_process, pidfd_open};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::{Meter, Signals, Standing};

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command exited with this status.
    Exited(i32),
    /// This signal ended the command.
    Signalled(i32),
    /// The measurement ended while the process runs on, or with a process that is not our child.
    Detached,
}

impl Outcome {
    /// As shells show it: the status itself, or 128 and the signal.
    #[must_use]
    pub const fn status(self) -> i32 {
        match self {
            Self::Exited(status) => status,
            Self::Signalled(signal) => 128 + signal,
            Self::Detached => 0,
        }
    }
}

/// Whom a session follows.
#[derive(Debug)]
pub enum Followed<'a> {
    /// A command of ours. Signals sent to us are passed on to it. With `wait_all` the session goes
    /// on until everything that it started has ended too.
    Command {
        /// The command's process.
        child: &'a mut Child,
        /// Whether to wait for detached descendants.
        wait_all: bool,
    },
    /// Somebody else's process. A signal, or the time running out, ends the session.
    Process {
        /// Process id.
        pid: u32,
        /// When to stop.
        until: Option<Instant>,
    },
}

/// Follows until the end. `show` is called at each look.
///
/// # Errors
/// What the system says.
pub fn follow(
    mut followed: Followed<'_>,
    meter: &mut dyn Meter,
    signals: &mut Signals,
    mut show: impl FnMut(Standing),
) -> io::Result<Outcome> {
    let pidfd = match &followed {
        Followed::Process { pid, .. } => Some(process_fd(*pid)?),
        Followed::Command { .. } => None,
    };
    let mut outcome = None;
    loop {
        let ended = {
            let mut fds = vec![signals.poll_fd()];
            fds.extend(meter.early_look());
            fds.extend(pidfd.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
            wait(&mut fds, timeout(&followed, meter))?;
            pidfd.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty())
        };
        let mut stop = ended;
        for signal in signals.pending() {
            match (&mut followed, signal.number) {
                (_, SIGCHLD) => {}
                (Followed::Command { child, .. }, number) if signal.sent_to_us => {
                    pass_on(child, number, outcome.is_some());
                }
                (Followed::Command { .. }, number) => stop |= outcome.is_some() && ends(number),
                (Followed::Process { .. }, number) => stop |= ends(number),
            }
        }
        let standing = meter.look();
        show(standing);
        match &mut followed {
            Followed::Command { child, wait_all } => {
                if outcome.is_none() {
                    outcome = child.try_wait()?.map(outcome_of);
                }
                let over = !*wait_all || standing.tasks == 0 || stop;
                if let Some(outcome) = outcome.filter(|_| over) {
                    return Ok(outcome);
                }
            }
            Followed::Process { until, .. } => {
                if stop || until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(Outcome::Detached);
                }
            }
        }
    }
}

/// Waits for a command of ours to end, and passes on to it the signals that are sent to us. Nothing is
/// measured.
///
/// # Errors
/// What the system says.
pub fn run_to_end(child: &mut Child, signals: &mut Signals) -> io::Result<Outcome> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(outcome_of(status));
        }
        // The end of a child is a signal, too.
        wait(&mut [signals.poll_fd()], Duration::from_secs(1))?;
        for signal in signals.pending() {
            if signal.number != SIGCHLD && signal.sent_to_us {
                pass_on(child, signal.number, false);
            }
        }
    }
}

const fn ends(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGTERM | SIGHUP)
}

/// Passes a signal on to the command as long as it is there to get it.
fn pass_on(child: &Child, number: i32, is_over: bool) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal), false) = (pid, KillSignal::from_named_raw(number), is_over) {
        // It can only fail if the command has just ended, which the next look finds out.
        let _ = kill_process(pid, signal);
    }
}

fn outcome_of(status: std::process::ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(code),
        (None, Some(signal)) => Outcome::Signalled(signal),
        (None, None) => Outcome::Exited(1),
    }
}

fn process_fd(pid: u32) -> io::Result<impl AsFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn timeout(followed: &Followed<'_>, meter: &dyn Meter) -> Duration {
    let look = Duration::from_millis(meter.look_every_ms());
    match followed {
        Followed::Process { until: Some(until), .. } => {
            look.min(until.saturating_duration_since(Instant::now()))
        }
        _ => look,
    }
}

fn wait(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
