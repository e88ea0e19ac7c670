//! One task as `/proc` shows it.

use procfs::process::{Stat, Task};
use profiler_common::Counters;

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
}
