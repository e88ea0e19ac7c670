//! `org.profiler.Control`: what the agent does and knows, and how to steer it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::interface;
use super::{Constraint, ErrorReply, LeaseId, Level, Nothing, Source, Text, Usage};

mod profile;

pub use profile::{ChangedProfile, Intensity, Pattern, Profile, SetProfile};

interface! {
    /// A call of `org.profiler.Control`.
    ControlCall<'a>, "org.profiler.Control" {
        Status(Status) -> StatusReply,
        Connectors(Connectors<'a>) -> ConnectorsList,
        Jobs(Jobs<'a>) -> JobsList,
        Explain(Explain<'a>) -> Explained,
        ExplainJob(ExplainJob) -> ExplainedJob,
        History(History<'a>) -> PastJobs,
        SetProfile(SetProfile<'a>) -> ChangedProfile,
        SetLimit(SetLimit<'a>) -> Nothing,
        Drain(Drain<'a>) -> Drained,
        Resume(Resume<'a>) -> Nothing,
        Reload(Reload) -> Reloaded,
    }
}

/// Means and extremes over the jobs of a connector that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// How many ended.
    pub jobs: u64,
    /// Mean duration.
    pub duration_seconds: Option<f64>,
    /// Mean CPUs in use.
    pub cpu_cores: Option<f64>,
    /// Most CPUs in use, of any job.
    pub cpu_cores_peak: Option<f64>,
    /// Mean of the jobs' mean memory.
    pub memory_bytes: Option<f64>,
    /// Most memory of any job.
    pub memory_peak_bytes: Option<u64>,
    /// Mean of what a job read from storage.
    pub read_bytes: Option<f64>,
    /// Mean of what a job wrote to storage.
    pub write_bytes: Option<f64>,
    /// Mean of a job's requests at devices.
    pub io_operations: Option<f64>,
    /// Half of the jobs took no longer.
    pub duration_p50_seconds: Option<f64>,
    /// 95 in 100 took no longer.
    pub duration_p95_seconds: Option<f64>,
    /// When the last job ended.
    pub updated_unix_ms: Option<u64>,
}

/// A type of job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connector {
    /// Its name.
    pub connector: String,
    /// What is expected of its jobs.
    pub profile: Profile,
    /// How many jobs there may be.
    pub limit: u32,
    /// What binds the limit.
    pub constraint: Constraint,
    /// How close to its limits it is.
    pub level: Level,
    /// How many jobs there are.
    pub in_use: u32,
    /// How many wait.
    pub waiting: u32,
    /// Memory reserved for its jobs.
    pub reserved_memory_bytes: u64,
    /// Whether an operator lets no new job in.
    pub drained: bool,
    /// The limit that an operator set.
    pub override_limit: Option<u32>,
    /// How long that still holds; `None` without one, or until it is taken back.
    pub override_ends_ms: Option<u64>,
    /// Of its jobs that ended.
    pub statistics: Statistics,
}

/// How a live job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds its slot.
    Running,
    /// Its worker is gone, and its tasks run on.
    Orphaned,
}

/// A live job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job<U = Usage> {
    /// Its lease.
    pub lease: LeaseId,
    /// The type of job.
    pub connector: String,
    /// Where its input comes from.
    pub source: Option<String>,
    /// What people know it by.
    pub label: Option<String>,
    /// How it stands.
    pub state: State,
    /// The worker's user.
    pub uid: u32,
    /// The worker's process.
    pub pid: u32,
    /// Time since the grant.
    pub age_ms: u64,
    /// Threads that work for it.
    pub tasks: u64,
    /// CPUs in use lately.
    pub cpu_cores: Option<f64>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// Memory reserved.
    pub reserved_memory_bytes: u64,
    /// What it used so far.
    pub usage: U,
}

/// The host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// CPUs.
    pub cores: u32,
    /// Of all CPUs, how much is in use.
    pub cpu_percent: Option<f64>,
    /// Memory in all.
    pub memory_bytes: u64,
    /// Memory that can be had without swapping.
    pub memory_available_bytes: u64,
    /// How close to its limits it is.
    pub level: Level,
}

/// What the agent itself costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnCost {
    /// Memory of its process.
    pub process_memory_bytes: u64,
    /// Memory of its process at its highest.
    pub process_memory_peak_bytes: u64,
    /// Of one CPU, how much its process uses.
    pub process_cpu_percent: f64,
    /// Memory that its programs and their maps hold in the kernel; what its process maps of them is part
    /// of its own memory too. Null where a former agent loaded them.
    pub tracing_memory_overhead_bytes: Option<u64>,
    /// Of all CPUs, how much its programs in the kernel use.
    pub tracing_cpu_overhead_percent: Option<f64>,
}

/// An external service with a cap of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub provider: String,
    /// How many may use it at once.
    pub cap: u32,
    /// How many do.
    pub in_use: u32,
    /// How many wait.
    pub waiting: u32,
    /// How long nobody is sent there yet, because it asked for that.
    pub closed_ms: u64,
}

