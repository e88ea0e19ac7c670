//! Which part of a wait for a CPU a quota is to blame for: [`Wait::throttled_ns`] on what the kernel
//! says. For nearly all switches two comparisons tell that nothing changed.

use profiler_common::{CpuEntry, Progress, Throttled, Wait};

use crate::field::task::Task;
use crate::maps::CPUS;

/// The part of a task's wait of `waited_ns`, which ended when it last got this CPU, that a quota
/// took. `sleeps` when the task leaves the CPU now to sleep.
#[inline(always)]
pub fn throttled_part(
    task: Task,
    progress: &mut Progress,
    cpu: &mut CpuEntry,
    waited_ns: u64,
    sleeps: bool,
) -> u64 {
    let (before, slept) = (progress.throttled, progress.slept != 0);
    progress.slept = u64::from(sleeps);
    let Some(now) = task.throttled() else { return 0 };
    if before.queue == now.queue && before.total_ns == now.total_ns {
        return 0;
    }
    progress.throttled = now;
    let wait = Wait { waited_ns, arrived_ns: task.arrival_ns(), slept };
    cpu.steady.renew(now, &wait);
    // Quotas are the fair scheduler's.
    if task.is_real_time() {
        return 0;
    }
    wait.throttled_ns(before, now, &cpu.steady, || growth_there(task, &before, &wait))
}

/// How long the queue that a task left was throttled since then, and a note of that for its CPU.
///
/// A function of its own: few switches come here, and what all of them run stays short.
#[inline(never)]
fn growth_there(task: Task, before: &Throttled, wait: &Wait) -> u64 {
    let Some((there, number)) = task.throttled_in(before.queue) else { return 0 };
    if let Some(elsewhere) = number.and_then(|number| CPUS.get_ptr_mut(number)) {
        // SAFETY: an element of the array, and not that of this CPU: a group has one queue a CPU. Should
        // that CPU write at the same moment, both write what they find in the same queue.
        unsafe { (*elsewhere).steady.renew_from_elsewhere(there, wait) };
    }
    there.total_ns.saturating_sub(before.total_ns)
}
