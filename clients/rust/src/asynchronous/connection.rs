//! A connection that is awaited.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::connection::best;
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
    /// A call that was dropped before its last reply, which would be taken for the next call's.
    is_open_ended: bool,
}

impl Connection {
    /// Connects to the first of several sockets where somebody answers.
    ///
    /// # Errors
    /// [`CallError::NoAgent`].
    pub async fn open(candidates: &[PathBuf]) -> Result<Self, CallError> {
        let mut error = None;
        for path in candidates {
            match UnixStream::connect(path).await {
                Ok(stream) => return Ok(Self::over(stream)),
                Err(reason) => error = Some(best(error, path, reason)),
            }
        }
        Err(error.unwrap_or_else(|| CallError::NoAgent {
            path: PathBuf::new(),
            reason: io::ErrorKind::NotFound.into(),
        }))
    }

    fn over(stream: UnixStream) -> Self {
        let piece = vec![0; PIECE_BYTES].into_boxed_slice();
        Self { stream, frames: Frames::new(MAX_REPLY_BYTES), piece, is_open_ended: false }
    }

    /// Calls a method that gives one reply.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<M: Method>(&mut self, parameters: &M) -> Result<M::Reply, CallError> {
        self.send(M::NAME, parameters, Mode::One).await?;
        self.receive::<M>().await.map(|(reply, _)| reply)
    }

    /// Calls a method that may give several replies: the first comes with [`Self::receive`].
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub async fn call_more<M: Method>(&mut self, parameters: &M) -> Result<(), CallError> {
        self.send(M::NAME, parameters, Mode::More).await
    }

    /// Calls a method and wants no reply, now or not at all: whether it went out whole.
    pub(super) fn call_oneway_now<M: Method>(&mut self, parameters: &M) -> bool {
        let mut out = Vec::new();
        let is_put = wire::put_call(&mut out, M::NAME, parameters, Mode::Oneway).is_ok();
        is_put && self.stream.try_write(&out).is_ok_and(|length| length == out.len())
    }

    /// The next reply to a call of `M`, and whether another follows.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn receive<M: Method>(&mut self) -> Result<(M::Reply, bool), CallError> {
        let mut length = 0;
        loop {
            let mut rest = &self.piece[..length];
            if let Some(message) = self.frames.next(&mut rest)? {
                let reply = Reply::parse(message)?;
                self.is_open_ended = reply.continues();
                let value = match CallError::of(&reply) {
                    Some(error) => Err(error),
                    None => serde_json::from_str(reply.parameters())
                        .map(|value| (value, reply.continues()))
                        .map_err(|error| WireError::Malformed(error).into()),
                };
                self.frames.keep(rest);
                return value;
            }
            length = self.stream.read(&mut self.piece).await.map_err(CallError::Lost)?;
            if length == 0 {
                return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Whether the agent has closed it, or replies may come that nobody waits for any more.
    pub(super) fn is_stale(&self) -> bool {
        // Nothing should come while nobody asks, not even the end.
        let mut byte = [0];
        let is_quiet = matches!(
            self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock
        );
        self.is_open_ended || self.frames.kept_bytes() > 0 || !is_quiet
    }

    async fn send(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
        mode: Mode,
    ) -> Result<(), CallError> {
        if self.is_open_ended {
            return Err(CallError::Lost(io::Error::other("a call was dropped before its reply")));
        }
        let mut out = Vec::new();
        wire::put_call(&mut out, method, parameters, mode).map_err(WireError::Malformed)?;
        self.is_open_ended = true;
        self.stream.write_all(&out).await.map_err(CallError::Lost)
    }
}
