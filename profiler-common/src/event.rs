//! Messages in the ring buffer. Only rare events go there: a task's end.

use crate::counters::Spent;
use crate::memory::MemoryUse;
use crate::task::Comm;

/// A task of a job ended; its figures are final and already part of the job's total.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaskEnded {
    /// [`JobRef`](crate::JobRef) of the job.
    pub job: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id: the thread id of the group's leader.
    pub pid: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// `exit_code` of the task, as `waitpid` encodes it.
    pub exit_code: u32,
    /// `start_boottime`: with `tid` it identifies the task, thread ids being reused.
    pub start_boottime_ns: u64,
    /// `start_boottime` of the process: with `pid` it identifies the process.
    pub process_start_boottime_ns: u64,
    /// When the task began to count (`CLOCK_MONOTONIC`).
    pub began_ns: u64,
    /// Last name.
    pub comm: Comm,
    /// Everything it spent under the job.
    pub spent: Spent,
    /// Address spaces of which it was the last user.
    pub memory: MemoryUse,
}
