//! Exactness by thread: every thread that a command ever had is in the JSON, and each of its
//! figures is the kernel's own, 0 ns off. The truth comes from a tracer that reads each thread
//! after its death (`profiler_tests::workload::trace`).

use profiler_tests::run::{Finished, Run};
use profiler_tests::truth::What;
use profiler_tests::{require_bpf, scale};

/// Runs a workload under the tracer and compares everything.
fn exact(words: &[&str]) -> Finished {
    let run = Run::workload(words).traced().options(&["--source", "ebpf"]).finish();
    run.assert_success();
    run.assert_exact();
    run
}

#[test]
fn a_thread_that_never_leaves_the_cpu_is_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["spin", "--seconds", "1.5"]);
}

#[test]
fn a_thread_that_lives_under_100_us_is_charged_to_the_nanosecond() {
    require_bpf!();
    let count = scale(1000, 100);
    let run = exact(&["short-threads", "--count", &count.to_string()]);
    assert_eq!(run.session().threads.len(), count as usize + 1, "threads listed");
}

#[test]
fn threads_that_spin_sleep_and_yield_are_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["threads", "--count", "16", "--work-us", "8000"]);
}

#[test]
fn hundreds_of_threads_that_fight_for_the_cpus_are_charged_to_the_nanosecond() {
    require_bpf!();
    let count = scale(400, 40).to_string();
    exact(&["oversubscribe", "--count", &count, "--seconds", "1"]);
}

#[test]
fn two_threads_that_wake_each_other_are_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["ping-pong", "--switches", &scale(100_000, 4000).to_string()]);
}

#[test]
fn threads_that_end_inside_a_system_call_are_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["exit-in-syscall", "--how", "group"]);
}

#[test]
fn threads_that_end_themselves_by_a_system_call_are_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["exit-in-syscall", "--how", "thread"]);
}

#[test]
fn threads_that_are_killed_are_charged_to_the_nanosecond() {
    require_bpf!();
    let run = Run::workload(&["exit-in-syscall", "--how", "signal"]).traced().finish();
    assert_eq!(run.code(), 128 + libc::SIGKILL, "exit status. {run}");
    run.assert_exact();
}

#[test]
fn a_process_that_outlives_its_first_thread_is_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["leader-exits-first"]);
}

#[test]
fn thousands_of_sleeping_threads_are_all_listed_and_exact() {
    require_bpf!();
    let count = scale(4000, 200);
    let run = Run::workload(&["many-threads", "--count", &count.to_string(), "--processes", "4"]);
    let run = run.traced().finish();
    run.assert_success();
    run.assert_exact();
    let threads = run.session().threads.len();
    assert_eq!(threads, count as usize + 1, "threads listed");
    let peak = run.session().usage.tasks_peak;
    assert_eq!(peak, Some(u64::from(count) + 1), "tasks_peak");
}

#[test]
fn threads_that_nobody_traces_get_what_they_saw_and_all_that_the_kernel_says() {
    require_bpf!();
    let words = ["threads", "--count", "16", "--work-us", "8000", "--waited", "1"];
    let run = Run::workload(&words).finish();
    run.assert_success();
    run.assert_at_least_reported();
    run.assert_sums();
    let line = run.report.iter().find(|line| line.what == What::ChildrenTotal);
    let line = line.expect("the kernel's sum over the threads");
    let threads = run.session().threads.iter().filter(|thread| thread.pid == line.tid);
    let got: u64 = threads.filter_map(|thread| thread.usage.figures.cpu_ns).sum();
    let least = line.figures.cpu_ns.expect("known");
    // The kernel closes the sum for a thread some microseconds before its last switch.
    let most = least + least / 10;
    assert!((least..most).contains(&got), "cpu_ns of all: expected {least} to {most}, got {got}");
}

#[test]
fn the_time_of_a_thread_adds_up_to_its_life() {
    require_bpf!();
    let run = exact(&["spin", "--seconds", "0.3"]);
    let usage = &run.session().threads[0].usage;
    let parts = [usage.figures.cpu_ns, usage.figures.run_queue_ns];
    let waits = [usage.block_wait_ns, usage.other_wait_ns];
    // A wait that is not told is no part of the sum; this thread hardly has any.
    let sum: u64 = parts.map(|part| part.expect("a figure")).into_iter().sum();
    let sum = sum + waits.into_iter().flatten().sum::<u64>();
    let wall = usage.wall_ns.expect("wall_ns");
    // A computing thread's clock stands still while an interrupt or the hypervisor has the CPU.
    assert!(sum <= wall + 1_000_000, "expected at most {wall} ns, got {sum}");
    assert!(sum * 10 >= wall * 8, "expected about {wall} ns, got {sum}");
}
