//! Requests at block devices: bytes to the byte, never twice, and never more than the disk did.

use std::path::Path;

use profiler_tests::disk::{Disk, Done, is_start_traced};
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, scale, skip};

macro_rules! on_disk {
    () => {{
        if !is_start_traced() {
            skip!("this kernel has no tracepoint block_io_start");
        }
        match Disk::find() {
            Ok(disk) => disk,
            Err(why) => skip!("{why}"),
        }
    }};
}

fn mib() -> usize {
    scale(64, 8) as usize
}

fn files(how: &[&str], file: &Path, mib: usize) -> Finished {
    let (file, mib) = (file.display().to_string(), mib.to_string());
    let run = Run::workload(&[&["files", "--file", &file, "--mib", &mib, "--how"], how].concat());
    let run = run.traced().finish();
    run.assert_success();
    run
}

fn figure(run: &Finished, name: &str) -> u64 {
    run.session().usage.figure(name).unwrap_or_else(|| panic!("{name} is null"))
}

/// What the kernel charged all threads for reading.
fn read_by_kernel(run: &Finished) -> u64 {
    run.finals().values().map(|figures| figures.read_bytes.expect("read_bytes")).sum()
}

/// Runs once; the bytes are those that the program moved.
///
/// For reading it is what the kernel charged the program, which holds what its start read, and a few
/// blocks more: the file system's own notes about where the file is.
fn assert_bytes(disk: &Disk, how: &[&str], name: &str) -> Result<(Finished, Done), String> {
    let operation = name.strip_suffix("_bytes").expect("a figure of bytes").to_owned() + "_ops";
    let file = disk.cold_file("file", mib());
    let before = disk.done();
    let run = files(how, &file, mib());
    let done = disk.done().since(&before);
    if let Some(why) = run.excuse() {
        return Err(why);
    }
    let (got, mut truth) = (figure(&run, name), run.counted("bytes"));
    if name == "device_read_bytes" {
        let charged = read_by_kernel(&run);
        truth += run.counted("start_read_bytes");
        assert!((truth..truth + (1 << 20)).contains(&charged), "{charged} of {truth} bytes");
        truth = charged;
    }
    assert_eq!(got, truth, "{name} of {how:?}");
    assert!(figure(&run, &operation) > 0, "{operation}");
    assert!(run.session().usage.is_complete(), "lost: {}", run.session().usage.lost);
    Ok((run, done))
}

macro_rules! or_skip {
    ($what:expr) => {
        match $what {
            Ok(done) => done,
            Err(why) => skip!("{why}"),
        }
    };
}

#[test]
fn reading_past_the_cache_is_counted_at_the_device_to_the_byte() {
    require_bpf!();
    let disk = on_disk!();
    let (run, done) = or_skip!(assert_bytes(&disk, &["direct-read"], "device_read_bytes"));
    assert_eq!(figure(&run, "device_write_bytes"), 0, "device_write_bytes of a reader");
    let (bytes, ops) = (figure(&run, "device_read_bytes"), figure(&run, "device_read_ops"));
    assert!(bytes <= done.read_bytes, "{bytes} bytes, but the disk moved {}", done.read_bytes);
    assert!(ops <= done.read_ops, "{ops} requests, but the disk had {}", done.read_ops);
}

#[test]
fn writing_past_the_cache_is_counted_at_the_device_to_the_byte() {
    require_bpf!();
    let disk = on_disk!();
    let (run, done) = or_skip!(assert_bytes(&disk, &["direct-write"], "device_write_bytes"));
    assert_eq!(figure(&run, "device_read_bytes"), read_by_kernel(&run), "what a writer read");
    let (bytes, ops) = (figure(&run, "device_write_bytes"), figure(&run, "device_write_ops"));
    assert!(bytes <= done.write_bytes, "{bytes} bytes, but the disk moved {}", done.write_bytes);
    assert!(ops <= done.write_ops, "{ops} requests, but the disk had {}", done.write_ops);
}

#[test]
fn reading_ahead_is_counted_at_the_device_to_the_byte() {
    require_bpf!();
    let disk = on_disk!();
    or_skip!(assert_bytes(&disk, &["read"], "device_read_bytes"));
}

