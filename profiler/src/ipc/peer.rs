//! Who is at the other end of a connection, as the kernel says.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::UnixStream;

/// The process that connected: as it was at that time, whatever it does later.
#[derive(Debug)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process id in our namespace; 0 if it has none here.
    pub pid: u32,
    /// The process itself, where the kernel gives that (Linux 6.5): unlike the number it cannot come
    /// to mean another process.
    pub pidfd: Option<OwnedFd>,
    /// The connection itself.
    pub line: Line,
}

/// A connection's socket. Means something only while the connection's session is open.
#[derive(Clone, Copy, Debug)]
pub struct Line(RawFd);

impl Line {
    /// Whether the client has closed it already. The end of a connection is noticed a little later
    /// than it comes, and what the client does next over another one may be noticed before.
    #[must_use]
    pub fn is_cut(self) -> bool {
        // SAFETY: it is open: a connection gives its session back before it closes its socket.
        let stream = unsafe { BorrowedFd::borrow_raw(self.0) };
        let mut ended = [PollFd::from_borrowed_fd(stream, PollFlags::RDHUP)];
        poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

impl Peer {
    /// Whoever connected.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            pid: credentials.pid().and_then(|pid| pid.try_into().ok()).unwrap_or(0),
            pidfd: pidfd(stream),
            line: Line(stream.as_raw_fd()),
        })
    }
}

fn pidfd(stream: &UnixStream) -> Option<OwnedFd> {
    let mut fd: libc::c_int = -1;
    let mut length = libc::socklen_t::try_from(size_of_val(&fd)).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `fd`, which has as many.
    let got = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut fd).cast(),
            &raw mut length,
        )
    };
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    (got == 0 && fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
