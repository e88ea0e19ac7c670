//! Without the right to load BPF programs the same record comes from `/proc`, is marked so, and
//! is never more than the truth.

use profiler_tests::run::Run;
use profiler_tests::{require_bpf, skip, sys};

const NOBODY: u32 = 65_534;

#[test]
fn an_unprivileged_user_gets_samples_that_are_marked_as_such() {
    if sys::geteuid() != 0 {
        skip!("needs root, to become somebody else");
    }
    let run = Run::workload(&["spin", "--seconds", "0.6"]).user(NOBODY).traced().finish();
    run.assert_success();
    let session = run.session();
    assert_eq!(session.usage.source.as_deref(), Some("procfs"), "source. {run}");
    // The kernel's own sum over descendants that were waited for, which has whole microseconds of
    // each of two parts.
    let truth: u64 = run.finals().values().filter_map(|figures| figures.cpu_ns).sum();
    let got = session.usage.figures.cpu_ns.expect("cpu_ns");
    let least = truth.saturating_sub(2_000);
    assert!((least..=truth).contains(&got), "cpu_ns: expected {least} to {truth}, got {got}");
}

#[test]
fn an_unprivileged_user_who_insists_on_exact_figures_is_told_what_is_missing() {
    if sys::geteuid() != 0 {
        skip!("needs root, to become somebody else");
    }
    let run = Run::workload(&["mark", "--file", "/dev/null"]).options(&["--source", "ebpf"]);
    let run = run.user(NOBODY).finish();
    assert_ne!(run.code(), 0, "exit status. {run}");
    assert!(run.stdout.is_empty(), "the command must not run. {run}");
    let named = ["root", "CAP_BPF", "CAP_SYS_ADMIN"].iter().any(|word| run.stderr.contains(word));
    assert!(named, "what is missing is not named. {run}");
}

#[test]
fn samples_are_never_more_than_the_truth() {
    require_bpf!();
    let run = Run::workload(&["threads", "--count", "8", "--work-us", "50000"]).traced();
    let run = run.options(&["--source", "procfs"]).finish();
    run.assert_success();
    assert_eq!(run.session().usage.source.as_deref(), Some("procfs"), "source. {run}");
    let truth = run.finals();
    for thread in &run.session().threads {
        let key = (thread.pid, thread.tid);
        let most = truth.get(&key).unwrap_or_else(|| panic!("thread {key:?} was never seen"));
        let got = thread.usage.figures.cpu_ns;
        assert!(got <= most.cpu_ns, "thread {key:?}: expected at most {most:?}, got {got:?}");
    }
}
