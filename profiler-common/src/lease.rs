//! What the agent notes of each lease, so that it finds it again after its own end. The kernel half
//! neither reads nor writes it: it lies in a map because a map outlives the process.

/// A name in UTF-8, padded with zeros.
pub type Name = [u8; 64];

/// One element of the `LEASES` array, under the same index as the lease's job in `JOBS`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct LeaseEntry {
    /// Number of the lease; 0 while there is none. Written last.
    pub lease: u64,
    /// [`JobRef`](crate::JobRef) of its job.
    pub job: u64,
    /// User id of its worker.
    pub uid: u32,
    /// Process id of its worker.
    pub pid: u32,
    /// `start_boottime` of that process, in the clock ticks of `/proc/PID/stat`.
    pub process_start_ticks: u64,
    /// What is the job's: 0 a thread, 1 a process, 2 a tree.
    pub scope: u32,
    /// Class of priority: 0 background, 1 normal, 2 interactive.
    pub priority: u32,
    /// Thread that runs the job, where the scope is a thread; as the host numbers it.
    pub tid: u32,
    /// Index of that thread's entry, or [`NO_ENTRY`](crate::NO_ENTRY).
    pub entry: u32,
    /// Memory that was promised to it.
    pub reserved_memory_bytes: u64,
    /// When it was granted (`CLOCK_MONOTONIC`).
    pub began_ns: u64,
    /// When it was granted, since 1970.
    pub began_unix_ms: u64,
    /// How long it waited for that.
    pub waited_ns: u64,
    /// Its type of job.
    pub connector: Name,
    /// Which of the connector's sources; empty for none.
    pub source: Name,
    /// What its worker calls it; empty for nothing.
    pub label: Name,
}

impl Default for LeaseEntry {
    fn default() -> Self {
        Self {
            lease: 0,
            job: 0,
            uid: 0,
            pid: 0,
            process_start_ticks: 0,
            scope: 0,
            priority: 0,
            tid: 0,
            entry: crate::NO_ENTRY,
            reserved_memory_bytes: 0,
            began_ns: 0,
            began_unix_ms: 0,
            waited_ns: 0,
            connector: [0; 64],
            source: [0; 64],
            label: [0; 64],
        }
    }
}
