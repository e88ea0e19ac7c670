//! What controllers are told, with the fields and the meaning of what the kernel reports.

use std::time::Duration;

/// What one job did in an interval that just ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobSample {
    /// Which job.
    pub lease: u64,
    /// Of which connector.
    pub connector: usize,
    /// How long the job's part of the interval was.
    pub interval: Duration,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Sum over its threads of how long each was alive.
    pub life: Duration,
    /// Time its threads were ready to run and waited for a CPU.
    pub run_queue: RunQueue,
    /// Time off the CPU for block I/O.
    pub block_wait: Duration,
    /// Bytes from and to block devices.
    pub device_bytes: u64,
    /// Bytes from and to other hosts.
    pub net_bytes: u64,
    /// What it holds at the end of the interval.
    pub memory: u64,
    /// The most that it ever held.
    pub memory_peak: u64,
    /// Threads at the end of the interval.
    pub threads: u32,
}

/// Time that threads waited for a CPU, and who had it: what is in no part was something outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinishedJob {
    /// Which job.
    pub lease: u64,
    /// Of which connector.
    pub connector: usize,
    /// From grant to release.
    pub duration: Duration,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// The most that it held.
    pub memory_peak: u64,
}

/// What the host did in an interval that just ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSample {
    /// How long the interval was.
    pub interval: Duration,
    /// CPUs that may be used.
    pub cores: f64,
    /// CPU time that was not idle, over all CPUs.
    pub busy: Duration,
    /// Memory of the host.
    pub memory_total: u64,
    /// Memory that can be had without swapping.
    pub memory_available: u64,
}

impl HostSample {
    /// Share of the CPUs that was busy, from 0 to 1.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        let capacity = self.cores * self.interval.as_secs_f64();
        if capacity > 0.0 { (self.busy.as_secs_f64() / capacity).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Share of the memory that cannot be had, from 0 to 1.
    #[must_use]
    pub fn memory_share(&self) -> f64 {
        let (total, available) = (self.memory_total as f64, self.memory_available as f64);
        if total > 0.0 { (1.0 - available / total).clamp(0.0, 1.0) } else { 0.0 }
    }
}
