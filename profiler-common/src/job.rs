//! Jobs and connectors: where the figures of tasks that ended add up.

use crate::counters::Spent;
use crate::latency::{BUCKETS, Histogram};
use crate::memory::Held;

/// A job slot together with its generation, so that a slot can be reused without a task of its
/// former job ever being charged to the new one. Never 0: 0 stands for "no job".
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobRef(pub u64);

impl JobRef {
    /// Puts a slot and its generation together. Generations begin at 1.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    /// Index into the `JOBS` array.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// How often the slot was taken.
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Sums over tasks that ended, with the marks that let a reader see a consistent state.
///
/// A writer counts `moves_begun` up, moves a task's figures from its entry to `ended`, and counts
/// `moves_done` up. A reader that finds `moves_done` before its look equal to `moves_begun` after
/// it has seen no figure twice and missed none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// Moves that have begun.
    pub moves_begun: u64,
    /// Moves that are complete.
    pub moves_done: u64,
    /// Tasks seen in all.
    pub tasks: u64,
    /// Tasks alive now.
    pub tasks_live: u64,
    /// Most tasks alive at once.
    pub tasks_peak: u64,
    /// Processes seen in all.
    pub processes: u64,
    /// What the tasks that ended spent.
    pub ended: Spent,
}

/// One element of the `JOBS` array, which user space maps. The agent writes `job` and `connector`
/// and clears the rest when it takes the slot; after that only eBPF writes.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct JobEntry {
    /// [`JobRef`] of the job that has the slot; 0 when it is free.
    pub job: u64,
    /// Index into the `CONNECTORS` array.
    pub connector: u32,
    /// Generation of the job that had the slot last, while it is free.
    pub last_generation: u32,
    /// The slowest request at a leaf device that a task of the job started, in microseconds. Here,
    /// for the end of a request touches few cache lines then.
    pub device_latency_max_us: u64,
    /// Sums.
    pub total: Total,
    /// Memory that its address spaces hold.
    pub held: Held,
    /// How long requests at leaf devices took that its tasks started.
    pub device_latency: Histogram,
}

impl JobEntry {
    /// A slot in which nothing was counted yet.
    #[must_use]
    pub fn new(job: Option<JobRef>, connector: u32, last_generation: u32, held: Held) -> Self {
        Self {
            job: job.map_or(0, |job| job.0),
            connector,
            last_generation,
            total: Total::default(),
            held,
            device_latency_max_us: 0,
            device_latency: [0; BUCKETS],
        }
    }
}
