//! One connection: reads calls, has them answered in their order, writes the answers.
//!
//! Reading, answering and writing happen in one go, in buffers that all connections share; what a
//! connection has of its own is what could not be used or written at once. So an idle connection has
//! no buffer, and a call that is answered at once is one wake-up, one `read` and one `write`.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use profiler_client::wire::{Frames, MAX_CALL_BYTES, Mode};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep};

use super::dispatch::{Dispatched, dispatch, refuse};
use super::server::{Place, Scratch};
use super::{Pending, Reply, Role, Service, Told};

/// Answers beyond this are written before more calls are read.
const ANSWERS_BYTES: usize = 64 * 1024;

/// Most bytes of calls behind one that waits: more is read only to notice the connection's end.
const BEHIND_BYTES: usize = 2 * MAX_CALL_BYTES;

/// Turns of the loop before other connections have theirs.
const TURNS: usize = 8;

/// Why a connection ended.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("the client closed it")]
    Closed,
    #[error("the client broke the protocol")]
    Protocol,
    #[error("the client sent too many calls behind one that waits")]
    TooMuch,
    #[error("the rest of a message did not come in time")]
    HalfMessage,
    #[error("the client does not read its answers")]
    NotRead,
    #[error("{0}")]
    System(#[from] io::Error),
}

/// A connection, and what is left to do on it.
pub(super) struct Connection<S: Service> {
    role: Role,
    frames: Frames,
    /// Whole calls may lie in `frames`.
    has_calls: bool,
    /// Answers that the client does not take yet.
    unwritten: BytesMut,
    /// A call that waits. Declared, and so dropped, before the session that it belongs to.
    pending: Option<(S::Pending, Mode)>,
    /// When a client that does not go on is cut off.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The connection ends once everything is written.
    is_ending: bool,
    open: Open<S>,
    /// Dropped, and so closed, after the session that knows it.
    stream: UnixStream,
}

/// A session, which the service gets back whatever happens.
struct Open<S: Service> {
    session: Option<S::Session>,
    place: Place<S>,
}

impl<S: Service> Drop for Open<S> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.place.server.service.closed(session);
        }
    }
}

impl<S: Service> Connection<S> {
    pub(super) fn new(
        stream: UnixStream,
        role: Role,
        place: Place<S>,
        session: S::Session,
    ) -> Self {
        Self {
            role,
            frames: Frames::new(MAX_CALL_BYTES),
            has_calls: false,
            unwritten: BytesMut::new(),
            pending: None,
            deadline: None,
            is_ending: false,
            open: Open { session: Some(session), place },
            stream,
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        let end = poll_fn(|context| self.poll(context)).await;
        tracing::trace!(%end, "connection ended");
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        for _ in 0..TURNS {
            match self.turn(context) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now; whether there may be more. If not, the task is woken when there is.
    fn turn(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let server = std::rc::Rc::clone(&self.open.place.server);
        if !self.unwritten.is_empty() && !self.write_rest(context)? {
            let timeout = server.limits.get().write_timeout;
            return self.cut_off_after(timeout, context, End::NotRead);
        }
        if self.is_ending {
            return Err(End::Protocol);
        }
        let mut scratch = server.scratch.borrow_mut();
        let scratch = &mut *scratch;
        // Of another connection, if that ended in between.
        scratch.out.clear();
        let goes_on = self.answer_next(context, scratch)?;
        self.write(context, &scratch.out)?;
        if goes_on || !self.unwritten.is_empty() || self.is_ending {
            return Ok(true);
        }
        if self.pending.is_none() && self.frames.kept_bytes() > 0 {
            let timeout = server.limits.get().message_timeout;
            return self.cut_off_after(timeout, context, End::HalfMessage);
        }
        self.deadline = None;
        Ok(false)
    }

    /// Has one thing answered: the call that waits, those that lie there, or those that come.
    fn answer_next(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Result<bool, End> {
        if let Some((pending, mode)) = &mut self.pending {
            match pending.poll(context, Reply::new(&mut scratch.out, *mode)) {
                Poll::Ready(Told::More(told)) if told.is_written => return Ok(true),
                Poll::Ready(Told::Last(told)) if told.is_written => self.pending = None,
                Poll::Ready(_) => return Err(End::Protocol),
                Poll::Pending => return self.listen(context, scratch),
            }
        }
        if self.has_calls {
            self.answer(&[], &mut scratch.out);
            return Ok(true);
        }
        let Some(length) = self.read(context, &mut scratch.piece)? else { return Ok(false) };
        self.answer(&scratch.piece[..length], &mut scratch.out);
        Ok(true)
    }

    /// Answers the calls in what was kept and in `piece`, until one waits or enough was answered.
    fn answer(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Self { frames, open, pending, role, .. } = self;
        let Open { session: Some(session), place } = open else { return };
        let service = &place.server.service;
        let mut rest = piece;
        self.has_calls = false;
        loop {
            let message = match frames.next(&mut rest) {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(_) => {
                    refuse(out);
                    self.is_ending = true;
                    return;
                }
            };
            // The message came in time.
            self.deadline = None;
            match dispatch(service, session, *role, message, out) {
                Dispatched::Answered if out.len() < ANSWERS_BYTES => {}
                Dispatched::Answered => break,
                Dispatched::Waits(call, mode) => {
                    *pending = Some((call, mode));
                    break;
                }
                Dispatched::Ends => {
                    self.is_ending = true;
                    return;
                }
            }
        }
        frames.keep(rest);
        self.has_calls = frames.kept_bytes() > 0;
    }

    /// While a call waits: notices the connection's end, and keeps what comes.
    fn listen(&mut self, context: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, End> {
        while let Some(length) = self.read(context, &mut scratch.piece)? {
            self.frames.keep(&scratch.piece[..length]);
            self.has_calls = true;
            if self.frames.kept_bytes() > BEHIND_BYTES {
                return Err(End::TooMuch);
            }
        }
        Ok(false)
    }

    /// Reads what is there; `None` if there is nothing yet.
    fn read(&mut self, context: &mut Context<'_>, piece: &mut [u8]) -> Result<Option<usize>, End> {
        let mut buffer = ReadBuf::new(piece);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(None),
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(End::Closed),
            Poll::Ready(Ok(())) => Ok(Some(buffer.filled().len())),
        }
    }

    /// Writes what was answered; keeps what the client does not take yet.
    fn write(&mut self, context: &mut Context<'_>, out: &[u8]) -> Result<(), End> {
        let mut rest = out;
        while !rest.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(length)) => rest = &rest[length..],
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => {
                    self.unwritten = BytesMut::from(rest);
                    self.deadline = None;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Goes on writing; whether everything is written.
    fn write_rest(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        while !self.unwritten.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.unwritten) {
                Poll::Ready(Ok(length)) => {
                    self.unwritten.advance(length);
                    self.deadline = None;
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(false),
            }
        }
        self.unwritten = BytesMut::new();
        self.deadline = None;
        Ok(true)
    }

    /// Nothing can be done now: ends the connection if that goes on for too long.
    fn cut_off_after(
        &mut self,
        timeout: Duration,
        context: &mut Context<'_>,
        end: End,
    ) -> Result<bool, End> {
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(end),
            Poll::Pending => Ok(false),
        }
    }
}
