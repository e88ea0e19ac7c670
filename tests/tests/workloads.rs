//! The truth itself is tested before the product is compared with it: two readers of the same
//! thread agree, and what is called exact is.

use std::process::Command;

use profiler_tests::truth::{Line, Report, What};
use profiler_tests::{binaries, scale, skip};

/// Runs a workload under the tracer: what the tracer saw, and what the workload says.
fn trace(words: &[&str]) -> (Vec<Line>, Vec<Line>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (truth, report) = (folder.path().join("truth"), folder.path().join("report"));
    let status = Command::new(binaries::workload())
        .args(["trace", "--report"])
        .arg(&truth)
        .arg("--")
        .arg(binaries::workload())
        .args(words)
        .arg("--report")
        .arg(&report)
        .status()
        .expect("the tracer");
    assert!(status.success(), "{words:?}: {status}");
    (Report::read(&truth), Report::read(&report))
}

fn finals(lines: &[Line]) -> impl Iterator<Item = &Line> {
    lines.iter().filter(|line| line.what == What::Final)
}

#[test]
fn a_parent_and_a_tracer_read_the_same_of_a_dead_child() {
    let (truth, report) = trace(&["forks", "--count", "50"]);
    assert_eq!(finals(&report).count(), 50, "children");
    for line in finals(&report) {
        let traced = finals(&truth).find(|traced| traced.is_about(line.pid, line.tid));
        assert_eq!(traced.map(|traced| traced.figures), Some(line.figures), "child {}", line.pid);
    }
}

#[test]
fn a_sibling_and_a_tracer_read_the_same_of_a_dead_leader() {
    let (truth, report) = trace(&["leader-exits-first"]);
    let line = finals(&report).next().expect("the leader");
    let traced = finals(&truth).find(|traced| traced.is_about(line.pid, line.tid));
    assert_eq!(traced.map(|traced| traced.figures), Some(line.figures), "leader {}", line.pid);
}

#[test]
fn a_threads_own_last_reading_is_a_close_lower_bound() {
    let (truth, report) = trace(&["threads", "--count", "16"]);
    for line in report.iter().filter(|line| line.what == What::AtLeast) {
        let traced = finals(&truth).find(|traced| traced.is_about(line.pid, line.tid));
        let traced = traced.expect("a final reading").figures.cpu_ns.expect("cpu_ns");
        let least = line.figures.cpu_ns.expect("cpu_ns");
        // Ten times as much where the same work takes ten times as long.
        let most = least + u64::from(scale(20, 200)) * 1_000_000;
        assert!((least..=most).contains(&traced), "thread {}: {least} {traced}", line.tid);
    }
}

#[test]
fn the_process_clock_is_a_lower_bound_of_the_sum() {
    let (truth, report) = trace(&["short-threads", "--count", "100"]);
    let clock = report.iter().find(|line| line.what == What::ProcessClock).expect("the clock");
    let sum: u64 = finals(&truth).filter_map(|line| line.figures.cpu_ns).sum();
    assert!(clock.figures.cpu_ns.expect("a clock") <= sum, "{clock:?} over {sum}");
    assert_eq!(finals(&truth).count(), 101, "threads");
}

#[test]
fn the_tracer_sees_the_kernels_own_io_uring_threads() {
    let (truth, report) = trace(&["io-uring", "--sqpoll", "1"]);
    if let Some(why) = report.iter().find_map(|line| line.note.clone()) {
        skip!("{why}");
    }
    for name in ["iou-wrk", "iou-sqp"] {
        let found = finals(&truth).any(|line| line.comm.starts_with(name));
        assert!(found, "no {name} thread among {truth:?}");
    }
}

#[test]
fn the_tracer_sees_detached_grandchildren_and_the_images_after_an_exec() {
    let (truth, _) = trace(&["daemon"]);
    assert_eq!(finals(&truth).count(), 3, "processes");
    let (truth, _) = trace(&["exec", "--from", "thread", "--times", "3"]);
    assert_eq!(truth.iter().filter(|line| line.what == What::Exec).count(), 3, "execs");
    assert_eq!(finals(&truth).count(), 1, "the last image");
}
