//! What is simulated: a host, what surrounds it, and the work that wants to run on it.
//!
//! A plant is a TOML file; `docs/simulate.md` describes each key. The types here are the file as
//! written: a key that is not there is unknown, and a number that makes no sense is refused with its
//! line ([`read`]).

mod check;
mod distribution;
mod quantity;
mod read;

use serde::Deserialize;
use toml::Spanned;

pub use distribution::Distribution;
pub use quantity::{Amount, Count, Positive, Share};
pub use read::{Invalid, read};

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
    #[serde(default = "ten_minutes")]
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

/// The host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Physical cores.
    pub cores: Count,
    /// Hardware threads of each.
    #[serde(default = "one")]
    pub threads_per_core: Count,
    /// What a core does more with all of its threads busy than with one.
    #[serde(default = "smt_gain")]
    pub smt_gain: Share,
    /// The contention coefficient of the universal scalability law: what each further busy core
    /// takes from the speed of all.
    #[serde(default = "nothing")]
    pub contention: Share,
    /// What each further runnable thread a core takes from the speed of all: switches, cold caches.
    #[serde(default = "nothing")]
    pub switching: Share,
    /// CPU time that our work may use a second, if there is a quota.
    pub quota_cores: Option<Positive>,
    /// Memory.
    #[serde(default = "plenty")]
    pub memory_mb: Positive,
    /// Swap, used before anything is killed; work is slow meanwhile.
    #[serde(default = "none")]
    pub swap_mb: Amount,
    /// Memory that should stay free. Less than that is an overcommitment.
    #[serde(default = "reserve")]
    pub reserve_mb: Amount,
    /// GPUs.
    pub gpus: Option<Count>,
}

/// A disk, shared fairly by the jobs that read from it or write to it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// What connectors call it.
    pub name: String,
    /// What it gives in all.
    pub mb_per_second: Positive,
    /// What one stream gets of it at most.
    pub stream_mb_per_second: Positive,
    /// Streams from which on it thrashes.
    #[serde(default = "most")]
    pub streams: Count,
    /// How fast: with n streams beyond, it gives 1 / (1 + `thrash` n) of its throughput.
    #[serde(default = "none")]
    pub thrash: Amount,
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What connectors call it.
    pub name: String,
    /// Requests that it serves at full speed at once.
    pub slots: Count,
    /// What it does with more.
    #[serde(default)]
    pub when_full: WhenFull,
    /// How fast a server collapses: with n requests too many, it gives 1 / (1 + `collapse` n) of its
    /// throughput.
    #[serde(default = "tenth")]
    pub collapse: Amount,
    /// How long a server that refuses asks to stay away.
    #[serde(default = "second")]
    pub retry_after_seconds: Positive,
}

/// What a server does with more requests than it has slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// It shares its throughput among them.
    #[default]
    Share,
    /// The same, and its throughput falls.
    Collapse,
    /// It refuses them: 429, with Retry-After.
    Refuse,
}

/// Load from outside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Runnable threads, always; they share the cores fairly with ours.
    #[serde(default = "none")]
    pub threads: Amount,
    /// Memory that it holds.
    #[serde(default = "none")]
    pub memory_mb: Amount,
    /// Streams to a disk.
    #[serde(default = "none")]
    pub streams: Amount,
    /// The disk.
    pub disk: Option<Spanned<String>>,
    /// When it begins.
    #[serde(default = "none")]
    pub from_seconds: Amount,
    /// When it ends.
    pub until_seconds: Option<Positive>,
    /// How it changes meanwhile.
    #[serde(default)]
    pub shape: Shape,
    /// A square wave's period.
    #[serde(default = "minute")]
    pub period_seconds: Positive,
    /// The part of the period in which a square wave is high; it begins with it.
    #[serde(default = "half")]
    pub duty: Share,
}

/// How a neighbour changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All of it from begin to end.
    #[default]
    Step,
    /// From nothing at the begin to all at the end; then it is gone.
    Ramp,
    /// All and nothing in turn.
    Square,
}

