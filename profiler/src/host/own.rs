//! What this process costs, as the kernel says.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::model::Bytes;

/// What this process costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnCost {
    /// Memory that it holds now.
    pub process_memory_bytes: Bytes,
    /// The most that it ever held.
    pub process_memory_peak_bytes: Bytes,
    /// CPU time since the last reading, as percent of one CPU; since the start at the first.
    pub process_cpu_percent: f64,
}

/// Reads it, again and again.
#[derive(Debug)]
pub struct OwnCostReader {
    at: Instant,
    cpu: Duration,
}

impl OwnCost {
    /// Begins to read.
    #[must_use]
    pub fn reader() -> OwnCostReader {
        OwnCostReader { at: Instant::now(), cpu: cpu_time() }
    }
}

impl OwnCostReader {
    /// What it costs now; `None` where `/proc` does not say.
    pub fn read(&mut self) -> Option<OwnCost> {
        let status = procfs::process::Process::myself().and_then(|me| me.status()).ok()?;
        let bytes = |kib: u64| Bytes(kib.saturating_mul(1024));
        let (at, cpu) = (Instant::now(), cpu_time());
        let elapsed = at.saturating_duration_since(self.at).as_secs_f64();
        let used = cpu.saturating_sub(self.cpu).as_secs_f64();
        (self.at, self.cpu) = (at, cpu);
        Some(OwnCost {
            process_memory_bytes: bytes(status.vmrss?),
            process_memory_peak_bytes: bytes(status.vmhwm?),
            process_cpu_percent: if elapsed > 0.0 { 100.0 * used / elapsed } else { 0.0 },
        })
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
