//! What is simulated: a host, what surrounds it, and the work that wants to run on it.
//!
//! A plant is a TOML file; `docs/simulate.md` describes each key. The types here are the file as
//! written: a key that is not there is unknown, and a number that makes no sense is refused with its
//! line ([`read`]).

mod check;
mod defaults;
mod distribution;
mod host;
mod quantity;
mod read;

use serde::Deserialize;
use toml::Spanned;

pub use distribution::Distribution;
pub use host::{Disk, Host, Neighbour, Server, Shape, WhenFull};
pub use quantity::{Amount, Count, Positive, Share};
pub use read::{Invalid, read};

use crate::model::profile::RANGES;
use crate::model::{Partial, ResourceProfile};

/// Bytes of the mebibyte in which plants give sizes.
pub const MEBIBYTE: f64 = 1_048_576.0;

/// A plant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plant {
    /// What it is called in tables.
    pub name: String,
    /// What it stands for, for people.
    #[serde(default)]
    pub about: String,
    /// How long it runs, in virtual seconds.
    #[serde(default = "defaults::ten_minutes")]
    pub duration_seconds: Positive,
    /// The host.
    pub host: Host,
    /// Disks.
    #[serde(default, rename = "disk")]
    pub disks: Vec<Disk>,
    /// Services that jobs send requests to.
    #[serde(default, rename = "server")]
    pub servers: Vec<Server>,
    /// Load that is not ours.
    #[serde(default, rename = "neighbour")]
    pub neighbours: Vec<Neighbour>,
    /// The work.
    #[serde(rename = "connector")]
    pub connectors: Vec<Connector>,
    /// Parts of the run that are judged apart, after the first, which begins at 0.
    #[serde(default, rename = "phase")]
    pub phases: Vec<Phase>,
    /// What happens to the agent.
    #[serde(default)]
    pub agent: Agent,
}

/// A type of work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Its name.
    pub name: Spanned<String>,
    /// What is declared of it, right or wrong; the rest is as in the default profile.
    #[serde(default = "defaults::nothing_declared")]
    pub profile: Spanned<Partial>,
    /// What a job really needs.
    pub job: Job,
    /// How jobs come.
    #[serde(default)]
    pub arrival: Arrival,
    /// How jobs die early.
    #[serde(default)]
    pub crash: Crash,
}

/// What a job needs. It goes through its rounds one after the other; each has a part of all that
/// the job needs, in this order: CPU, GPU, disk, server, wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// CPU time, of all of its threads.
    #[serde(default)]
    pub cpu_seconds: Distribution,
    /// Threads that share the CPU time evenly.
    #[serde(default = "defaults::one")]
    pub threads: Count,
    /// Time on a GPU, alone on it.
    #[serde(default)]
    pub gpu_seconds: Distribution,
    /// What it reads or writes.
    #[serde(default)]
    pub disk_mb: Distribution,
    /// From which disk.
    pub disk: Option<Spanned<String>>,
    /// Time that its requests take when the server has slots for them.
    #[serde(default)]
    pub request_seconds: Distribution,
    /// To which server.
    pub server: Option<Spanned<String>>,
    /// Waiting for something that is never short.
    #[serde(default)]
    pub wait_seconds: Distribution,
    /// Rounds; what each of them has of the whole is drawn.
    #[serde(default = "defaults::eight")]
    pub rounds: Count,
    /// Memory at its highest.
    #[serde(default)]
    pub memory_mb: Distribution,
    /// What of that it holds from its start.
    #[serde(default = "defaults::whole")]
    pub memory_start: Share,
    /// The part of its work after which it holds all of it.
    #[serde(default = "defaults::whole")]
    pub memory_ramp: Share,
}

/// How jobs come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// A backlog: so many workers ask for a slot, and ask again when their job is done. Exclusive
    /// with `jobs_per_second`.
    pub workers: Option<Count>,
    /// Open arrivals with this mean rate, at random (Poisson).
    pub jobs_per_second: Option<Positive>,
    /// Work comes for so long, and then not for `idle_seconds`, in turn.
    #[serde(default = "defaults::minute")]
    pub busy_seconds: Positive,
    /// How long no work comes.
    #[serde(default = "defaults::none")]
    pub idle_seconds: Amount,
    /// Jobs that come all at once.
    #[serde(default, rename = "burst")]
    pub bursts: Vec<Burst>,
}

