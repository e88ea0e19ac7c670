//! What the core is told, and what follows from it. Both can be written down: told again in the same
//! order, a core does the same, bit for bit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::learn::{ConnectorStatistics, Demand, Peaks};
use crate::lease::{self, Lease, ProviderSettings, Request};
use crate::model::{
    ConnectorId, Constraint, FinishedJob, HostSample, JobSample, LeaseId, Level, Moment, Owner,
    PermitId, ProviderId, ResourceProfile, Ticket,
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Other settings hold from now on.
    Settings(Box<Settings>),
    /// A connector became known: it gets the next number.
    Connector {
        /// What its jobs are expected to need.
        profile: ResourceProfile,
        /// The providers that the profile names.
        providers: Vec<ProviderId>,
    },
    /// A connector's profile changed.
    Profile {
        /// Whose.
        connector: ConnectorId,
        /// The new one.
        profile: ResourceProfile,
        /// The providers that it names.
        providers: Vec<ProviderId>,
    },
    /// A provider became known: it gets the next number.
    Provider(ProviderSettings),
    /// What holds for a provider changed.
    ProviderChanged {
        /// Which one.
        provider: ProviderId,
        /// What holds now.
        settings: ProviderSettings,
    },
    /// What was learned before a restart.
    Learned {
        /// Of which connector.
        connector: ConnectorId,
        /// What.
        learned: Box<Learned>,
    },
    /// A lease from before a restart.
    Restore(Lease),
    /// A worker asks for a slot.
    Request(Request),
    /// A worker asks for a place at a provider.
    RequestPermit {
        /// Which provider.
        provider: ProviderId,
        /// With which the permit ends.
        lease: Option<LeaseId>,
        /// How long it may wait.
        max_wait: Option<Duration>,
    },
    /// A request is no longer wanted.
    Cancel(Ticket),
    /// A job is over.
    Release {
        /// Which.
        lease: LeaseId,
        /// What it was, if it was measured.
        finished: Option<FinishedJob>,
    },
    /// A place at a provider is given back.
    ReleasePermit(PermitId),
    /// A lease's worker is gone.
    Orphan(LeaseId),
    /// A worker is back for its lease.
    Adopt(LeaseId, Owner),
    /// The last task of a job ended.
    TasksEnded(LeaseId),
    /// A job has a task again.
    TasksBegan(LeaseId),
    /// A provider said "too many requests".
    Throttled {
        /// Which.
        provider: ProviderId,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// An operator set a limit for a time, or gave it back.
    Override {
        /// Whose.
        connector: ConnectorId,
        /// The limit and for how long.
        limit: Option<(u32, Duration)>,
    },
    /// An operator wants no new jobs of a connector, or of all; or wants them again.
    Drain {
        /// Whose; all if `None`.
        connector: Option<ConnectorId>,
        /// None, or again.
        drained: bool,
    },
    /// The host and all jobs were looked at: those that run, and those that ended since the last
    /// look.
    Sample {
        /// The host.
        host: HostSample,
        /// The jobs.
        jobs: Vec<JobSample>,
    },
    /// Time passed.
    Pass,
}

/// What a call gave, besides its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// The request has this ticket.
    Ticket(Ticket),
    /// The connector has this number.
    Connector(ConnectorId),
    /// The provider has this number.
    Provider(ProviderId),
}

/// What follows, for the caller to carry out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Something about slots and permits.
    Lease(lease::Effect),
    /// A limit changed, or would have in shadow mode.
    Decided(Decision),
    /// A level changed, of a connector or of the host.
    Level {
        /// Whose; the host's if `None`.
        connector: Option<ConnectorId>,
        /// The new one.
        level: Level,
    },
}

/// A limit that changed, with all that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Moment,
    /// Whose limit.
    pub connector: ConnectorId,
    /// What it was.
    pub from: u32,
    /// What it became.
    pub to: u32,
    /// What binds.
    pub constraint: Constraint,
    /// It was computed and told, and not put in force.
    pub shadow: bool,
    /// What it was computed from.
    pub reasons: Reasons,
}

/// The numbers behind a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reasons {
    /// Jobs that fit, not yet whole.
    pub jobs: f64,
    /// Cores that a job keeps busy, uncontended.
    pub cores_per_job: f64,
    /// Its variance.
    pub variance: f64,
    /// CPUs of the host.
    pub cores: f64,
    /// Cores that others use.
    pub external_cores: f64,
    /// The trim of the filling.
    pub trim: f64,
    /// Where more jobs do no more.
    pub knee: Option<f64>,
    /// The cap of the profile.
    pub cap: Option<u32>,
    /// Free GPUs, where jobs need one.
    pub gpus: Option<u32>,
}

/// What is worth keeping over a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Demand for CPU.
    pub demand: Demand,
    /// Peaks of memory.
    pub peaks: Peaks,
    /// Statistics of finished jobs.
    pub statistics: ConnectorStatistics,
}
