//! A thread under a job: its tag, which only eBPF sees, and its entry, which user space maps.

use crate::counters::{Counters, DeviceUse, Observed};
use crate::memory::MemoryUse;

/// A task's name, NUL-terminated, as in `task_struct`.
pub type Comm = [u8; 16];

/// [`TaskTag::entry`] of a task for which no entry was free. It counts like any other, but its
/// figures show only when it ends.
pub const NO_ENTRY: u32 = u32::MAX;

/// What a tag means.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagState {
    /// Nothing: a tag as the kernel creates it, or one that was taken off.
    Off = 0,
    /// The task counts under the job, and so does what it starts.
    Counted = 1,
    /// Only what the task starts counts, not the task itself.
    Parent = 2,
    /// The task has ended and its figures were added up.
    Ended = 3,
    /// The tag is being filled in. Its parent, as it is born, and an iterator may both want to tag a
    /// task; only one does.
    Joining = 4,
}

/// How far a task's accounting has come. All counters are absolute, as the kernel keeps them, so
/// that a switch that nobody saw loses nothing: the next one makes up for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// The kernel's counters when the task joined the job; all 0 for one born into it.
    pub base: Counters,
    /// The kernel's counters at the last switch away from the task.
    pub now: Counters,
    /// What the programs saw.
    pub observed: Observed,
    /// Requests at leaf devices that the task started. For its own list only: the job gets each
    /// when it completes, which may be after the task's end.
    pub device: DeviceUse,
    /// Address of its address space, 0 if that is not counted.
    pub mm: u64,
    /// Address spaces of which it was the last user.
    pub memory: MemoryUse,
    /// When the task last left the CPU to wait for I/O (`CLOCK_MONOTONIC`), 0 when it did not.
    pub blocked_since_ns: u64,
}

/// Value of the `TASKS` task storage: one per tagged task, freed with it by the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskTag {
    /// [`JobRef`](crate::JobRef) of the job.
    pub job: u64,
    /// A [`TagState`].
    pub state: u64,
    /// Index into the `ENTRIES` array, or [`NO_ENTRY`].
    pub entry: u32,
    /// Index into the `CONNECTORS` array.
    pub connector: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
    /// When the task began to count (`CLOCK_MONOTONIC`).
    pub began_ns: u64,
    /// `start_boottime` of the process.
    pub process_start_boottime_ns: u64,
    /// The task's accounting while it has no entry.
    pub progress: Progress,
}

/// One element of the `ENTRIES` array, which user space maps: a live task of some job. Written by
/// the CPU that the task leaves, so there is one writer at a time.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskEntry {
    /// [`JobRef`](crate::JobRef) of the task's job; 0 while the entry is free. Written last when
    /// the entry is taken, first when it is given back.
    pub job: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id: the thread id of the group's leader.
    pub pid: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// Index into the `CONNECTORS` array.
    pub connector: u32,
    /// `start_boottime`: with `tid` it identifies the task.
    pub start_boottime_ns: u64,
    /// `start_boottime` of the process: with `pid` it identifies the process.
    pub process_start_boottime_ns: u64,
    /// When the task began to count (`CLOCK_MONOTONIC`).
    pub began_ns: u64,
    /// The name that the task has now.
    pub comm: Comm,
    /// Its accounting.
    pub progress: Progress,
}
