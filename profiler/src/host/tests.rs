use std::thread;

use super::*;
use crate::model::Bytes;

#[test]
fn a_reading_agrees_with_the_kernel() {
    let reading = Reading::now().unwrap();
    let memory = rustix::system::sysinfo();
    let total = memory.totalram * u64::from(memory.mem_unit);
    assert!(reading.memory.total.0 <= total && reading.memory.total > Bytes(0));
    assert!(reading.memory.available <= reading.memory.total);
    assert_eq!(reading.cores.len(), reading.capacity.logical_cores as usize);
    let sum: Duration = reading.cores.iter().map(|(_, times)| times.busy).sum();
    // The kernel's own sum is of finer units than the ticks that it shows.
    let apart = sum.abs_diff(reading.cpu.busy);
    assert!(apart <= Duration::from_millis(100) * reading.capacity.logical_cores, "{apart:?}");
}

#[test]
fn a_busy_cpu_shows_and_the_latest_figures_are_there_for_all() {
    let mut telemetry = Telemetry::start().unwrap();
    let latest = telemetry.latest();
    assert_eq!(latest.get().cpu_percent, None);
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    let sample = telemetry.read().unwrap();
    // Others may have kept us from running, and then they were busy.
    assert!(sample.busy >= Duration::from_millis(150), "{sample:?}");
    assert!(sample.interval >= Duration::from_millis(300));
    assert!(sample.cpu_share() > 0.0 && sample.cores > 0.0);
    let view = latest.get();
    assert!(view.cpu_percent.is_some_and(|percent| percent > 0.0 && percent <= 100.0));
    assert_eq!(view.cores.len(), view.logical_cores as usize);
    assert!(view.filesystems.iter().all(|it| it.available_bytes <= it.total_bytes));
}

#[test]
fn what_this_process_costs_is_what_the_kernel_says() {
    let mut reader = OwnCost::reader();
    let held = vec![1_u8; 64 << 20];
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        std::hint::black_box(&held);
    }
    let cost = reader.read().unwrap();
    assert!(cost.process_memory_bytes >= Bytes(64 << 20), "{cost:?}");
    assert!(cost.process_memory_peak_bytes >= cost.process_memory_bytes);
    assert!(cost.process_cpu_percent > 1.0, "{cost:?}");
    drop(held);
    thread::sleep(Duration::from_millis(10));
    assert!(reader.read().unwrap().process_cpu_percent >= 0.0);
}
