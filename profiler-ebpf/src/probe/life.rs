//! Birth, renaming and end of tasks: who belongs to a job.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use profiler_common::task::SHARED_MEMORY;
use profiler_common::{JobRef, TagState, TaskEntry};

use crate::account::end;
use crate::field::task::Task;
use crate::memory::{Origin, move_in, move_out};
use crate::task::{Home, Joining, Newcomer, accounting_of, entry_of, join, tag_of};

/// Flags of `clone(2)`.
const CLONE_VM: u64 = 0x100;
const CLONE_THREAD: u64 = 0x10000;

/// `tp_btf/task_newtask(task, clone_flags)`: the child joins its creator's job.
///
/// Runs in the creator's context before the child runs, for every kind of task, io_uring's workers
/// among them, which never fire `sched_process_fork`.
#[btf_tracepoint(function = "task_newtask")]
pub fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    let Some(tag) = tag_of(Task::current()) else { return 0 };
    if tag.state == TagState::Counted as u64 || tag.state == TagState::Parent as u64 {
        let flags: u64 = ctx.arg(1);
        let is_parent = tag.state == TagState::Parent as u64;
        let (span, progress) = accounting_of(tag);
        let (job, connector) = (JobRef(span.job), span.connector);
        let (only_threads, mm) = (span.only_threads, progress.mm);
        let is_process = flags & CLONE_THREAD == 0;
        if job.0 == 0 || is_process && only_threads != 0 {
            return 0;
        }
        let memory = match flags & CLONE_VM {
            0 => Home::Its(Origin::Copied),
            _ if is_parent => Home::Lent,
            _ if mm == SHARED_MEMORY => Home::Shared,
            _ => Home::Its(Origin::Own),
        };
        let newcomer = Newcomer {
            task: Task(ctx.arg(0)),
            joining: Joining::AtBirth,
            is_process,
            memory,
            only_threads,
        };
        join(newcomer, job, connector);
    }
    0
}

/// `tp_btf/task_rename(task, comm)`: a new name, and perhaps the end of an `exec`, which renames the
/// task after it gave it a new address space and, if it was not the leader, the leader's thread id.
#[btf_tracepoint(function = "task_rename")]
pub fn task_rename(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg(0));
    let Some(tag) = tag_of(task) else { return 0 };
    if tag.state != TagState::Counted as u64 {
        return 0;
    }
    if let Some(entry) = entry_of(tag.entry) {
        rename(task, ctx.arg(1), entry);
    }
    let (span, progress) = accounting_of(tag);
    let (job, before) = (JobRef(span.job), progress.mm);
    let memory = task.memory().map_or(0, |memory| memory.address(task.tid()));
    if memory != before && before != SHARED_MEMORY {
        let mm = move_in(task, job, Origin::Own);
        let progress = accounting_of(tag).1;
        move_out(progress);
        progress.mm = mm;
    }
    0
}

#[inline(always)]
fn rename(task: Task, name: *const u8, entry: &mut TaskEntry) {
    let mut comm = [0; 16];
    // SAFETY: a kernel string; the helper stops at its end and at the buffer's.
    if unsafe { aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes(name, &mut comm) }.is_ok() {
        entry.comm = comm;
    }
    entry.tid = task.tid();
    // The new leader takes over the age of the one that it replaces, too.
    entry.start_boottime_ns = task.start_boottime_ns();
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
