//! The agent: wires kernel, controller and sockets together, and does nothing else.
//!
//! Everything happens on one thread: calls, ends of tasks and the clock each change the one
//! [`State`](state::State) in turn, so there is nothing to lock and nothing to get out of step.

mod configure;
mod connectors;
mod control;
mod controller;
mod effects;
mod forgotten;
mod history;
mod job;
mod look;
mod names;
mod owned;
mod recording;
mod recovery;
mod request;
mod run;
mod samples;
pub mod service_manager;
mod signals;
mod state;
mod tasks;
mod waits;
mod words;
mod worker;
mod workers;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use profiler_client::protocol::WorkerError;

use crate::ipc::{Answer, Call, Peer, Reply, Role, Service};
use crate::model::Owner;
use state::State;
use tasks::{Caller, Processes};

pub use run::{AgentError, Counting, Listening, run};
pub use waits::Wait;

/// What all calls share.
#[derive(Debug)]
pub struct Shared {
    state: RefCell<State>,
    about: run::About,
    next_owner: Cell<u64>,
    processes: RefCell<Processes>,
}

/// The agent as the sockets see it.
#[derive(Clone, Debug)]
pub struct Agent(Rc<Shared>);

/// A connection, and whose it is.
#[derive(Debug)]
pub struct Session {
    owner: Owner,
    caller: Caller,
}

impl Service for Agent {
    type Session = Session;
    type Pending = Wait;

    fn open(&self, peer: Peer, _: Role) -> Result<Session, WorkerError> {
        let owner = Owner(self.0.next_owner.get());
        self.0.next_owner.set(owner.0 + 1);
        self.0.about.connections.set(self.0.about.connections.get() + 1);
        self.0.state.borrow_mut().lines.insert(owner, peer.line);
        let mut processes = self.0.processes.borrow_mut();
        let process = peer.pidfd.map(|process| processes.shared(peer.pid, process));
        Ok(Session { owner, caller: Caller::new(peer.uid, peer.pid, process) })
    }

    fn call(&self, session: &mut Session, call: Call<'_>, reply: Reply<'_>) -> Answer<Wait> {
        match call {
            Call::Worker(call) => worker::answer(&self.0, session, call, reply),
            Call::Control(call) => control::answer(&self.0, session, call, reply),
        }
    }

    fn closed(&self, session: Session) {
        let connections = &self.0.about.connections;
        connections.set(connections.get().saturating_sub(1));
        self.0.state.borrow_mut().disconnected(session.owner);
    }
}
