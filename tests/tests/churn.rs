//! Storage, sockets and memory stay exact while processes come and go, and while many threads live.

use profiler_tests::disk::Disk;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, scale, skip};

const NET: [&str; 4] = ["net_rx_bytes", "net_rx_ops", "net_tx_bytes", "net_tx_ops"];
/// What a small program needs besides what it touches.
const BESIDES: u64 = 4 << 20;

fn figure(run: &Finished, name: &str) -> Option<u64> {
    run.session().usage.figure(name)
}

/// Each figure against the program's own count, and against the disk's.
fn assert_exact(disk: &Disk, words: &[&str], kib: u64) -> Finished {
    let (file, kib_text) = (disk.cold_file("file", 16), kib.to_string());
    let file = file.display().to_string();
    let words = [&["churn", "--file", &file, "--kib", &kib_text], words].concat();
    let before = disk.done();
    let run = Run::workload(&words).options(&["--max-listed", "100000"]).finish();
    let done = disk.done().since(&before);
    run.assert_success();
    for name in NET {
        assert_eq!(figure(&run, name), Some(run.counted(name)), "{name}");
    }
    // Null before Linux 6.5, where the hook may be refused.
    if let Some(bytes) = figure(&run, "device_read_bytes") {
        let charged = run.session().usage.figures.read_bytes.expect("read_bytes");
        assert!(charged >= run.counted("bytes"), "{charged} bytes charged by the kernel");
        assert_eq!(bytes, charged, "bytes at the device");
        let ops = figure(&run, "device_read_ops").expect("it is known");
        assert!(ops <= done.read_ops, "{ops} requests, but the disk had {}", done.read_ops);
        assert!(bytes <= done.read_bytes, "{bytes} bytes, but the disk read {}", done.read_bytes);
    }
    let children = run.counted("children");
    assert_eq!(run.session().usage.processes, Some(children + 1), "processes");
    assert_peaks(&run, kib << 10);
    run.assert_sums();
    run
}

/// Each child held what it touched; what all held is between that and what 20 at once could.
fn assert_peaks(run: &Finished, touched: u64) {
    let processes = &run.session().processes;
    for process in processes.iter().filter(|process| process.usage.figure("net_tx_ops") > Some(0)) {
        let peak = process.usage.figure("memory_peak_bytes").expect("it is known");
        assert!(peak >= touched, "process {}: {peak} bytes, touched {touched}", process.pid);
    }
    let whole = figure(run, "memory_peak_bytes").expect("it is known");
    let parent = processes.iter().find(|process| process.usage.figure("net_tx_ops") == Some(0));
    let parent = parent.and_then(|parent| parent.usage.figure("memory_peak_bytes")).expect("one");
    let most = parent + 20 * (touched + BESIDES);
    assert!((touched..=most).contains(&whole), "{whole} bytes at once, at most {most} possible");
}

macro_rules! on_disk {
    () => {
        match Disk::find() {
            Ok(disk) => disk,
            Err(why) => skip!("{why}"),
        }
    };
}

#[test]
fn figures_hold_while_two_hundred_processes_a_second_come_and_go() {
    require_bpf!();
    let disk = on_disk!();
    let per_second = scale(200, 20).to_string();
    let run = assert_exact(&disk, &["--per-second", &per_second, "--seconds", "3"], 512);
    assert!(run.counted("children") >= u64::from(scale(600, 60)), "children");
}

#[test]
fn figures_hold_while_ten_thousand_threads_live() {
    require_bpf!();
    let disk = on_disk!();
    let threads = scale(10_000, 500);
    let words = ["--threads", &threads.to_string(), "--per-second", "50", "--seconds", "1"];
    let run = assert_exact(&disk, &words, 64);
    assert!(run.session().usage.tasks_peak > Some(u64::from(threads)), "threads at once");
}
