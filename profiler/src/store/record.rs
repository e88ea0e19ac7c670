//! What is kept, as it is handed over.

use serde::{Deserialize, Serialize};

use crate::model::Usage;

/// How a job ended, as its worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl Outcome {
    /// As it is written in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Cancelled].into_iter().find(|it| it.as_str() == text)
    }
}

/// A job that ended: who it was, what it used, and what the host was like when it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastJob {
    /// Number of its lease.
    pub lease: u64,
    /// Kind of work.
    pub connector: String,
    /// What of it: a mailbox, a vault.
    pub source: Option<String>,
    /// Whatever the worker called it.
    pub label: Option<String>,
    /// How it ended; `None` if the worker did not say, or is gone.
    pub outcome: Option<Outcome>,
    /// User of the worker.
    pub uid: u32,
    /// Process of the worker.
    pub pid: u32,
    /// When it got its slot, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// From then to its end.
    pub duration_ms: u64,
    /// How long it waited for its slot.
    pub waited_ms: u64,
    /// CPU time as percent of one CPU over its whole duration.
    pub cpu_percent_mean: Option<f64>,
    /// The same at its highest, over one reading interval.
    pub cpu_percent_peak: Option<f64>,
    /// Percent of the host's CPUs that were busy at its end.
    pub host_cpu_percent: Option<f64>,
    /// Percent of the host's memory that was in use at its end.
    pub host_memory_percent: Option<f64>,
    /// Everything that it used.
    pub usage: Usage,
}

/// Statistics of a connector's jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Kind of work.
    pub connector: String,
    /// Jobs that ended.
    pub jobs: u64,
    /// Mean duration.
    pub duration_seconds: Option<f64>,
    /// Half of the jobs took no longer.
    pub duration_p50_seconds: Option<f64>,
    /// 95 in 100 took no longer.
    pub duration_p95_seconds: Option<f64>,
    /// Mean number of CPUs that a job kept busy.
    pub cpu_cores: Option<f64>,
    /// The most.
    pub cpu_cores_peak: Option<f64>,
    /// Mean memory of a job.
    pub memory_bytes: Option<f64>,
    /// The most that one held.
    pub memory_peak_bytes: Option<u64>,
    /// Mean bytes read by a job.
    pub read_bytes: Option<f64>,
    /// Mean bytes written.
    pub write_bytes: Option<f64>,
    /// Mean number of requests at devices.
    pub io_operations: Option<f64>,
    /// How many jobs at once are best, as far as is known.
    pub optimal_concurrency: Option<u32>,
    /// When this was so, in milliseconds since 1970.
    pub updated_unix_ms: u64,
}

/// What was learned of a connector, as those who learn write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// Kind of work.
    pub connector: String,
    /// JSON of whatever shape.
    pub state: String,
    /// When it was written, in milliseconds since 1970.
    pub updated_unix_ms: u64,
}

/// Something that was decided about limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// For which kind of work; `None` if for all.
    pub connector: Option<String>,
    /// What: `limit 4 -> 5`.
    pub decision: String,
    /// JSON with the figures that led to it.
    pub facts: String,
}

/// Something that an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Who.
    pub uid: u32,
    /// By which process.
    pub pid: u32,
    /// What: the method of the protocol.
    pub action: String,
    /// To what: a connector, a provider.
    pub subject: Option<String>,
    /// JSON with its parameters.
    pub facts: String,
}

/// Anything to be kept.
#[derive(Clone, Debug)]
pub(super) enum Record {
    Job(Box<PastJob>),
    Statistics(Statistics),
    Learned(Learned),
    Decision(Decision),
    Audit(AuditEntry),
}
