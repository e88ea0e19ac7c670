//! What answers calls, and how it does.

use std::task::{Context, Poll};

use profiler_client::protocol::{ControlCall, ErrorReply, WorkerCall, WorkerError};
use profiler_client::wire::{self, Mode};
use serde::Serialize;

use super::Peer;

/// Which interface a socket serves, besides `org.varlink.service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `org.profiler.Worker`.
    Worker,
    /// `org.profiler.Control`.
    Control,
}

/// A call, its parameters borrowed from the message.
#[derive(Debug)]
pub enum Call<'a> {
    /// From a worker.
    Worker(WorkerCall<'a>),
    /// From an operator.
    Control(ControlCall<'a>),
}

/// What answers calls. One thread calls it, never from within itself.
pub trait Service: 'static {
    /// What is kept for each connection.
    type Session: 'static;

    /// A call that waits.
    type Pending: Pending + 'static;

    /// A connection came. What it gives is kept until [`Self::closed`].
    ///
    /// # Errors
    /// What the peer is told before it is cut off.
    fn open(&self, peer: Peer, role: Role) -> Result<Self::Session, WorkerError>;

    /// Answers a call through `reply`, at once or later. Calls of the connection's own interface only.
    fn call(
        &self,
        session: &mut Self::Session,
        call: Call<'_>,
        reply: Reply<'_>,
    ) -> Answer<Self::Pending>;

    /// A connection is gone, whatever the reason. A call of it that waited was dropped before.
    fn closed(&self, session: Self::Session);
}

/// A call that waits. Dropped when its connection ends, at once.
pub trait Pending: Unpin {
    /// Gives the next reply once there is one, and has the task woken until then.
    ///
    /// Called only while the client takes what it is sent, so what is not yet given should be kept
    /// as the latest state only; [`Latest`](super::Latest) does that.
    fn poll(&mut self, context: &mut Context<'_>, reply: Reply<'_>) -> Poll<Told>;
}

/// For a service in which no call waits.
impl Pending for std::convert::Infallible {
    fn poll(&mut self, _: &mut Context<'_>, _: Reply<'_>) -> Poll<Told> {
        match *self {}
    }
}

/// Where the answer to a call goes.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    mode: Mode,
}

/// Proof that a call was answered.
#[derive(Debug)]
pub struct Answered {
    pub(super) is_written: bool,
}

/// The answer to a call: given, or to be waited for.
#[derive(Debug)]
pub enum Answer<P> {
    /// The last reply was given.
    Now(Answered),
    /// It will be.
    Later(P),
}

/// What a waiting call gave.
#[derive(Debug)]
pub enum Told {
    /// The last reply.
    Last(Answered),
    /// One of several.
    More(Answered),
}

impl<'a> Reply<'a> {
    pub(super) const fn new(out: &'a mut Vec<u8>, mode: Mode) -> Self {
        Self { out, mode }
    }

    /// Whether the caller takes several replies.
    #[must_use]
    pub fn more(&self) -> bool {
        self.mode == Mode::More
    }

    /// Gives the last reply.
    pub fn send(self, parameters: &impl Serialize) -> Answered {
        self.write(|out| wire::put_reply(out, parameters, false))
    }

    /// Gives an error, which is always the last reply.
    pub fn error(self, error: &impl ErrorReply) -> Answered {
        self.write(|out| wire::put_error(out, error))
    }

    /// Gives a reply that others follow. A caller that takes one reply only does not get it.
    pub fn continues(self, parameters: &impl Serialize) -> Answered {
        if !self.more() {
            return Answered { is_written: true };
        }
        self.write(|out| wire::put_reply(out, parameters, true))
    }

    fn write(self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>) -> Answered {
        let is_written = self.mode == Mode::Oneway || write(self.out).is_ok();
        Answered { is_written }
    }
}

impl<P> From<Answered> for Answer<P> {
    fn from(answered: Answered) -> Self {
        Self::Now(answered)
    }
}
