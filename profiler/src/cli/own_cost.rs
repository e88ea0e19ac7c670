//! What a measurement cost itself: this process, from its start.

use rustix::time::{ClockId, clock_gettime};

use crate::ui::summary::OwnCost;

/// The cost up to now, with what the programs took in the kernel; `None` where `/proc` does not say it.
pub(super) fn own_cost(bpf_ns: Option<u64>) -> Option<OwnCost> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, rest) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
    // Not `getrusage`: its maximum survives `exec`, so it may be that of whoever started us.
    let status = procfs::process::Process::myself().and_then(|me| me.status()).ok()?;
    Some(OwnCost {
        cpu_ns: seconds.checked_mul(1_000_000_000)?.checked_add(rest)?,
        memory_peak_bytes: status.vmhwm?.checked_mul(1024)?,
        bpf_ns,
    })
}
