//! The accounting itself: what a switch adds to a task, and what a task's end adds to its job.

use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_ringbuf_query};
use profiler_common::task::ENDING;
use profiler_common::{
    Counters, CpuEntry, JobRef, Observed, Progress, Span, TagState, TaskEnded, TaskTag, Total,
};

use crate::atomic;
use crate::field::task::Task;
use crate::maps::{CONNECTORS, ENDED, JOBS};
use crate::memory::move_out;
use crate::quota::throttled_part;
use crate::task::{accounting_of, entry_of, lost, unlist};
use crate::words::{Words, copy, first};

/// Wakes the agent when the ring buffer is this full; until then it looks by itself.
const WAKE_AT_BYTES: u64 = 64 * 1024;
const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// Brings a task's accounting up to date as it leaves the CPU. `sleeps` when it will not run again
/// before something wakes it.
///
/// Who held the CPU before the task got it is known from the note that its predecessor left. What
/// a quota took of the wait is charged to nobody else.
#[inline(always)]
pub fn leave_cpu(task: Task, job: u64, progress: &mut Progress, cpu: &mut CpuEntry, sleeps: bool) {
    let (cpu_ns, run_queue_ns) = (task.cpu_ns(), task.run_queue_ns());
    let waited = run_queue_ns.wrapping_sub(progress.now.run_queue_ns);
    let throttled = throttled_part(task, progress, cpu, waited, sleeps);
    if waited != 0 {
        let behind = waited - throttled;
        progress.observed.run_queue_throttled_ns += throttled;
        if cpu.before == job {
            progress.observed.run_queue_self_ns += behind;
        } else if cpu.before != 0 {
            progress.observed.run_queue_managed_ns += behind;
        }
    }
    if progress.blocked_since_ns != 0 {
        // Since it left the CPU to wait for I/O it waited for it, then for a CPU, then it ran.
        let since = progress.blocked_since_ns;
        let ran = cpu_ns.wrapping_sub(progress.now.cpu_ns);
        // SAFETY: no arguments.
        let passed = unsafe { bpf_ktime_get_ns() }.wrapping_sub(since);
        progress.observed.block_wait_ns += passed.saturating_sub(ran + waited);
        progress.blocked_since_ns = 0;
    }
    if sleeps && task.is_in_iowait() {
        // SAFETY: no arguments.
        progress.blocked_since_ns = unsafe { bpf_ktime_get_ns() };
    }
    // Last: whoever reads meanwhile may find less than there was, and never a wait counted twice.
    progress.now.cpu_ns = cpu_ns;
    progress.now.run_queue_ns = run_queue_ns;
    task.copy_other_counters(&mut progress.now);
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
    if let Some(entry) = entry_of(tag.entry) {
        // From here on the agent cannot give the task to another job.
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::fetch_add(&raw mut entry.current, ENDING) };
    }
    let (span, progress) = accounting_of(tag);
    // SAFETY: no arguments.
    let life_ns = unsafe { bpf_ktime_get_ns() }.saturating_sub(span.began_ns);
    let (job, connector) = (JobRef(span.job), span.connector);
    move_out(progress);
    if job.0 == 0 {
        unlist(tag);
        return;
    }
    let mut is_last = false;
    if let Some(total) = &job_total(job) {
        is_last = begin_move(total) == 1;
        add_spent(total, span, progress, life_ns);
    } else {
        lost(|session| &raw mut session.lost.tasks_of_reused_slot);
    }
    if let Some(total) = CONNECTORS.get_ptr_mut(connector) {
        begin_move(&total);
        add_spent(&total, span, progress, life_ns);
    }
    report(task, tag, life_ns, is_last);
    unlist(tag);
    if let Some(total) = job_total(job) {
        finish_move(total);
    }
    if let Some(total) = CONNECTORS.get_ptr_mut(connector) {
        finish_move(total);
    }
}

/// The sums of a job, if it still has its slot.
#[inline(always)]
fn job_total(job: JobRef) -> Option<*mut Total> {
    let entry = JOBS.get_ptr_mut(job.slot())?;
    // SAFETY: an element of the array.
    let entry = unsafe { &mut *entry };
    (entry.job == job.0).then_some(&raw mut entry.total)
}