#[test]
fn reading_by_io_uring_is_counted_at_the_device_to_the_byte() {
    require_bpf!();
    let disk = on_disk!();
    for ring in ["inline", "async", "sqpoll"] {
        or_skip!(assert_bytes(&disk, &["uring", "--ring", ring], "device_read_bytes"));
    }
}

#[test]
fn requests_that_the_kernel_merges_are_counted_as_it_counts_them() {
    require_bpf!();
    let disk = on_disk!();
    let (run, done) = or_skip!(assert_bytes(&disk, &["neighbours"], "device_read_bytes"));
    if done.read_merges == 0 {
        skip!("this disk merges no requests");
    }
    let (ops, pages) = (figure(&run, "device_read_ops"), run.counted("bytes") / 4096);
    assert!(ops <= done.read_ops, "{ops} requests, but the disk had {}", done.read_ops);
    assert!(ops < pages, "{ops} requests for {pages} pages: none was merged");
    let threads = &run.session().threads;
    let sum: u64 = threads.iter().filter_map(|thread| thread.usage.figure("device_read_ops")).sum();
    assert_eq!(sum, ops, "the threads add up");
}

#[test]
fn the_threads_add_up_to_the_whole_at_the_device() {
    require_bpf!();
    let disk = on_disk!();
    let (run, _) = or_skip!(assert_bytes(&disk, &["direct-read"], "device_read_bytes"));
    for name in ["device_read_bytes", "device_read_ops", "device_write_bytes", "device_write_ops"] {
        let threads = &run.session().threads;
        let sum: u64 = threads.iter().filter_map(|thread| thread.usage.figure(name)).sum();
        assert_eq!(sum, figure(&run, name), "{name}");
    }
}

#[test]
fn latencies_are_ordered_and_as_long_as_the_command_at_most() {
    require_bpf!();
    let disk = on_disk!();
    let (run, _) = or_skip!(assert_bytes(&disk, &["direct-read"], "device_read_bytes"));
    let usage = &run.session().usage;
    let latency = usage.rest.get("device_latency_us").expect("device_latency_us");
    let of =
        |name: &str| latency.get(name).and_then(serde_json::Value::as_u64).expect("a quantile");
    let quantiles = [of("p50"), of("p95"), of("p99"), of("max")];
    assert!(quantiles.is_sorted(), "expected p50 <= p95 <= p99 <= max, got {latency}");
    assert!(of("max") > 0, "got {latency}");
    assert!(of("max") * 1000 <= usage.wall_ns.expect("wall_ns"), "longer than the run: {latency}");
    for thread in &run.session().threads {
        assert_eq!(thread.usage.rest["device_latency_us"], serde_json::Value::Null, "of a thread");
    }
}

#[test]
fn a_command_that_touches_no_disk_has_no_requests() {
    require_bpf!();
    if !is_start_traced() {
        skip!("this kernel has no tracepoint block_io_start");
    }
    let run = Run::workload(&["spin", "--seconds", "0.1"]).finish();
    run.assert_success();
    let usage = &run.session().usage;
    if usage.figures.read_bytes == Some(0) {
        assert_eq!(figure(&run, "device_read_bytes"), 0, "device_read_bytes");
        assert_eq!(figure(&run, "device_read_ops"), 0, "device_read_ops");
        assert_eq!(usage.rest["device_latency_us"], serde_json::Value::Null, "latency of nothing");
    }
    assert_eq!(figure(&run, "device_write_bytes"), 0, "device_write_bytes");
}

#[test]
fn two_runs_at_once_have_no_more_than_the_disk_did() {
    require_bpf!();
    let disk = on_disk!();
    let before = disk.done();
    let runs: Vec<_> = ["one", "other"]
        .map(|name| disk.cold_file(name, mib()))
        .iter()
        .map(|file| {
            let (file, mib) = (file.display().to_string(), mib().to_string());
            let words = ["files", "--how", "direct-read", "--file", &file, "--mib", &mib];
            Run::workload(&words).traced().start()
        })
        .collect();
    let runs: Vec<_> = runs.into_iter().map(|run| run.finish()).collect();
    let done = disk.done().since(&before);
    let sum: u64 = runs.iter().map(|run| figure(run, "device_read_bytes")).sum();
    assert!(sum <= done.read_bytes, "{sum} bytes, but the disk moved {}", done.read_bytes);
    for run in runs {
        assert_eq!(figure(&run, "device_read_bytes"), read_by_kernel(&run), "each has its own");
    }
}
