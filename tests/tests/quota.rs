//! What a CPU quota takes from a command shows as that, and as nobody's fault: it agrees with what
//! the kernel says of the quota itself.

use profiler_tests::quota::{Group, throttled_ns};
use profiler_tests::record::Usage;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, scale, skip, sys, taken};

/// A new group, or the end of the test where control groups cannot be had.
macro_rules! group {
    ($name:literal) => {
        match Group::new($name) {
            Ok(group) => group,
            Err(why) => skip!("{why}"),
        }
    };
}

fn throttled(usage: &Usage) -> u64 {
    usage.run_queue_throttled_ns.expect("run_queue_throttled_ns")
}

fn queued(usage: &Usage) -> u64 {
    usage.figures.run_queue_ns.expect("run_queue_ns")
}

/// Runs a workload in a group; whatever it is, the figures add up and no part exceeds the whole.
fn run_in(group: &Group, words: &[&str]) -> Finished {
    let run = Run::workload(words).within(group).finish();
    run.assert_success();
    run.assert_sums();
    for thread in &run.session().threads {
        let (part, all) = (throttled(&thread.usage), queued(&thread.usage));
        assert!(part <= all, "{}: {part} of {all} ns", thread.comm);
    }
    run
}

/// What the kernel says that a quota took of a command of one thread.
struct Truth {
    /// By the time when the thread looked for the last time.
    alive_ns: u64,
    /// When all was over. A thread that dies may use up the quota with its last step, and then the
    /// kernel counts the rest of the period as throttled, in which nobody wanted to run.
    over_ns: u64,
    /// What interrupts took meanwhile, and what was stolen.
    interrupted_ns: u64,
}

/// What the kernel said of the quota when the workload looked.
fn shown(run: &Finished) -> Vec<u64> {
    throttled_ns(&String::from_utf8_lossy(&run.stdout))
}

/// Runs a thread that spins in this group, which the quota of `above` holds back. It stays on one CPU
/// from its first step: what becomes of a wait that ends on another is not exact.
fn spin_below(above: &Group, group: &Group) -> (Finished, Truth) {
    let (stat, before) = (above.stat(), taken::interrupted_ns());
    let stat = stat.to_str().expect("a plain path");
    // The command inherits it.
    sys::pin(0);
    let run = run_in(group, &["spin", "--seconds", &seconds(), "--show", stat]);
    sys::unpin();
    let truth = Truth {
        alive_ns: shown(&run)[0],
        over_ns: above.throttled_ns(),
        interrupted_ns: taken::interrupted_ns() - before,
    };
    (run, truth)
}

/// Ours agrees with the kernel's to a hundredth: `cpu.stat` may count in microseconds. The kernels
/// before 6.6 take the one that we read by a clock that leaves out what interrupts took and what a
/// hypervisor stole, so there it may lack as much as there was of these.
fn assert_agree(got: u64, truth: &Truth, what: &str) {
    let Truth { alive_ns, over_ns, interrupted_ns } = *truth;
    assert!(alive_ns > 500_000_000, "a tenth of a CPU for seconds: throttled for {alive_ns} ns");
    let left_out = if has_clock_of_its_own() { 0 } else { interrupted_ns };
    let is_close = got <= over_ns + over_ns / 100 && got + left_out >= alive_ns - alive_ns / 100;
    assert!(
        is_close,
        "{what}: expected {alive_ns} to {over_ns} ns, of which {left_out} ns may lack, got {got} ns \
         ({interrupted_ns} ns interrupted)"
    );
}

/// Whether the kernel adds up throttled time by the run queue's own clock, as it does since 6.6.
fn has_clock_of_its_own() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the release");
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

/// As [`assert_agree`], for a part of that time.
fn assert_no_more(got: u64, truth: u64, what: &str) {
    assert!(got <= truth + truth / 100, "{what}: {got} ns of the {truth} ns that there were");
}

fn seconds() -> String {
    scale(2, 3).to_string()
}