/// Returns how many tasks lived until now.
#[inline(always)]
fn begin_move(total: &*mut Total) -> u64 {
    // SAFETY: an aligned field of a map value. With its result, the instruction orders memory.
    unsafe { atomic::fetch_add(&raw mut (**total).moves_begun, 1) };
    // SAFETY: as above.
    unsafe { atomic::fetch_add(&raw mut (**total).tasks_live, u64::MAX) }
}

#[inline(always)]
fn finish_move(total: *mut Total) {
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::fetch_add(&raw mut (*total).moves_done, 1) };
}

/// Adds everything that a task spent. The structures hold nothing but `u64`, so a loop serves.
#[inline(always)]
fn add_spent(total: &*mut Total, span: &Span, progress: &Progress, life_ns: u64) {
    // SAFETY: a field of a map value.
    let ended = unsafe { &raw mut (**total).ended };
    let (base, now) = (first(&span.base), first(&progress.now));
    for figure in 0..Counters::COUNT {
        // SAFETY: inside `counters`, which is as long as `base` and `now`.
        unsafe { add_to(ended.cast(), figure, grown(base, now, figure)) };
    }
    // SAFETY: a field of a map value.
    let observed = unsafe { &raw mut (*ended).observed };
    let (base, now) = (first(&span.observed_base), first(&progress.observed));
    for figure in 0..Observed::COUNT {
        // SAFETY: inside all three.
        unsafe { add_to(observed.cast(), figure, grown(base, now, figure)) };
    }
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::add(&raw mut (*ended).life_ns, life_ns) };
}

/// # Safety
/// `figure` is inside both.
#[inline(always)]
unsafe fn grown(base: *const u64, now: *const u64, figure: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { now.add(figure).read().wrapping_sub(base.add(figure).read()) }
}

/// # Safety
/// `figure` is inside the map value that `sums` begins.
#[inline(always)]
unsafe fn add_to(sums: *mut u64, figure: usize, value: u64) {
    if value != 0 {
        // SAFETY: the caller's promise.
        unsafe { atomic::add(sums.add(figure), value) };
    }
}

/// Tells the agent of a task's end, at once if it was the job's last task. The message is put together in place: it would take half of the
/// stack that a program has.
#[inline(always)]
fn report(task: Task, tag: &mut TaskTag, life_ns: u64, is_last: bool) {
    let Some(mut slot) = ENDED.reserve::<TaskEnded>(0) else {
        lost(|session| &raw mut session.lost.ends_unlisted);
        return;
    };
    let event = slot.as_mut_ptr();
    // SAFETY: the reserved message, every field of which is written here or below.
    let event = unsafe { &mut *event };
    event.tid = task.tid();
    event.pid = task.pid();
    event.parent = tag.parent;
    event.exit_code = task.exit_code();
    event.start_boottime_ns = task.start_boottime_ns();
    event.process_start_boottime_ns = tag.process_start_boottime_ns;
    task.copy_comm(&mut event.comm);
    event.spent.life_ns = life_ns;
    let (span, progress) = accounting_of(tag);
    event.job = span.job;
    event.began_ns = span.began_ns;
    let to = (&raw mut event.spent.counters).cast::<u64>();
    for figure in 0..Counters::COUNT {
        // SAFETY: inside `counters`, which is as long as `base` and `now`.
        unsafe { to.add(figure).write(grown(first(&span.base), first(&progress.now), figure)) };
    }
    let to = (&raw mut event.spent.observed).cast::<u64>();
    let (base, now) = (first(&span.observed_base), first(&progress.observed));
    for figure in 0..Observed::COUNT {
        // SAFETY: inside all three.
        unsafe { to.add(figure).write(grown(base, now, figure)) };
    }
    copy(&mut event.memory, &progress.memory);
    slot.submit(if is_last { BPF_RB_FORCE_WAKEUP } else { wake_flag() });
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
