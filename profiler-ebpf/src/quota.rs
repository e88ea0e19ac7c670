//! Which part of a wait for a CPU a quota is to blame for.
//!
//! Where the group of a task, or one above it, has used up its quota on a CPU, the kernel takes the
//! group's run queue off that CPU, and adds up for each queue how long. Who stands in it waits, and
//! the kernel counts that as waiting for a CPU. So the growth of the queue's total since the task
//! last left the CPU is throttled time, as far as it lies within the wait.

use profiler_common::{CpuEntry, Progress, Steady, Throttled};

use crate::field::Task;

/// The part of a task's wait of `waited` nanoseconds, which ended when it last got this CPU.
/// `sleeps` when it leaves that now to sleep.
#[inline(always)]
pub fn throttled_part(
    task: Task,
    progress: &mut Progress,
    cpu: &mut CpuEntry,
    waited: u64,
    sleeps: bool,
) -> u64 {
    let Some(now) = task.throttled() else { return 0 };
    let (before, slept) = (progress.throttled, progress.slept != 0);
    progress.slept = u64::from(sleeps);
    let stayed = before.queue == now.queue;
    if stayed && before.total_ns == now.total_ns {
        return 0;
    }
    progress.throttled = now;
    let arrived = task.arrival_ns();
    let steady = renew(&mut cpu.steady, now, arrived);
    // Quotas are the fair scheduler's.
    if task.is_real_time() {
        return 0;
    }
    let growth = now.total_ns.wrapping_sub(before.total_ns);
    let latest = steady.since_ns.saturating_sub(arrived.wrapping_sub(waited));
    let throttled = match (stayed, slept) {
        // It has waited ever since.
        (true, false) => growth,
        // The queue may have been throttled while it slept.
        (true, true) => growth.min(latest),
        // It woke up here.
        (false, true) => steady.grown_ns.min(latest),
        // It waited here and there.
        (false, false) => steady.grown_ns.min(latest) + growth_there(task, before),
    };
    throttled.min(waited)
}

/// By how much the total of the queue that the task was in before has grown.
#[inline(always)]
fn growth_there(task: Task, before: Throttled) -> u64 {
    task.throttled_in(before.queue).map_or(0, |total| total.saturating_sub(before.total_ns))
}

/// What is known of the queue now that a task of it leaves, which had arrived at `arrived`.
#[inline(always)]
fn renew(steady: &mut Steady, now: Throttled, arrived: u64) -> Steady {
    let is_same = steady.last.queue == now.queue;
    if !is_same || steady.last.total_ns != now.total_ns {
        let before = if is_same { steady.last.total_ns } else { now.total_ns };
        let grown_ns = now.total_ns.wrapping_sub(before);
        *steady = Steady { last: now, since_ns: arrived, grown_ns };
    }
    *steady
}
