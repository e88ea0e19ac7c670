//! The signals that concern a session, as events to poll for.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::origin::{Origin, WithOrigin};
use signal_hook::low_level::siginfo::{Cause, Sent};

/// Signals that a session takes over: passed on to the command, or the end of an attachment.
const TAKEN: [i32; 7] = [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Delivery of the signals that a session takes over, until it is dropped.
#[derive(Debug)]
pub struct Signals(SignalDelivery<UnixStream, WithOrigin>);

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Whether somebody sent it to us alone. The terminal sends its signals to the whole foreground
    /// group, the command included, which must not get them twice.
    pub sent_to_us: bool,
}

impl Signals {
    /// Takes the signals over, but for those that whoever started us wants ignored, as `nohup` does:
    /// the command is to inherit that, and a handler of ours would undo it.
    ///
    /// # Errors
    /// What the system says.
    pub fn take() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let wanted: Vec<i32> = TAKEN.into_iter().filter(|&signal| !is_ignored(signal)).collect();
        SignalDelivery::with_pipe(read, write, WithOrigin::default(), wanted).map(Self)
    }

    /// What to poll for.
    #[must_use]
    pub fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.0.get_read(), PollFlags::IN)
    }

    /// The signals that came since the last call. Does not wait.
    pub fn pending(&mut self) -> impl Iterator<Item = Signal> {
        self.0.pending().map(|origin: Origin| Signal {
            number: origin.signal,
            sent_to_us: matches!(origin.cause, Cause::Sent(Sent::User | Sent::TKill | Sent::Queue)),
        })
    }
}

/// Whether a signal is ignored by this process, and so by what it starts.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: zeros are a valid `sigaction`.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only, into a valid place.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    asked == 0 && now.sa_sigaction == libc::SIG_IGN
}
