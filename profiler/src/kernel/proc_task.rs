//! Tasks as `/proc` shows them: one, those of a process, and all processes. What is gone meanwhile is
//! left out.

use procfs::process::{Process, Stat, Task};
use profiler_common::{Comm, Counters};

/// The kernel's counters of a task, and what else is read with them.
#[derive(Clone, Debug)]
pub(crate) struct ProcTask {
    pub(crate) stat: Stat,
    pub(crate) counters: Counters,
    /// Its storage figures are closed to us if the process belongs to somebody else.
    pub(crate) has_io: bool,
}

impl ProcTask {
    /// `None` if the task is gone.
    pub(crate) fn of(task: &Task) -> Option<Self> {
        let stat = task.stat().ok()?;
        let scheduled = task.schedstat().ok()?;
        let status = task.status().ok()?;
        let io = task.io().ok();
        let of_io = |field: fn(&procfs::process::Io) -> u64| io.as_ref().map_or(0, field);
        let counters = Counters {
            cpu_ns: scheduled.sum_exec_runtime,
            run_queue_ns: scheduled.run_delay,
            voluntary_switches: status.voluntary_ctxt_switches.unwrap_or(0),
            involuntary_switches: status.nonvoluntary_ctxt_switches.unwrap_or(0),
            minor_faults: stat.minflt,
            major_faults: stat.majflt,
            read_bytes: of_io(|io| io.read_bytes),
            write_bytes: of_io(|io| io.write_bytes),
            cancelled_write_bytes: of_io(|io| io.cancelled_write_bytes),
            logical_read_bytes: of_io(|io| io.rchar),
            logical_write_bytes: of_io(|io| io.wchar),
            read_calls: of_io(|io| io.syscr),
            write_calls: of_io(|io| io.syscw),
        };
        Some(Self { stat, counters, has_io: io.is_some() })
    }

    /// `None` if there is no such task.
    pub(super) fn find(pid: u32, tid: u32) -> Option<Self> {
        let process = Process::new(pid.cast_signed()).ok()?;
        Self::of(&process.task_from_tid(tid.cast_signed()).ok()?)
    }

    /// Whether it has not ended.
    pub(super) const fn is_alive(&self) -> bool {
        !matches!(self.stat.state, 'Z' | 'X' | 'x')
    }

    /// Its name as the kernel keeps it: up to 15 bytes, then zeros.
    pub(crate) fn comm(&self) -> Comm {
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().zip(self.stat.comm.bytes().take(15)) {
            *to = from;
        }
        comm
    }
}

/// The threads of a process.
pub(crate) fn threads(process: &Process) -> impl Iterator<Item = ProcTask> {
    let tasks = process.tasks().into_iter().flatten().flatten();
    tasks.filter_map(|task| ProcTask::of(&task))
}

/// The process that a thread belongs to.
pub(super) fn group_of(tid: u32) -> Option<u32> {
    let status = Process::new(tid.cast_signed()).ok()?.status().ok()?;
    Some(status.tgid.cast_unsigned())
}

/// Every process, with its parent and when it began among what it says of itself.
pub(crate) fn processes() -> impl Iterator<Item = (Process, Stat)> {
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    all.filter_map(|process| process.stat().ok().map(|stat| (process, stat)))
}

/// Nanoseconds of one clock tick of `/proc`.
fn tick_ns() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// Nanoseconds since boot of a time in clock ticks.
pub(super) fn boottime_ns(ticks: u64) -> u64 {
    ticks.saturating_mul(tick_ns())
}

/// Clock ticks since boot.
pub(super) fn ticks_now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()) / tick_ns()
}
