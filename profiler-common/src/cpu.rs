//! What each CPU notes at a switch for the next one, and for readers.

use crate::quota::Steady;

/// One element of the `CPUS` array, which user space maps. Written only by its own CPU, but for
/// the first value of `running` and for `steady` (see there). One cache line, so that CPUs do not
/// share any.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuEntry {
    /// Thread id plus one of the task that runs here; 1 is the idle task. 0 while unknown, that
    /// is: no switch since the programs were attached. Whoever tags a task that is on the CPU right
    /// then turns 0, and only 0, into that task's id.
    pub running: u64,
    /// Job of the task that was on the CPU before the one that runs now; 0 when it had none.
    pub before: u64,
    /// What to add to the address of a per-CPU variable to get this CPU's copy; 0 while unknown.
    pub per_cpu_offset: u64,
    /// The run queue of the last task of any job that left this CPU. Another CPU writes it when a task
    /// of that queue has moved there ([`Steady::renew_from_elsewhere`]).
    pub steady: Steady,
}
