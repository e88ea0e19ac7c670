//! Takes connections, so many from each user.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use profiler_client::protocol::{Bounded, WorkerError};
use profiler_client::wire::Mode;
use tokio::net::{UnixListener, UnixStream};

use super::connection::Connection;
use super::{Peer, Reply, Role, Service};

/// Bytes that are read at a time. One connection's calls are answered for so much before others have
/// their turn.
const PIECE_BYTES: usize = 16 * 1024;

/// How long to wait when the system has no descriptor or memory for one more connection.
const PAUSE: Duration = Duration::from_millis(50);

/// How much, and how long, a client may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, of all users together. Keep it below the limit of open files.
    pub connections: usize,
    /// Connections at once, of one user.
    pub connections_per_uid: usize,
    /// How long a client may take to read what it is sent.
    pub write_timeout: Duration,
    /// How long the rest of a message may take to come.
    pub message_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_uid: 8_192,
            write_timeout: Duration::from_secs(5),
            message_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves connections. One for all sockets of an agent.
#[derive(Debug)]
pub struct Server<S> {
    pub(super) service: S,
    pub(super) limits: Cell<Limits>,
    pub(super) scratch: RefCell<Scratch>,
    per_uid: RefCell<HashMap<u32, usize>>,
    connections: Cell<usize>,
}

/// Buffers that all connections share, one at a time.
#[derive(Debug)]
pub(super) struct Scratch {
    /// What is being read.
    pub(super) piece: Box<[u8]>,
    /// What will be written.
    pub(super) out: Vec<u8>,
}

impl<S: Service> Server<S> {
    /// A server without a socket yet.
    #[must_use]
    pub fn new(service: S, limits: Limits) -> Rc<Self> {
        let piece = vec![0; PIECE_BYTES].into_boxed_slice();
        Rc::new(Self {
            service,
            limits: Cell::new(limits),
            scratch: RefCell::new(Scratch { piece, out: Vec::new() }),
            per_uid: RefCell::default(),
            connections: Cell::new(0),
        })
    }

    /// What answers the calls.
    #[must_use]
    pub const fn service(&self) -> &S {
        &self.service
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Other limits from now on. Connections that are there stay.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// Takes connections for as long as it is awaited, each into a local task of its own.
    pub async fn accept(self: Rc<Self>, listener: UnixListener, role: Role) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.take(stream, role),
                // The peer is gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection, or says why not.
    fn take(self: &Rc<Self>, stream: UnixStream, role: Role) {
        let peer = match Peer::of(&stream) {
            Ok(peer) => peer,
            Err(error) => return tracing::warn!(%error, "cannot tell who connected"),
        };
        let uid = peer.uid;
        let opened =
            Place::of(self, uid).and_then(|place| Ok((place, self.service.open(peer, role)?)));
        match opened {
            Ok((place, session)) => {
                let connection = Connection::new(stream, role, place, session);
                tokio::task::spawn_local(connection.serve());
            }
            Err(error) => {
                tracing::debug!(uid, %error, "refused a connection");
                let mut out = Vec::new();
                Reply::new(&mut out, Mode::One).error(&error);
                // A new socket takes so little at once. If not, the end of the connection says enough.
                // Not through `tokio`, which would first wait to hear that it can write.
                let _ = stream.into_std().and_then(|mut stream| stream.write(&out));
            }
        }
    }
}

/// A connection's place among those of its user; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<S> {
    pub(super) server: Rc<Server<S>>,
    uid: u32,
}

impl<S: Service> Place<S> {
    fn of(server: &Rc<Server<S>>, uid: u32) -> Result<Self, WorkerError> {
        let limits = server.limits.get();
        let mut per_uid = server.per_uid.borrow_mut();
        let (of_uid, in_all) = (per_uid.get(&uid).copied().unwrap_or(0), server.connections.get());
        for (found, limit) in [(of_uid, limits.connections_per_uid), (in_all, limits.connections)] {
            if found >= limit {
                let limit = limit.try_into().unwrap_or(u64::MAX);
                return Err(WorkerError::TooMany { what: Bounded::Connections, limit });
            }
        }
        per_uid.insert(uid, of_uid + 1);
        server.connections.set(in_all + 1);
        Ok(Self { server: Rc::clone(server), uid })
    }
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        self.server.connections.set(self.server.connections.get().saturating_sub(1));
        let mut per_uid = self.server.per_uid.borrow_mut();
        if let Some(of_uid) = per_uid.get_mut(&self.uid) {
            *of_uid = of_uid.saturating_sub(1);
            if *of_uid == 0 {
                per_uid.remove(&self.uid);
            }
        }
    }
}
