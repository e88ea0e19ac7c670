//! The record of an ad-hoc run: the whole, each process, each thread, and the host.

use serde::{Deserialize, Serialize};

use super::conservation::Conservation;
use super::usage::Usage;

/// Version of the record's shape. Fields may be added without a new one.
pub const SCHEMA: u32 = 1;

/// What `profiler run --json` and `profiler attach --json` write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The command with its arguments; empty for `attach`.
    pub command: Vec<String>,
    /// The run as a whole.
    pub usage: Usage,
    /// Each process, heaviest on CPU first.
    pub processes: Vec<ProcessRecord>,
    /// Each thread, heaviest on CPU first.
    pub threads: Vec<ThreadRecord>,
    /// Where it ran.
    pub host: Host,
}

/// One process of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent when the process began to count.
    pub parent: u32,
    /// Last name of the process's leader.
    pub comm: String,
    /// What it used.
    pub usage: Usage,
}

/// One thread of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRecord {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Last name.
    pub comm: String,
    /// What it used.
    pub usage: Usage,
}

/// The host that a run happened on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Host name.
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture.
    pub architecture: String,
    /// CPUs that the session may use.
    pub cpus: u32,
    /// Memory in all.
    pub memory_bytes: u64,
    /// The host's own totals over the time of the run, and what of them the run explains.
    pub conservation: Option<Conservation>,
}