/// A type of work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Its name.
    pub name: Spanned<String>,
    /// What is declared of it.
    #[serde(default)]
    pub profile: Profile,
    /// What a job really needs.
    pub job: Job,
    /// How jobs come.
    #[serde(default)]
    pub arrival: Arrival,
    /// How jobs die early.
    #[serde(default)]
    pub crash: Crash,
}

/// What is declared of a connector: right or wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The most jobs at once, whatever the host could take.
    pub max_concurrent_jobs: Option<Count>,
    /// Jobs at once while nothing is known of them.
    pub preferred_concurrency: Option<Count>,
    /// Cores that a job uses when it is alone.
    #[serde(default = "half_core")]
    pub avg_cpu_cores: Positive,
    /// Memory that a job needs.
    #[serde(default = "quarter_gibibyte")]
    pub avg_memory_mb: Positive,
    /// How long a job takes alone.
    pub avg_duration_seconds: Option<Positive>,
    /// Its part where connectors compete.
    #[serde(default = "weight")]
    pub weight: Positive,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            max_concurrent_jobs: None,
            preferred_concurrency: None,
            avg_cpu_cores: half_core(),
            avg_memory_mb: quarter_gibibyte(),
            avg_duration_seconds: None,
            weight: weight(),
        }
    }
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
    #[serde(default = "one")]
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
    #[serde(default = "eight")]
    pub rounds: Count,
    /// Memory at its highest.
    #[serde(default)]
    pub memory_mb: Distribution,
    /// What of that it holds from its start.
    #[serde(default = "whole")]
    pub memory_start: Share,
    /// The part of its work after which it holds all of it.
    #[serde(default = "whole")]
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
    #[serde(default = "minute")]
    pub busy_seconds: Positive,
    /// How long no work comes.
    #[serde(default = "none")]
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
            busy_seconds: minute(),
            idle_seconds: none(),
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
    #[serde(default = "weight")]
    pub cpu: Positive,
    /// Of what it reads or writes.
    #[serde(default = "weight")]
    pub disk: Positive,
    /// Of the time that its requests take.
    #[serde(default = "weight")]
    pub request: Positive,
    /// Of the time that it waits.
    #[serde(default = "weight")]
    pub wait: Positive,
    /// Of the memory.
    #[serde(default = "weight")]
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
    #[serde(default = "five")]
    pub down_seconds: Positive,
}

impl Default for Agent {
    fn default() -> Self {
        Self { restarts_at_seconds: Vec::new(), down_seconds: five() }
    }
}

impl Plant {
    /// The same plant with what profiles declare of jobs multiplied by `factor`.
    #[must_use]
    pub fn declared_times(mut self, factor: Positive) -> Self {
        let times = |declared: &mut Positive| {
            if let Ok(wrong) = Positive::try_from(declared.get() * factor.get()) {
                *declared = wrong;
            }
        };
        for connector in &mut self.connectors {
            times(&mut connector.profile.avg_cpu_cores);
            times(&mut connector.profile.avg_memory_mb);
            if let Some(declared) = &mut connector.profile.avg_duration_seconds {
                times(declared);
            }
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

/// The defaults of keys that a plant may leave out.
macro_rules! defaults {
    ($($name:ident: $quantity:ident = $value:literal;)*) => {
        $(fn $name() -> $quantity {
            $quantity::new($value)
        })*
    };
}

defaults! {
    nothing: Share = 0.0;
    half: Share = 0.5;
    whole: Share = 1.0;
    smt_gain: Share = 0.3;
    none: Amount = 0.0;
    tenth: Amount = 0.1;
    reserve: Amount = 500.0;
    half_core: Positive = 0.5;
    weight: Positive = 1.0;
    second: Positive = 1.0;
    five: Positive = 5.0;
    minute: Positive = 60.0;
    ten_minutes: Positive = 600.0;
    quarter_gibibyte: Positive = 256.0;
    plenty: Positive = 65_536.0;
}

const fn one() -> Count {
    Count::ONE
}

const fn eight() -> Count {
    Count::saturating(8)
}

const fn most() -> Count {
    Count::saturating(Count::MOST)
}
