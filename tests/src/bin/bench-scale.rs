//! 10,000 live threads in 1,000 jobs: how long a snapshot takes, beside reading the same figures
//! from `/proc`; how long loading takes; how much memory the reader needs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use profiler::kernel::{Attribution, Capacity, Snapshot};
use profiler_common::TagMode;
use profiler_tests::bench::median;
use profiler_tests::binaries;

const THREADS: usize = 10_000;
const JOBS: usize = 1_000;

fn main() {
    let mut workload = workload();
    let pids = children(workload.id());
    assert_eq!(pids.len(), JOBS, "a process a job");

    let began = Instant::now();
    let capacity = Capacity { tasks: 16_384, jobs: 1024, connectors: 16, ended_bytes: 1 << 20 };
    let mut attribution = Attribution::load(capacity).expect("needs root and BPF");
    let loaded = began.elapsed();
    let began = Instant::now();
    for pid in &pids {
        let job = attribution.begin_job(0).expect("a free slot");
        attribution.tag_process(*pid, job, TagMode::Count).expect("a live process");
    }
    let tagged = began.elapsed() / JOBS as u32;

    let mut snapshot = Snapshot::default();
    let ours = timed(|| snapshot = attribution.snapshot());
    assert_eq!((snapshot.jobs.len(), snapshot.tasks.len()), (JOBS, THREADS), "jobs and threads");
    let peer = timed(|| drop(read_proc(&pids)));

    println!("load and attach                      {:>9.1} ms  (<= 300)", milliseconds(loaded));
    let verified = attribution.verified().expect("what the verifier did");
    println!(
        "  instructions that the verifier walks {:>8}: {verified:?}",
        verified.values().sum::<u32>()
    );
    println!("begin a job and tag its 10 threads   {:>9.3} ms", milliseconds(tagged));
    println!("snapshot, {THREADS} threads, {JOBS} jobs {:>9.3} ms  (< 2)", ours);
    println!(
        "the same from /proc/*/task/*/schedstat{peer:>8.1} ms  ({:.0} times ours)",
        peer / ours
    );
    println!("resident memory                      {:>9.1} MiB (< 40)", resident_mib("VmRSS"));
    println!("resident memory at its highest       {:>9.1} MiB", resident_mib("VmHWM"));
    drop(workload.stdin.take());
    workload.wait().expect("the workload");
}

fn workload() -> Child {
    let mut child = Command::new(binaries::workload())
        .args(["many-threads", "--count", &THREADS.to_string(), "--processes", &JOBS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the workload");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a word from the workload");
    assert_eq!(line.trim(), "ready");
    child
}

fn children(pid: u32) -> Vec<u32> {
    let list =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
    list.split_ascii_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

fn read_proc(pids: &[u32]) -> Vec<String> {
    let tasks =
        pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).expect("tasks"));
    tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("schedstat")).expect("it"))
        .collect()
}

fn timed(mut f: impl FnMut()) -> f64 {
    let rounds = (0..51).map(|_| {
        let began = Instant::now();
        f();
        milliseconds(began.elapsed())
    });
    median(rounds.collect())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn resident_mib(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("our status");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib =
        line.and_then(|line| line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
