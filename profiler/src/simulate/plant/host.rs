//! The host and what surrounds it, as written.

use serde::Deserialize;
use toml::Spanned;

use super::defaults;
use super::quantity::{Amount, Count, Positive, Share};

/// The host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Physical cores.
    pub cores: Count,
    /// Hardware threads of each.
    #[serde(default = "defaults::one")]
    pub threads_per_core: Count,
    /// What a core does more with all of its threads busy than with one.
    #[serde(default = "defaults::smt_gain")]
    pub smt_gain: Share,
    /// The contention coefficient of the universal scalability law: what each further busy core
    /// takes from the speed of all.
    #[serde(default = "defaults::nothing")]
    pub contention: Share,
    /// What each further runnable thread a core takes from the speed of all: switches, cold caches.
    #[serde(default = "defaults::nothing")]
    pub switching: Share,
    /// CPU time that our work may use a second, if there is a quota.
    pub quota_cores: Option<Positive>,
    /// Memory.
    #[serde(default = "defaults::plenty")]
    pub memory_mb: Positive,
    /// Swap, used before anything is killed; work is slow meanwhile.
    #[serde(default = "defaults::none")]
    pub swap_mb: Amount,
    /// Memory that should stay free. Less than that is an overcommitment.
    #[serde(default = "defaults::reserve")]
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
    #[serde(default = "defaults::most")]
    pub streams: Count,
    /// How fast: with n streams beyond, it gives 1 / (1 + `thrash` n) of its throughput.
    #[serde(default = "defaults::none")]
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
    #[serde(default = "defaults::tenth")]
    pub collapse: Amount,
    /// How long a server that refuses asks to stay away; it lets nobody in meanwhile.
    #[serde(default = "defaults::second")]
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
    /// Runnable threads, always.
    #[serde(default = "defaults::none")]
    pub threads: Amount,
    /// Whether they share the CPUs fairly with ours. If not, they come first, and ours get the rest:
    /// background work is run at a low priority. Against those that share fairly more jobs always get
    /// more, at the neighbour's cost, and so does the oracle.
    #[serde(default)]
    pub fair: bool,
    /// Memory that it holds.
    #[serde(default = "defaults::none")]
    pub memory_mb: Amount,
    /// Streams to a disk.
    #[serde(default = "defaults::none")]
    pub streams: Amount,
    /// The disk.
    pub disk: Option<Spanned<String>>,
    /// When it begins.
    #[serde(default = "defaults::none")]
    pub from_seconds: Amount,
    /// When it ends.
    pub until_seconds: Option<Positive>,
    /// How it changes meanwhile.
    #[serde(default)]
    pub shape: Shape,
    /// A square wave's period.
    #[serde(default = "defaults::minute")]
    pub period_seconds: Positive,
    /// The part of the period in which a square wave is high; it begins with it.
    #[serde(default = "defaults::half")]
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
