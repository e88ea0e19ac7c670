//! What the core is told of jobs and of the host: figures of an interval, `None` where unknown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{Bytes, ConnectorId, LeaseId, SourceId};

/// What one job did in an interval that just ended.
///
/// Threads that lived for a part of the interval count for that part in `life`, so that short
/// threads are told apart from idle ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobSample {
    /// Which job.
    pub lease: LeaseId,
    /// Of which connector.
    pub connector: ConnectorId,
    /// How long the job's part of the interval was: all of it, unless it began or ended within.
    pub interval: Duration,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Sum over its threads of how long each was alive.
    pub life: Duration,
    /// Time its threads were ready to run and waited for a CPU.
    pub run_queue: Option<RunQueue>,
    /// Time off the CPU for block I/O.
    pub block_wait: Option<Duration>,
    /// Bytes from and to block devices.
    pub device_bytes: Option<u64>,
    /// Bytes from and to other hosts.
    pub net_bytes: Option<u64>,
    /// What it holds at the end of the interval.
    pub memory: Option<Bytes>,
    /// The most that it ever held.
    pub memory_peak: Option<Bytes>,
    /// Threads at the end of the interval.
    pub threads: u32,
}

/// Time that threads waited for a CPU, and who had it: what is in no part was something outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunQueue {
    /// All of it.
    pub total: Duration,
    /// Another job had the CPU.
    pub managed: Duration,
    /// Another thread of the same job had it.
    pub own: Duration,
    /// A CPU quota was used up.
    pub throttled: Duration,
}

/// What a job was, when it has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FinishedJob {
    /// Which job.
    pub lease: LeaseId,
    /// Of which connector.
    pub connector: ConnectorId,
    /// For which source.
    pub source: Option<SourceId>,
    /// From grant to release.
    pub duration: Duration,
    /// CPU time of all its threads.
    pub cpu: Option<Duration>,
    /// The most cores that it kept busy over a sampling interval.
    pub cpu_cores_peak: Option<f64>,
    /// What it held on average over time.
    pub memory_mean: Option<Bytes>,
    /// The most that it held.
    pub memory_peak: Option<Bytes>,
    /// Bytes read from block devices.
    pub read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub write_bytes: Option<u64>,
    /// Bytes from and to other hosts.
    pub net_bytes: Option<u64>,
    /// Reads and writes at block devices.
    pub io_operations: Option<u64>,
}

/// What the host did in an interval that just ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSample {
    /// How long the interval was.
    pub interval: Duration,
    /// CPUs that may be used: online, and as many as a quota allows.
    pub cores: f64,
    /// Physical cores among them; the same number where there are no hyper-threads.
    pub physical_cores: Option<f64>,
    /// CPU time that was not idle, over all CPUs.
    pub busy: Duration,
    /// Memory of the host, or of the control group that we live in.
    pub memory_total: Bytes,
    /// Memory that can be had without swapping.
    pub memory_available: Bytes,
    /// Shares of the interval in which something was held up.
    pub pressure: Option<Pressure>,
    /// One per block device, in the same order each time.
    pub devices: Vec<DeviceSample>,
    /// One per GPU, in the same order each time.
    pub gpus: Vec<GpuSample>,
}

/// Pressure stall information: shares from 0 to 1 of the interval in which some task was held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// For want of a CPU.
    pub cpu: Option<f64>,
    /// For want of memory.
    pub memory: Option<f64>,
    /// For want of I/O.
    pub io: Option<f64>,
}

/// What a block device did in the interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceSample {
    /// Share of the interval in which requests were under way, from 0 to 1.
    pub busy: Option<f64>,
    /// Bytes read and written.
    pub bytes: Option<u64>,
    /// Requests completed.
    pub operations: Option<u64>,
}

/// What a GPU did in the interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// Share of the interval in which something ran on it, from 0 to 1.
    pub utilisation: Option<f64>,
    /// Its memory.
    pub memory_total: Option<Bytes>,
    /// What of it is in use.
    pub memory_used: Option<Bytes>,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
}

impl HostSample {
    /// Share of the CPUs that was busy, from 0 to 1; 0 for a host or an interval that is none.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        let capacity = self.cores * self.interval.as_secs_f64();
        if capacity > 0.0 { (self.busy.as_secs_f64() / capacity).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Share of the memory that cannot be had, from 0 to 1; 0 for a host without memory.
    #[must_use]
    pub fn memory_share(&self) -> f64 {
        let total = self.memory_total.as_f64();
        if total > 0.0 {
            (1.0 - self.memory_available.as_f64() / total).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}
