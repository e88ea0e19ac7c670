//! Birth, renaming and end of tasks: who belongs to a job.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use profiler_common::{JobRef, TagState};

use crate::account::end;
use crate::field::Task;
use crate::task::{Joining, entry_of, join, tag_of};

/// `CLONE_THREAD` of `clone(2)`.
const CLONE_THREAD: u64 = 0x10000;

/// `tp_btf/task_newtask(task, clone_flags)`: the child joins its creator's job.
///
/// Runs in the creator's context before the child runs, for every kind of task, io_uring's workers
/// among them, which never fire `sched_process_fork`.
#[btf_tracepoint(function = "task_newtask")]
pub fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    let Some(tag) = tag_of(Task::current()) else { return 0 };
    if tag.state == TagState::Counted as u64 || tag.state == TagState::Parent as u64 {
        let is_process = ctx.arg::<u64>(1) & CLONE_THREAD == 0;
        join(Task(ctx.arg(0)), JobRef(tag.job), tag.connector, Joining::AtBirth, is_process);
    }
    0
}

/// `tp_btf/task_rename(task, comm)`: keeps an entry's name, and its thread id, which an `exec` by a
/// thread other than the leader changes just before.
#[btf_tracepoint(function = "task_rename")]
pub fn task_rename(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg(0));
    let Some(entry) = tag_of(task).and_then(|tag| entry_of(tag.entry)) else { return 0 };
    let name = ctx.arg::<*const u8>(1);
    let mut comm = [0; 16];
    // SAFETY: a kernel string; the helper stops at its end and at the buffer's.
    if unsafe { aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes(name, &mut comm) }.is_ok() {
        entry.comm = comm;
    }
    entry.tid = task.tid();
    // The new leader takes over the age of the one that it replaces, too.
    entry.start_boottime_ns = task.start_boottime_ns();
    0
}

/// `tp_btf/sched_process_free(task)`: the safety net behind the last switch, for a task that was
/// tagged as it died.
#[btf_tracepoint(function = "sched_process_free")]
pub fn sched_process_free(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg(0));
    if let Some(tag) = tag_of(task) {
        end(task, tag, TagState::Ended);
    }
    0
}
