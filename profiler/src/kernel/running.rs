//! The figures of tasks that are on a CPU right now.
//!
//! The kernel brings a task's clock up to date at each switch and each tick; reading the CPU clock
//! of its process does it at once, for all threads of the process that run. After that
//! `/proc/PID/task/TID/schedstat` shows the task's exact time on CPU.

use std::fs;

use profiler_common::{Counters, Progress};

/// What the kernel charged a task so far, time on CPU and in the run queue, exact to this moment.
///
/// `None` if the task is gone, or not visible from our pid namespace.
pub(super) fn charged_now(pid: u32, tid: u32) -> Option<Counters> {
    bring_up_to_date(pid);
    let line = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    let mut figures = line.split_ascii_whitespace().map(|figure| figure.parse().ok());
    let (cpu_ns, run_queue_ns) = (figures.next()??, figures.next()??);
    Some(Counters { cpu_ns, run_queue_ns, ..Counters::default() })
}

/// What the next switch of the thread `tid` of process `pid`, a task of `job`, will do, for the figures
/// that move while it runs: `before` is the job that held its CPU before it. What a quota took of its
/// last wait is not to be seen from here: until that switch, it counts among the others.
pub(super) fn add_running_slice(
    progress: &mut Progress,
    (pid, tid): (u32, u32),
    job: u64,
    before: u64,
) {
    let Some(Counters { cpu_ns, run_queue_ns, .. }) = charged_now(pid, tid) else {
        return;
    };
    // If the task has left the CPU since, its entry may be ahead of what we just read.
    let waited = run_queue_ns.saturating_sub(progress.now.run_queue_ns);
    if before == job {
        progress.observed.run_queue_self_ns += waited;
    } else if before != 0 {
        progress.observed.run_queue_managed_ns += waited;
    }
    progress.now.run_queue_ns += waited;
    progress.now.cpu_ns = progress.now.cpu_ns.max(cpu_ns);
}

/// As [`add_running_slice`] for a task that wants to run and got one of the CPUs that nobody is known to
/// have, which is then no longer one of them.
pub(super) fn add_unseen_slice(
    progress: &mut Progress,
    task: (u32, u32),
    job: u64,
    unseen: &mut usize,
) {
    let left = progress.now.cpu_ns;
    if *unseen > 0 {
        add_running_slice(progress, task, job, 0);
        *unseen -= usize::from(progress.now.cpu_ns > left);
    }
}

/// On how many CPUs another task must run than the one that the last switch we saw went to, since that
/// one does not want to run. A host may keep programs away from a process: then the switch to it is
/// seen, and the one away from it is not.
pub(super) fn unseen_switches(running: &[(u32, u64)]) -> usize {
    running.iter().filter(|&&(tid, _)| state(tid, tid) != Some('R')).count()
}

/// Reads the process's CPU clock for its effect on the kernel's counters.
pub(super) fn bring_up_to_date(pid: u32) {
    // `CPUCLOCK_SCHED` of the process `pid`, as the kernel's `posix-timers.h` encodes it; the same
    // as `clock_getcpuclockid(3)` returns.
    const CPUCLOCK_SCHED: libc::clockid_t = 2;
    let clock = (!pid.cast_signed() << 3) | CPUCLOCK_SCHED;
    let mut unused = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer. A failure means that the process is gone, which the
    // read that follows finds out too.
    let _ = unsafe { libc::clock_gettime(clock, &raw mut unused) };
}

/// The letter that the kernel gives a thread's state; `None` if it is gone or not visible to us.
pub fn state(pid: u32, tid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    // It follows the name, which is in parentheses and may hold anything, even these.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
