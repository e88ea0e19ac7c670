//! What was taken from all CPUs together since the machine started, in nanoseconds: by the kernel's own
//! figures in `/proc/stat`, which are ticks of a hundredth of a second.

use std::fs;

/// By the hypervisor, which ran others.
pub fn stolen_ns() -> u64 {
    let [.., stolen] = figures();
    stolen
}

/// By interrupts and by the hypervisor.
pub fn interrupted_ns() -> u64 {
    figures().into_iter().sum()
}

/// Interrupts, softirqs, stolen time.
fn figures() -> [u64; 3] {
    const TICK_NS: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let all = stat.lines().next().expect("a line");
    [6, 7, 8].map(|field| {
        let ticks = all.split_ascii_whitespace().nth(field).and_then(|ticks| ticks.parse().ok());
        ticks.unwrap_or(0_u64) * TICK_NS
    })
}