impl Default for Arrival {
    fn default() -> Self {
        Self {
            workers: None,
            jobs_per_second: None,
            busy_seconds: defaults::minute(),
            idle_seconds: defaults::none(),
            bursts: Vec::new(),
        }
    }
}

impl Arrival {
    /// Workers of a connector that does not say how its jobs come.
    pub const WORKERS: u32 = 128;

    /// The workers of a backlog.
    #[must_use]
    pub fn backlog(&self) -> Option<u32> {
        match (self.workers, self.jobs_per_second) {
            (Some(workers), _) => Some(workers.get()),
            (None, None) if self.bursts.is_empty() => Some(Self::WORKERS),
            (None, _) => None,
        }
    }
}

/// Jobs that come all at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// When.
    pub at_seconds: Amount,
    /// How many.
    pub jobs: Count,
}

/// How jobs die early. What they did is lost, and they are done again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// How often a job that runs dies, at random.
    pub per_job_hour: Option<Positive>,
    /// When all of the connector's jobs die at once: their worker did.
    #[serde(default)]
    pub at_seconds: Vec<Amount>,
}

/// A part of the run that is judged apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What it is called in tables.
    pub name: String,
    /// When it begins; the former ends then.
    pub at_seconds: Spanned<Positive>,
    /// What jobs that start from then on need.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
}

/// What jobs of a connector that start in a phase need, as multiples of what is written for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which.
    pub connector: Spanned<String>,
    /// Of the CPU time.
    #[serde(default = "defaults::once")]
    pub cpu: Positive,
    /// Of what it reads or writes.
    #[serde(default = "defaults::once")]
    pub disk: Positive,
    /// Of the time that its requests take.
    #[serde(default = "defaults::once")]
    pub request: Positive,
    /// Of the time that it waits.
    #[serde(default = "defaults::once")]
    pub wait: Positive,
    /// Of the memory.
    #[serde(default = "defaults::once")]
    pub memory: Positive,
}

/// What happens to the agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// When it stops. Jobs go on; what the controller learned is lost.
    #[serde(default)]
    pub restarts_at_seconds: Vec<Amount>,
    /// How long it is away. Workers start jobs up to the preferred concurrency meanwhile.
    #[serde(default = "defaults::five")]
    pub down_seconds: Positive,
}

impl Default for Agent {
    fn default() -> Self {
        Self { restarts_at_seconds: Vec::new(), down_seconds: defaults::five() }
    }
}

impl Plant {
    /// What connectors declare, completed with the default profile.
    #[must_use]
    pub fn profiles(&self) -> Vec<ResourceProfile> {
        let default = ResourceProfile::default();
        // A plant that was read has no others than valid ones.
        let profile =
            |connector: &Connector| connector.profile.get_ref().over(&default).unwrap_or_default();
        self.connectors.iter().map(profile).collect()
    }

    /// The same plant with what profiles declare of jobs multiplied by `factor`, as far as a profile
    /// can say it.
    #[must_use]
    pub fn declared_times(mut self, factor: Positive) -> Self {
        let profiles = self.profiles();
        let times = |field: &str, declared: f64| {
            let range = RANGES.iter().find(|(name, ..)| *name == field);
            let (least, most) = range.map_or((declared, declared), |(_, low, high)| (*low, *high));
            Some((declared * factor.get()).clamp(least, most))
        };
        for (connector, declared) in self.connectors.iter_mut().zip(profiles) {
            let profile = connector.profile.as_mut();
            profile.avg_cpu_cores = times("avg_cpu_cores", declared.avg_cpu_cores);
            profile.avg_memory_mb = times("avg_memory_mb", declared.avg_memory_mb);
            profile.avg_duration_seconds = declared
                .avg_duration_seconds
                .and_then(|declared| times("avg_duration_seconds", declared));
        }
        self
    }

    /// When the phases begin, in seconds: the first at 0.
    #[must_use]
    pub fn phase_starts(&self) -> Vec<f64> {
        let later = self.phases.iter().map(|phase| phase.at_seconds.get_ref().get());
        std::iter::once(0.0).chain(later).collect()
    }

    /// What the phases are called: the first as the plant.
    #[must_use]
    pub fn phase_names(&self) -> Vec<&str> {
        let later = self.phases.iter().map(|phase| phase.name.as_str());
        std::iter::once("start").chain(later).collect()
    }

    /// Whether memory plays a part.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.connectors.iter().any(|connector| connector.job.memory_mb.mean() > 0.0)
    }
}
