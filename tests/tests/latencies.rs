//! How long requests took: at a disk that takes a known time for each.

use std::fs;

use profiler_tests::disk::is_start_traced;
use profiler_tests::null_disk::NullDisk;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{binaries, require_bpf, skip};
use serde_json::Value;

/// What each request takes, and how many there are.
const MS: u64 = 20;
const REQUESTS: u64 = 64;

macro_rules! disk {
    () => {{
        if !is_start_traced() {
            skip!("this kernel has no tracepoint block_io_start");
        }
        if let Err(why) = NullDisk::available() {
            skip!("{why}");
        }
        NullDisk::new(REQUESTS as u32, MS * 1_000_000).expect("a disk")
    }};
}

/// A run of the shell with the disk's device file and its switch for statistics.
fn run(disk: &NullDisk, script: &str) -> Finished {
    let workload = binaries::workload().display().to_string();
    let read = format!("{workload} queue --each {REQUESTS} --files $0");
    let script = script.replace("READ", &read);
    let (file, switch) = (disk.path.display().to_string(), disk.statistics().display().to_string());
    let run = Run::command(&["sh", "-c", &script, &file, &switch]).finish();
    run.assert_success();
    assert_eq!(run.session().usage.figure("device_read_ops"), Some(REQUESTS));
    run
}

fn assert_all_took_their_time(run: &Finished) {
    let usage = &run.session().usage;
    assert_eq!(usage.lost("requests_untimed"), 0);
    let latency = &usage.rest["device_latency_us"];
    let of = |name: &str| latency[name].as_u64().expect("a quantile");
    let least = MS * 1000;
    assert!((least..2 * least).contains(&of("p50")), "of {MS} ms: {latency}");
    assert!(of("max") >= least, "of {MS} ms: {latency}");
}

#[test]
fn a_request_takes_as_long_as_its_disk_does() {
    require_bpf!();
    let disk = disk!();
    assert_all_took_their_time(&run(&disk, "READ"));
}

#[test]
fn a_disk_without_statistics_has_latencies_too() {
    require_bpf!();
    let disk = disk!();
    fs::write(disk.statistics(), "0").expect("to switch them off");
    assert_all_took_their_time(&run(&disk, "READ"));
}

#[test]
fn requests_after_statistics_were_switched_off_are_counted_as_untimed() {
    require_bpf!();
    let disk = disk!();
    let run = run(&disk, "echo 0 > $1; READ");
    let usage = &run.session().usage;
    assert_eq!(usage.lost("requests_untimed"), REQUESTS);
    assert_eq!(usage.rest["device_latency_us"], Value::Null);
}
