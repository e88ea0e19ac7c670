//! `org.profiler.Worker`: slots and backpressure.

use serde::{Deserialize, Serialize};

use super::interface;
use super::{Constraint, ErrorReply, LeaseId, Level, Nothing, PermitId, Priority, Text, Usage};

interface! {
    /// A call of `org.profiler.Worker`.
    WorkerCall<'a>, "org.profiler.Worker" {
        Acquire(Acquire<'a>) -> Acquired,
        Release(Release) -> Released,
        Peek(Peek) -> Released,
        Attach(Attach) -> Nothing,
        Detach(Detach) -> Nothing,
        Hint(Hint<'a>) -> HintGiven,
        Preflight(Preflight<'a>) -> Preflighted,
        WaitIfThrottled(WaitIfThrottled<'a>) -> Waited,
        Watch(Watch<'a>) -> WatchState,
        AcquireProvider(AcquireProvider<'a>) -> Permit,
        ReleaseProvider(ReleaseProvider) -> Nothing,
        ReportThrottled(ReportThrottled<'a>) -> Nothing,
    }
}

/// What runs a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One thread.
    Thread,
    /// The caller's process.
    Process,
    /// The caller's process with all that it starts.
    #[default]
    Tree,
    /// What the caller's process starts from now on, but not that process itself.
    Children,
}

/// What to do when the wait is over and no slot came free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// Fail.
    Refuse,
    /// Go on without.
    Proceed,
    /// Go on without, unless memory is what is short.
    #[default]
    ProceedIfCompressible,
}

/// How a grant came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// There was a place.
    Granted,
    /// There was none; the grant says what it exceeds.
    GrantedUnderPressure,
}

/// How a job ended, as its worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was to do.
    Succeeded,
    /// It did not.
    Failed,
    /// Nobody wanted it any more.
    Cancelled,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// How many go first, and this one: from 1.
    pub position: u32,
    /// What has to come free.
    pub constraint: Constraint,
    /// Time since the request.
    pub waited_ms: u64,
    /// Time that the rest of the wait will take; `None` while nothing is known to make one of.
    pub estimate_ms: Option<u64>,
}

/// How much of the host a job had better use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// How close to its limits the connector, or the host, is.
    pub level: Level,
    /// Threads for work that needs CPU.
    pub threads: u32,
    /// How much to read or write at a time.
    pub chunk_bytes: u64,
    /// Files longer than this had better be streamed.
    pub stream_above_bytes: u64,
    /// Whether to give memory back that is held for speed only.
    pub trim_memory: bool,
}

/// A slot, until it is released or the connection ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Names the lease in later calls.
    pub lease: LeaseId,
    /// The type of job.
    pub connector: String,
    /// Whether there was a place.
    pub how: How,
    /// What the grant exceeds; empty if there was a place.
    pub exceeds: Vec<Constraint>,
    /// Time since the request.
    pub waited_ms: u64,
    /// Memory that is reserved for the job.
    pub memory_bytes: u64,
    /// What the job had better do.
    pub hint: Advice,
}

/// Asks for a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acquire<'a> {
    /// The type of job.
    #[serde(borrow)]
    pub connector: Text<'a>,
    /// Where its input comes from, one mailbox for instance.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text<'a>>,
    /// What people will know the job by.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub label: Option<Text<'a>>,
    /// What runs the job; the tree if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The thread, as the caller's pid namespace numbers it; the main thread if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The class; normal if not said, or what the profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Memory that the job will need at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// External services that the job uses; those of the profile if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<Text<'a>>>,
    /// How long to wait: 0 for not at all, `None` for as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// When the job is of no use any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// What to do when the wait is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<OnTimeout>,
    /// The lease that the caller had before the agent or the connection went away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
}

/// A slot, or a place in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquired {
    /// The slot, in the last reply.
    pub grant: Option<Grant>,
    /// The place in the queue, in those before it.
    pub waiting: Option<Waiting>,
}

/// Gives a slot back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Which one.
    pub lease: LeaseId,
    /// How the job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What a job used, in all or so far. The agent has a record of its own to put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released<U = Usage> {
    /// The figures.
    pub usage: U,
}

/// Asks what a job used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peek {
    /// Which one.
    pub lease: LeaseId,
}

/// One more thread or process of the caller works for a job from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Which job.
    pub lease: LeaseId,
    /// The thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// A thread or process works for a job no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detach {
    /// Which job.
    pub lease: LeaseId,
    /// The thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// Asks for advice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint<'a> {
    /// For jobs of this type; for the host as a whole if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
}

/// Advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HintGiven {
    /// What to do.
    pub hint: Advice,
}

/// Asks whether a job would get a slot now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preflight<'a> {
    /// The type of job.
    #[serde(borrow)]
    pub connector: Text<'a>,
    /// Where its input comes from.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text<'a>>,
    /// The class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Memory that it will need at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// External services that it uses.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<Text<'a>>>,
}