#[test]
fn the_time_that_a_quota_takes_from_a_thread_is_what_the_kernel_says() {
    require_bpf!();
    let group = group!("one");
    group.set_quota_ms(10);
    let (run, truth) = spin_below(&group, &group);
    assert_agree(throttled(&run.session().usage), &truth, "one thread");
}

#[test]
fn a_quota_of_a_group_further_up_counts_as_well() {
    require_bpf!();
    let above = group!("above");
    let group = match above.child("below") {
        Ok(group) => group,
        Err(why) => skip!("{why}"),
    };
    above.set_quota_ms(10);
    let (run, truth) = spin_below(&above, &group);
    assert_eq!(group.throttled_ns(), 0, "the group's own quota, which it has not");
    assert_agree(throttled(&run.session().usage), &truth, "one thread, two groups down");
}

#[test]
fn each_thread_that_a_quota_holds_back_loses_that_time() {
    require_bpf!();
    let group = group!("several");
    group.set_quota_ms(10);
    let (seconds, stat) = (seconds(), group.stat());
    let stat = stat.to_str().expect("a plain path");
    let words = ["hogs", "--count", "3", "--cpu", "0", "--seconds", &seconds, "--show", stat];
    let run = run_in(&group, &words);
    let all = group.throttled_ns();
    let [begin, end] = shown(&run)[..] else { panic!("{run}") };
    let leader = run.session().processes[0].pid;
    let (first, hogs): (Vec<_>, Vec<_>) =
        run.session().threads.iter().partition(|thread| thread.tid == leader);
    assert_eq!((first.len(), hogs.len()), (1, 3), "threads that want the CPU, and the first");
    for hog in hogs {
        let (part, own) = (throttled(&hog.usage), hog.usage.run_queue_self_ns.unwrap_or(0));
        assert_no_more(part, all - begin, &hog.comm);
        // While they are begun and while they end, not all of them want the CPU.
        let together = end - begin;
        assert!(part * 2 > together, "{part} ns of the {together} ns that all were held back");
        assert!(own > 0, "they wait for each other besides");
    }
}

#[test]
fn threads_that_sleep_now_and_then_lose_no_more_than_there_was() {
    require_bpf!();
    let group = group!("sleepers");
    group.set_quota_ms(10);
    let run = run_in(&group, &["threads", "--count", "8", "--work-us", "30000"]);
    let truth = group.throttled_ns();
    assert!(truth > 0, "240 ms of work with 10 ms in 100 take a while");
    for thread in &run.session().threads {
        let part = throttled(&thread.usage);
        assert_no_more(part, truth, &thread.comm);
    }
    assert!(throttled(&run.session().usage) > 0, "nobody was held back");
}

#[test]
fn a_command_beside_a_throttled_one_loses_nothing_to_its_quota() {
    require_bpf!();
    let (poor, free) = (group!("poor"), group!("free"));
    poor.set_quota_ms(10);
    let words = ["hogs", "--count", "1", "--cpu", "0", "--seconds", "60"];
    let neighbour = Run::workload(&words).within(&poor).start();
    neighbour.wait_for("begun");
    let run = run_in(&free, &["hogs", "--count", "1", "--cpu", "0", "--seconds", &seconds()]);
    neighbour.signal(libc::SIGTERM);
    neighbour.finish();
    assert!(poor.throttled_ns() > 0, "the neighbour is throttled");
    assert_eq!(throttled(&run.session().usage), 0, "there is no quota on this one");
    assert!(queued(&run.session().usage) > 0, "it waits for its neighbour");
}

#[test]
fn the_summary_says_that_a_quota_bound_the_run() {
    require_bpf!();
    let group = group!("summary");
    group.set_quota_ms(10);
    let run = run_in(&group, &["spin", "--seconds", &seconds()]);
    assert!(run.stderr.contains("CPU quota: "), "what bound the run. {run}");
}

#[test]
fn samples_do_not_know_what_a_quota_took() {
    let run = Run::workload(&["spin", "--seconds", "0.1"]).options(&["--source", "procfs"]);
    let run = run.finish();
    run.assert_success();
    assert_eq!(run.session().usage.run_queue_throttled_ns, None);
}
