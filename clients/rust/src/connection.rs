//! A connection that blocks until the reply is there.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::error::CallError;
use crate::protocol::Method;
use crate::wire::{self, Frames, MAX_REPLY_BYTES, Mode, Reply, WireError};

/// Bytes that are read at a time: more than nearly any reply.
const PIECE_BYTES: usize = 8 * 1024;

/// A connection to an agent. What the agent gave to it ends with it.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    frames: Frames,
    piece: Box<[u8]>,
    out: Vec<u8>,
}

impl Connection {
    /// Connects to the first of several sockets where somebody answers.
    ///
    /// # Errors
    /// [`CallError::NoAgent`] names the last one.
    pub fn open(candidates: &[PathBuf]) -> Result<Self, CallError> {
        let mut error = None;
        for path in candidates {
            match UnixStream::connect(path) {
                Ok(stream) => return Ok(Self::over(stream)),
                Err(reason) => error = Some(best(error, path, reason)),
            }
        }
        Err(error.unwrap_or_else(|| CallError::NoAgent {
            path: PathBuf::new(),
            reason: io::ErrorKind::NotFound.into(),
        }))
    }

    /// Connects to one socket.
    ///
    /// # Errors
    /// [`CallError::NoAgent`].
    pub fn at(path: &Path) -> Result<Self, CallError> {
        Self::open(&[path.to_owned()])
    }

    /// Speaks over a stream that is connected already.
    #[must_use]
    pub fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            frames: Frames::new(MAX_REPLY_BYTES),
            piece: vec![0; PIECE_BYTES].into_boxed_slice(),
            out: Vec::new(),
        }
    }

    /// Calls a method that gives one reply.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<M: Method>(&mut self, parameters: &M) -> Result<M::Reply, CallError> {
        self.send(M::NAME, parameters, Mode::One)?;
        self.receive::<M>().map(|(reply, _)| reply)
    }

    /// Calls a method that may give several replies: the first comes with [`Self::receive`].
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub fn call_more<M: Method>(&mut self, parameters: &M) -> Result<(), CallError> {
        self.send(M::NAME, parameters, Mode::More)
    }

    /// Calls a method, and wants no reply.
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub fn call_oneway<M: Method>(&mut self, parameters: &M) -> Result<(), CallError> {
        self.send(M::NAME, parameters, Mode::Oneway)
    }

    /// The next reply to a call of `M`, and whether another follows.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn receive<M: Method>(&mut self) -> Result<(M::Reply, bool), CallError> {
        self.take(|reply| {
            let value = serde_json::from_str(reply.parameters()).map_err(WireError::Malformed)?;
            Ok((value, reply.continues()))
        })
    }

    /// Calls any method, with any parameters.
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub fn send(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
        mode: Mode,
    ) -> Result<(), CallError> {
        self.out.clear();
        wire::put_call(&mut self.out, method, parameters, mode).map_err(WireError::Malformed)?;
        match self.stream.write_all(&self.out) {
            Ok(()) => Ok(()),
            // It may have said why before it went away.
            Err(error) if mode != Mode::Oneway => match self.take(|_| Ok(())) {
                Err(said) if !said.is_absence() => Err(said),
                _ => Err(CallError::Lost(error)),
            },
            Err(error) => Err(CallError::Lost(error)),
        }
    }

    /// The parameters of the next reply as JSON text, and whether another follows.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn receive_text(&mut self) -> Result<(String, bool), CallError> {
        self.take(|reply| Ok((reply.parameters().to_owned(), reply.continues())))
    }

    /// Waits at most so long for a reply from now on; `None` for ever. A reply that comes too late is
    /// [`CallError::Lost`].
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), CallError> {
        self.stream.set_read_timeout(timeout).map_err(CallError::Lost)
    }

    /// Whether the agent has closed the connection, or said something that nobody asked for.
    pub(crate) fn is_stale(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut fds, Some(&now)), Ok(0))
    }

    fn take<T>(
        &mut self,
        read: impl FnOnce(&Reply<'_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let mut length = 0;
        loop {
            let mut rest = &self.piece[..length];
            if let Some(message) = self.frames.next(&mut rest)? {
                let reply = Reply::parse(message)?;
                let value = match CallError::of(&reply) {
                    Some(error) => Err(error),
                    None => read(&reply),
                };
                self.frames.keep(rest);
                return value;
            }
            length = match self.stream.read(&mut self.piece) {
                Ok(0) => return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(CallError::Lost(error)),
            };
        }
    }
}

/// The error to tell of two: what is there and refuses says more than what is not there.
pub(crate) fn best(former: Option<CallError>, path: &Path, reason: io::Error) -> CallError {
    match former {
        Some(former) if reason.kind() == io::ErrorKind::NotFound => former,
        _ => CallError::NoAgent { path: path.to_owned(), reason },
    }
}