/// Whether a job would get a slot now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflighted {
    /// Whether it would.
    pub admitted: bool,
    /// What binds if not.
    pub constraints: Vec<Constraint>,
    /// Its place in the queue; 0 if it would get a slot.
    pub position: u32,
    /// How long it would wait, if that can be said.
    pub estimate_ms: Option<u64>,
}

/// Waits until conditions are normal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitIfThrottled<'a> {
    /// For this connector; for the host if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
    /// At most so long; 300,000 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
}

/// How conditions are after the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// How close to its limits the connector, or the host, is.
    pub level: Level,
    /// How long the call waited.
    pub waited_ms: u64,
}

/// Asks for the state of a connector, or of all that the caller has leases of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch<'a> {
    /// Of this one.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
}

/// The state of the host and of connectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchState {
    /// How close to its limits the host is.
    pub level: Level,
    /// The connectors.
    pub connectors: Vec<ConnectorState>,
}

/// The state of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// Its name.
    pub connector: String,
    /// How close to its limits it is.
    pub level: Level,
    /// How many jobs there may be.
    pub limit: u32,
    /// How many there are.
    pub in_use: u32,
    /// How many wait.
    pub waiting: u32,
}

/// Asks for a place at an external service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcquireProvider<'a> {
    /// The service.
    #[serde(borrow)]
    pub provider: Text<'a>,
    /// The job that needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// How long to wait: 0 for not at all, `None` for as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
}

/// A place at an external service, until it is given back or the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// Names the place in later calls.
    pub permit: PermitId,
    /// Time since the request.
    pub waited_ms: u64,
}

/// Gives a place at an external service back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseProvider {
    /// Which one.
    pub permit: PermitId,
}

/// Tells that an external service said "too many requests".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportThrottled<'a> {
    /// The service.
    #[serde(borrow)]
    pub provider: Text<'a>,
    /// How long it wants to be left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What one user may have so many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bounded {
    /// Connections to the agent.
    Connections,
    /// Leases.
    Leases,
    /// Calls that wait.
    Calls,
    /// Names of connectors that no configuration has.
    Connectors,
}

/// What can go wrong for a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum WorkerError {
    /// No such lease, or none of the caller's.
    #[error("there is no lease {lease}, or it is somebody else's")]
    #[serde(rename = "org.profiler.Worker.NoSuchLease")]
    NoSuchLease {
        /// What was asked for.
        lease: LeaseId,
    },
    /// No such permit, or none of the caller's.
    #[error("there is no permit {permit}, or it is somebody else's")]
    #[serde(rename = "org.profiler.Worker.NoSuchPermit")]
    NoSuchPermit {
        /// What was asked for.
        permit: PermitId,
    },
    /// No provider has this name.
    #[error("the configuration names no provider {provider:?}")]
    #[serde(rename = "org.profiler.Worker.NoSuchProvider")]
    NoSuchProvider {
        /// What was asked for.
        provider: String,
    },
    /// No slot came free in time.
    #[error("no slot came free in {waited_ms} ms")]
    #[serde(rename = "org.profiler.Worker.NotGranted")]
    NotGranted {
        /// What binds.
        constraints: Vec<Constraint>,
        /// Time since the request.
        waited_ms: u64,
        /// How long it would have taken yet, if that can be said.
        estimate_ms: Option<u64>,
    },
    /// The thread or process is not one of the caller's, or has ended.
    #[error("the thread or process is not the caller's, or has ended")]
    #[serde(rename = "org.profiler.Worker.NoSuchTask")]
    NoSuchTask {
        /// The thread.
        tid: Option<u32>,
        /// The process.
        pid: Option<u32>,
    },
    /// The thread works for another job.
    #[error("thread {tid} works for another job")]
    #[serde(rename = "org.profiler.Worker.TaskIsTaken")]
    TaskIsTaken {
        /// The thread.
        tid: u32,
    },
    /// A value that means nothing here.
    #[error("{parameter}: {why}")]
    #[serde(rename = "org.profiler.Worker.InvalidValue")]
    InvalidValue {
        /// Which parameter.
        parameter: String,
        /// What would mean something.
        why: String,
    },
    /// More than one user may have.
    #[error("one user may have {limit} {}", word(*what))]
    #[serde(rename = "org.profiler.Worker.TooMany")]
    TooMany {
        /// Of what.
        what: Bounded,
        /// How many are allowed.
        limit: u64,
    },
    /// The agent takes no new work.
    #[error("the agent takes no new work: it is being drained, or ends")]
    #[serde(rename = "org.profiler.Worker.Draining")]
    Draining {},
}

impl ErrorReply for WorkerError {}

const fn word(what: Bounded) -> &'static str {
    match what {
        Bounded::Connections => "connections",
        Bounded::Leases => "leases",
        Bounded::Calls => "waiting calls",
        Bounded::Connectors => "connectors that no configuration names",
    }
}
