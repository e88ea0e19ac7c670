//! Whatever the limits, the totals are exact, and what the lists lack is counted.

use std::fs::{self, File};
use std::thread;
use std::time::Duration;

use profiler_tests::compare::{assert_none, differences};
use profiler_tests::run::{Finished, Run};
use profiler_tests::truth::{Figures, Line, What};
use profiler_tests::{require_bpf, scale};

fn sum<'a>(of: impl Iterator<Item = &'a Figures>) -> Figures {
    let mut all = Figures::default();
    for figures in of {
        all.add(figures);
    }
    all
}

/// The whole is the kernel's own, figure by figure, over all threads that the tracer saw.
fn assert_total_exact(run: &Finished) {
    let finals = run.finals();
    let (truth, got) = (sum(finals.values()), run.session().usage.figures);
    assert_same(&truth, &got);
    assert_eq!(run.session().usage.tasks, Some(finals.len() as u64), "tasks");
}

fn assert_same(truth: &Figures, got: &Figures) {
    for ((name, truth), (_, got)) in truth.named().into_iter().zip(got.named()) {
        assert_eq!(got, truth, "{name} of the whole");
    }
}

#[test]
fn threads_over_the_table_of_live_threads_count_when_they_end() {
    require_bpf!();
    let run = Run::workload(&["many-threads", "--count", "16", "--processes", "1"]);
    let run = run.traced().options(&["--max-tasks", "4"]).finish();
    run.assert_success();
    assert_total_exact(&run);
    let unlisted = run.session().usage.lost("tasks_unlisted");
    assert!((1..=17).contains(&unlisted), "tasks_unlisted: {unlisted}");
    // All have ended, so all are in the lists.
    assert_none(&differences(run.session(), &run.finals()), "of 17 threads with room for 4");
}

#[test]
fn threads_over_the_list_are_counted_and_part_of_the_totals() {
    require_bpf!();
    let run = Run::workload(&["forks", "--count", "20"]);
    let run = run.traced().options(&["--max-listed", "3"]).finish();
    run.assert_success();
    assert_total_exact(&run);
    assert_eq!(run.session().threads.len(), 3, "threads listed");
    let usage = &run.session().usage;
    assert_eq!(usage.lost("tasks_beyond_list"), 18, "lost: {}", usage.lost);
}

#[test]
fn a_list_that_is_long_enough_loses_nothing() {
    require_bpf!();
    let run = Run::workload(&["forks", "--count", "20"]);
    let run = run.traced().options(&["--max-listed", "21", "--max-tasks", "40"]).finish();
    run.assert_success();
    run.assert_exact();
}

#[test]
fn nothing_is_missing_from_the_totals_of_a_crowd_that_came_while_nobody_looked() {
    require_bpf!();
    let count = u64::from(scale(20_000, 15_000));
    let folder = tempfile::tempdir().expect("a folder");
    let (go, until) = (folder.path().join("go"), folder.path().join("until"));
    let (go_text, until_text) = (go.display().to_string(), until.display().to_string());
    let count_text = count.to_string();
    let words = ["burst", "--count", &count_text, "--go", &go_text, "--until", &until_text];
    let run = Run::workload(&words).start();
    run.wait_for("begun");
    run.signal(libc::SIGSTOP);
    let stat = format!("/proc/{}/stat", run.pid());
    while !fs::read_to_string(&stat).expect("the profiler is there").contains(") T ") {
        thread::sleep(Duration::from_millis(1));
    }
    File::create(&go).expect("a word to begin");
    run.wait_for("done");
    run.signal(libc::SIGCONT);
    // So that the last of them finds room again.
    thread::sleep(Duration::from_millis(500));
    File::create(&until).expect("a word to end");
    let run = run.finish();
    run.assert_success();

    let usage = &run.session().usage;
    let (all, listed) = (count + 1, run.session().threads.len() as u64);
    let unlisted = usage.lost("ends_unlisted");
    assert!(unlisted > 0, "{listed} of {all} are listed, so nothing was tested");
    assert_eq!(listed + unlisted, all, "listed and not listed. lost: {}", usage.lost);
    assert_eq!((usage.tasks, usage.processes), (Some(all), Some(all)), "tasks and processes");

    let total = |line: &&Line| line.what == What::ChildrenTotal;
    let children = run.report.iter().find(total).expect("the children's total");
    let parent = children.pid;
    let parents: Vec<_> = run.session().threads.iter().filter(|t| t.pid == parent).collect();
    assert_eq!(parents.len(), 1, "the one that waited for the end is listed");
    let truth = sum([&children.figures, &parents[0].usage.figures].into_iter());
    assert_same(&truth, &usage.figures);
}
