//! A thread under a job: its tag, which only eBPF sees, and its entry, which user space maps.

use crate::counters::{Counters, Observed};
use crate::memory::MemoryUse;
use crate::quota::Throttled;

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

/// [`Progress::mm`] of a task whose address space is not the job's: a thread that works for a job
/// of its own in a process that others share.
pub const SHARED_MEMORY: u64 = 1;

/// A stretch of a task's life under one job: whose it is, and where the task's figures stood when
/// it began. What the task spent for the job is how much they grew since then.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// [`JobRef`](crate::JobRef) of the job; 0 for none: the task is between two jobs.
    pub job: u64,
    /// Index into the `CONNECTORS` array.
    pub connector: u32,
    /// 1 if processes that the task starts are not the job's, only its threads; else 0.
    pub only_threads: u32,
    /// When it began (`CLOCK_MONOTONIC`).
    pub began_ns: u64,
    /// [`Progress::now`] then; all 0 for a task that was born into the job.
    pub base: Counters,
    /// [`Progress::observed`] then.
    pub observed_base: Observed,
}

/// How far a task's accounting has come. All counters are absolute, as the kernel keeps them, so
/// that a switch that nobody saw loses nothing: the next one makes up for it.
///
/// What each switch writes comes first, so that it lies in few cache lines.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// The kernel's counters at the last switch away from the task.
    pub now: Counters,
    /// When the task last left the CPU to wait for I/O (`CLOCK_MONOTONIC`), 0 when it did not.
    pub blocked_since_ns: u64,
    /// The task's run queue at the last switch away from it.
    pub throttled: Throttled,
    /// Whether the task left the CPU then to sleep: 1, or 0 if it would have gone on.
    pub slept: u64,
    /// What the programs saw since the task joined its first job.
    pub observed: Observed,
    /// Address of its address space, 0 if that is not counted, or [`SHARED_MEMORY`].
    pub mm: u64,
    /// Address spaces of which it was the last user.
    pub memory: MemoryUse,
    /// `ioac.syscw` at the last piece of a file that `sendfile` gave to a socket, and one more; 0 for
    /// none. The kernel counts a call at its end, so two pieces at the same count are of one call.
    pub sendfile_call: u64,
}

/// Value of the `TASKS` task storage: one per tagged task, freed with it by the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskTag {
    /// A [`TagState`].
    pub state: u64,
    /// Index into the `ENTRIES` array, or [`NO_ENTRY`].
    pub entry: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// `start_boottime` of the process.
    pub process_start_boottime_ns: u64,
    /// Its job, while it has no entry.
    pub span: Span,
    /// The task's accounting, while it has no entry.
    pub progress: Progress,
}

/// [`TaskEntry::current`] of a free entry.
pub const FREE: u64 = 0;

/// Elements of the `LISTED` array, a power of two.
pub const LISTED_PLACES: u32 = 1 << 15;

/// Added to [`TaskEntry::current`] when the task's figures begin to move to its job's total: from
/// then on the span can be changed no more.
pub const ENDING: u64 = 4;

/// One element of the `ENTRIES` array, which user space maps: a live task of some job. Its progress
/// is written by the CPU that the task leaves, so there is one writer at a time.
///
/// A task goes from one job to the next without a call into the kernel: the agent fills in the span
/// that is not current, and makes it current by a compare-and-exchange. That fails if the task's end
/// came first, which then is part of the former job.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskEntry {
    /// Which of the spans is the current one, plus one; [`FREE`] while the entry is; [`ENDING`]
    /// added at the task's end. Written last when the entry is taken, first when it is given back.
    pub current: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id: the thread id of the group's leader.
    pub pid: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
    /// `start_boottime`: with `tid` it identifies the task.
    pub start_boottime_ns: u64,
    /// `start_boottime` of the process: with `pid` it identifies the process.
    pub process_start_boottime_ns: u64,
    /// The name that the task has now.
    pub comm: Comm,
    /// Address of its `task_struct`, for `sched_switch` to see that the entry is this task's.
    pub task: u64,
    /// Its accounting.
    pub progress: Progress,
    /// Its job now, and its job before or after that.
    pub spans: [Span; 2],
}

// What each switch writes begins a cache line.
const _: () = assert!(core::mem::offset_of!(TaskEntry, progress) == 64);

impl TaskEntry {
    /// Whether `current` is that of a task that counts: neither free nor about to be.
    #[must_use]
    #[inline(always)]
    pub const fn is_counted(current: u64) -> bool {
        current.wrapping_sub(1) < 2
    }

    /// The index in `spans` that `current` stands for.
    #[must_use]
    #[inline(always)]
    pub const fn span_index(current: u64) -> usize {
        (current.wrapping_sub(1) & 1) as usize
    }
}
