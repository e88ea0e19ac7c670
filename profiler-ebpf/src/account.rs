//! The accounting itself: what a switch adds to a task, and what a task's end adds to its job.

use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_ringbuf_query};
use profiler_common::{
    CpuEntry, JobRef, Progress, Spent, TagState, TaskEnded, TaskTag, Total,
};

use crate::atomic;
use crate::field::Task;
use crate::maps::{CONNECTORS, ENDED, JOBS};
use crate::task::{lost, progress_of, unlist};

/// Wakes the agent when the ring buffer is this full; until then it looks by itself.
const WAKE_AT_BYTES: u64 = 64 * 1024;
const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// Brings a task's accounting up to date as it leaves the CPU. `sleeps` when it will not run again
/// before something wakes it.
///
/// Who held the CPU before the task got it is known from the note that its predecessor left.
#[inline(always)]
pub fn leave_cpu(task: Task, job: u64, progress: &mut Progress, cpu: &CpuEntry, sleeps: bool) {
    let now = task.counters();
    let waited = now.run_queue_ns.wrapping_sub(progress.now.run_queue_ns);
    if waited != 0 {
        if cpu.before == job {
            progress.run_queue_self_ns += waited;
        } else if cpu.before != 0 {
            progress.run_queue_managed_ns += waited;
        }
    }
    if progress.blocked_since_ns != 0 {
        // Since it left the CPU to wait for I/O it waited for it, then for a CPU, then it ran.
        let since = progress.blocked_since_ns;
        let ran = now.cpu_ns.wrapping_sub(progress.now.cpu_ns);
        // SAFETY: no arguments.
        let passed = unsafe { bpf_ktime_get_ns() }.wrapping_sub(since);
        progress.block_wait_ns += passed.saturating_sub(ran + waited);
        progress.blocked_since_ns = 0;
    }
    if sleeps && task.is_in_iowait() {
        // SAFETY: no arguments.
        progress.blocked_since_ns = unsafe { bpf_ktime_get_ns() };
    }
    progress.now = now;
}

/// Moves what a task spent from its entry to its job and connector, once and for all.
///
/// Called at the task's last switch, or when it is freed or untagged, whichever comes first; the
/// others find nothing left to do.
#[inline(always)]
pub fn end(task: Task, tag: &mut TaskTag, ending: TagState) {
    // SAFETY: an aligned field of a map value.
    let before = unsafe { atomic::exchange(&raw mut tag.state, ending as u64) };
    if before != TagState::Counted as u64 {
        return;
    }
    // SAFETY: no arguments.
    let life_ns = unsafe { bpf_ktime_get_ns() }.saturating_sub(tag.began_ns);
    let spent = spent(progress_of(tag), life_ns);
    let job = JobRef(tag.job);
    let mut counted = false;
    if let Some(entry) = JOBS.get_ptr_mut(job.slot()) {
        // SAFETY: an element of the array.
        let entry = unsafe { &mut *entry };
        if entry.job == job.0 {
            counted = true;
            begin_move(&mut entry.total);
            add_spent(&mut entry.total, &spent);
        }
    }
    if let Some(total) = CONNECTORS.get_ptr_mut(tag.connector) {
        // SAFETY: an element of the array.
        let total = unsafe { &mut *total };
        begin_move(total);
        add_spent(total, &spent);
    }
    if !counted {
        lost(|session| &raw mut session.lost.tasks_of_reused_slot);
    }
    report(task, tag, &spent);
    unlist(tag);
    finish_moves(job, tag.connector, counted);
}

#[inline(always)]
fn finish_moves(job: JobRef, connector: u32, counted: bool) {
    if counted && let Some(entry) = JOBS.get_ptr_mut(job.slot()) {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::add(&raw mut (*entry).total.moves_done, 1) };
    }
    if let Some(total) = CONNECTORS.get_ptr_mut(connector) {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::add(&raw mut (*total).moves_done, 1) };
    }
}

#[inline(always)]
fn begin_move(total: &mut Total) {
    // SAFETY: an aligned field of a map value. With its result, the instruction orders memory.
    unsafe { atomic::fetch_add(&raw mut total.moves_begun, 1) };
    // SAFETY: as above.
    unsafe { atomic::add(&raw mut total.tasks_live, u64::MAX) };
}

#[inline(always)]
fn spent(progress: &Progress, life_ns: u64) -> Spent {
    Spent {
        counters: progress.now.since(&progress.base),
        run_queue_managed_ns: progress.run_queue_managed_ns,
        run_queue_self_ns: progress.run_queue_self_ns,
        block_wait_ns: progress.block_wait_ns,
        life_ns,
    }
}

/// Adds every figure of `spent`; both are made of `u64` only, so one loop serves.
#[inline(always)]
fn add_spent(total: &mut Total, spent: &Spent) {
    const FIGURES: usize = size_of::<Spent>() / size_of::<u64>();
    let to = (&raw mut total.ended).cast::<u64>();
    let from = (&raw const *spent).cast::<u64>();
    for figure in 0..FIGURES {
        // SAFETY: inside `spent`.
        let value = unsafe { from.add(figure).read() };
        if value != 0 {
            // SAFETY: inside `total.ended`, a map value, and aligned.
            unsafe { atomic::add(to.add(figure), value) };
        }
    }
}

#[inline(always)]
fn report(task: Task, tag: &TaskTag, spent: &Spent) {
    let Some(mut slot) = ENDED.reserve::<TaskEnded>(0) else {
        lost(|session| &raw mut session.lost.ends_unlisted);
        return;
    };
    slot.write(TaskEnded {
        job: tag.job,
        tid: task.tid(),
        pid: task.pid(),
        parent: tag.parent,
        exit_code: task.exit_code(),
        start_boottime_ns: task.start_boottime_ns(),
        process_start_boottime_ns: tag.process_start_boottime_ns,
        began_ns: tag.began_ns,
        comm: task.comm(),
        spent: *spent,
    });
    slot.submit(wake_flag());
}

/// Many short tasks must not wake the agent each: it polls, and is woken only when it lags.
#[inline(always)]
fn wake_flag() -> u64 {
    let ring = (&raw const ENDED).cast_mut().cast();
    // SAFETY: a ring buffer map and a known query.
    if unsafe { bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) } >= WAKE_AT_BYTES {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    }
}
