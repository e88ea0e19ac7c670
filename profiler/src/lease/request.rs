//! What is asked of the ledger, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{
    Bytes, ConnectorId, Constraints, How, LeaseId, OnTimeout, Owner, PermitId, Priority,
    ProviderId, SourceId, Ticket,
};

/// A worker's wish to run one job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Of which connector.
    pub connector: ConnectorId,
    /// For which source.
    pub source: Option<SourceId>,
    /// Its class at the start.
    pub priority: Priority,
    /// What it will hold at its peak, as its worker says; else what the connector's jobs do.
    pub memory: Option<Bytes>,
    /// The providers at which it needs a place for all of its life.
    pub providers: Vec<ProviderId>,
    /// How long it may wait; as long as it takes if `None`.
    pub max_wait: Option<Duration>,
    /// What to do when that is over.
    pub on_timeout: OnTimeout,
    /// Whose it is.
    pub owner: Owner,
}

/// What follows from a call, for the caller to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// A request has its slot.
    Granted(Grant),
    /// A request's wait ended without one.
    NotGranted {
        /// Which request.
        ticket: Ticket,
        /// What it wanted a slot of.
        connector: ConnectorId,
        /// What stood in its way.
        constraints: Constraints,
        /// How long it waited.
        waited: Duration,
    },
    /// A request for a place at a provider has it.
    Permitted {
        /// Which request.
        ticket: Ticket,
        /// The place.
        permit: PermitId,
        /// How long it waited.
        waited: Duration,
    },
    /// A request's wait for a place at a provider ended without one.
    NotPermitted {
        /// Which request.
        ticket: Ticket,
        /// How long it waited.
        waited: Duration,
    },
    /// Places in a connector's queue changed: who follows them asks [`super::Ledger::position`].
    QueueMoved(ConnectorId),
    /// A limit that was set by hand is over.
    OverrideEnded(ConnectorId),
}

/// A slot that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The request.
    pub ticket: Ticket,
    /// Its lease.
    pub lease: LeaseId,
    /// Of which connector.
    pub connector: ConnectorId,
    /// Within the limits or beyond.
    pub how: How,
    /// Beyond which.
    pub exceeds: Constraints,
    /// How long it waited.
    pub waited: Duration,
    /// The memory that is reserved for it.
    pub memory: Bytes,
}

/// Why a grant went beyond a limit or the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// Nothing managed ran: one job always may.
    Floor,
    /// The wait was over and the request wanted to go on then.
    Timeout,
}

/// How often limits were passed, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escapes {
    /// Grants beyond the memory budget because nothing managed ran.
    pub memory_by_floor: u64,
    /// Grants beyond the memory budget because a wait was over.
    pub memory_by_timeout: u64,
    /// Grants beyond a limit, not memory, because a wait was over.
    pub slot_by_timeout: u64,
}

/// Whether a request would be granted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// It would.
    pub admitted: bool,
    /// If not, what stands in its way.
    pub constraints: Constraints,
    /// The place in the queue that it would get, from 1; 0 if it would not wait.
    pub position: u32,
}