/// Asks for the whole at a glance.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// The whole at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The agent's version.
    pub version: String,
    /// Where its figures come from.
    pub source: Source,
    /// Time since it started.
    pub uptime_ms: u64,
    /// The host.
    pub host: Host,
    /// What the agent itself costs.
    pub own: OwnCost,
    /// Open connections.
    pub connections: u32,
    /// Leases held.
    pub leases: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Jobs whose worker is gone.
    pub orphans: u32,
    /// Whether no new job is let in.
    pub draining: bool,
    /// Figures that this host cannot give.
    pub missing: Vec<String>,
    /// What could not be counted, by cause.
    pub lost: BTreeMap<String, u64>,
    /// The types of job.
    pub connectors: Vec<Connector>,
    /// The external services.
    pub providers: Vec<Provider>,
}

/// Asks for connectors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connectors<'a> {
    /// This one; all if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
}

/// Connectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectorsList {
    /// Those asked for.
    pub connectors: Vec<Connector>,
}

/// Asks for live jobs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs<'a> {
    /// Of this connector; of all if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
}

/// Live jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobsList<U = Usage> {
    /// Those that the caller may see.
    pub jobs: Vec<Job<U>>,
}

/// Asks why a limit is what it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain<'a> {
    /// Of this connector.
    #[serde(borrow)]
    pub connector: Text<'a>,
}

/// What would serve better than what is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// What to do.
    pub advice: String,
    /// What was seen that speaks for it.
    pub evidence: String,
}

/// Why a limit is what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The limit.
    pub limit: u32,
    /// What binds it.
    pub constraint: Constraint,
    /// The reasons, with their numbers, for people.
    pub lines: Vec<String>,
    /// What one slot more would take.
    pub next_slot_needs: Option<String>,
    /// What was learned of the connector's jobs.
    pub learned: BTreeMap<String, f64>,
    /// What its profile says of them.
    pub declared: BTreeMap<String, f64>,
    /// What would serve better.
    pub recommendations: Vec<Recommendation>,
}

/// Asks why a live job holds what it holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainJob {
    /// Its lease.
    pub lease: LeaseId,
}

/// Why a live job holds what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedJob {
    /// The type of job.
    pub connector: String,
    /// The reasons, with their numbers, for people.
    pub lines: Vec<String>,
}

/// Asks for jobs that ended, the latest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History<'a> {
    /// Of this connector; of all if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
    /// Those that began then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_unix_ms: Option<u64>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A job that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastJob<U = Usage> {
    /// Its lease.
    pub lease: LeaseId,
    /// The type of job.
    pub connector: String,
    /// Where its input came from.
    pub source: Option<String>,
    /// What people knew it by.
    pub label: Option<String>,
    /// How it ended, as its worker said.
    pub outcome: Option<String>,
    /// The worker's user.
    pub uid: u32,
    /// When it began.
    pub began_unix_ms: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// How long it had waited for its slot.
    pub waited_ms: u64,
    /// What it used.
    pub usage: U,
}

/// Jobs that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastJobs<U = Usage> {
    /// The latest first.
    pub jobs: Vec<PastJob<U>>,
}

/// Sets a limit by hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLimit<'a> {
    /// Of this connector.
    #[serde(borrow)]
    pub connector: Text<'a>,
    /// To this; `None` gives it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// For so long; until it is given back if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// Lets no new job in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain<'a> {
    /// Of this connector; of all if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
}

/// No new job is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// How many jobs still run.
    pub running: u32,
}

/// Lets jobs in again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume<'a> {
    /// Of this connector; of all if not said.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Text<'a>>,
}

/// Has the configuration read again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {}

/// The configuration was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What changed, for people.
    pub changes: Vec<String>,
}

/// What can go wrong for an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum ControlError {
    /// No such connector is known.
    #[error("no connector {connector:?} is known")]
    #[serde(rename = "org.profiler.Control.NoSuchConnector")]
    NoSuchConnector {
        /// What was asked for.
        connector: String,
    },
    /// No live job has this lease, or it is somebody else's.
    #[error("no live job has the lease {lease}, or it is somebody else's")]
    #[serde(rename = "org.profiler.Control.NoSuchLease")]
    NoSuchLease {
        /// What was asked for.
        lease: LeaseId,
    },
    /// A value that means nothing here.
    #[error("{parameter}: {why}")]
    #[serde(rename = "org.profiler.Control.InvalidValue")]
    InvalidValue {
        /// Which parameter.
        parameter: String,
        /// What would mean something.
        why: String,
    },
    /// The configuration has errors, and the former one stays in force.
    #[error("the configuration stays as it was: {}", errors.join("; "))]
    #[serde(rename = "org.profiler.Control.InvalidConfiguration")]
    InvalidConfiguration {
        /// One line each, with file and line.
        errors: Vec<String>,
    },
    /// There is no history.
    #[error("there is no history: {why}")]
    #[serde(rename = "org.profiler.Control.NoHistory")]
    NoHistory {
        /// What became of it.
        why: String,
    },
}

impl ErrorReply for ControlError {}
