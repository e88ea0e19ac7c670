//! Exactness by process: however a process came to be and whatever it turned into, it stays with
//! the command that started it, with each figure as the kernel has it.

use profiler_tests::run::{Finished, Run};
use profiler_tests::truth::{Figures, What};
use profiler_tests::{require_bpf, scale, skip};

fn exact(words: &[&str]) -> Finished {
    let run = Run::workload(words).traced().options(&["--source", "ebpf"]).finish();
    run.assert_success();
    run.assert_exact();
    run
}

#[test]
fn children_are_charged_to_the_nanosecond() {
    require_bpf!();
    let run = exact(&["forks", "--count", "100"]);
    // The workload read its zombies too: two independent readers of the same truth.
    run.assert_reported_exact();
}

#[test]
fn children_are_charged_to_the_nanosecond_when_nobody_traces_them() {
    require_bpf!();
    let run = Run::workload(&["forks", "--count", "100"]).finish();
    run.assert_success();
    run.assert_reported_exact();
}

#[test]
fn each_of_ten_thousand_short_lived_children_is_charged_to_the_nanosecond() {
    require_bpf!();
    let count = scale(10_000, 500);
    let run = exact(&["children", "--count", &count.to_string()]);
    let processes = run.session().processes.len();
    assert_eq!(processes, count as usize + 1, "processes listed");
    assert_eq!(run.session().usage.processes, Some(u64::from(count) + 1), "processes counted");
}

#[test]
fn ten_thousand_children_made_at_full_speed_add_up_to_the_nanosecond() {
    require_bpf!();
    let count = scale(10_000, 500);
    let run = Run::workload(&["children", "--count", &count.to_string()]).finish();
    run.assert_success();
    run.assert_sums();
    let total = run.report.iter().find(|line| line.what == What::ChildrenTotal);
    let total = total.expect("the workload's total");
    let session = run.session();
    let mut children = Figures::default();
    let of_children = session.threads.iter().filter(|thread| thread.pid != total.pid);
    for child in of_children.clone() {
        children.add(&child.usage.figures);
    }
    assert_eq!(of_children.count(), count as usize, "children listed");
    assert_eq!(children.cpu_ns, total.figures.cpu_ns, "cpu_ns of all children");
    assert_eq!(children.run_queue_ns, total.figures.run_queue_ns, "run_queue_ns of all children");
    let switches = (children.voluntary_switches, children.involuntary_switches);
    let expected = (total.figures.voluntary_switches, total.figures.involuntary_switches);
    assert_eq!(switches, expected, "switches of all children");
    assert_eq!(children.minor_faults, total.figures.minor_faults, "minor faults of all children");
}

#[test]
fn processes_below_processes_stay_with_the_command_and_know_their_parents() {
    require_bpf!();
    let run = exact(&["tree", "--depth", "3", "--width", "3"]);
    let session = run.session();
    assert_eq!(session.processes.len(), 1 + 3 + 9 + 27, "processes listed");
    for line in run.truth.iter().filter(|line| line.what == What::Final) {
        let Some(process) = session.processes.iter().find(|row| row.pid == line.pid) else {
            continue;
        };
        if line.pid == line.tid {
            assert_eq!(process.parent, line.parent, "parent of process {}", line.pid);
        }
    }
}

#[test]
fn processes_that_had_the_same_id_one_after_the_other_stay_apart() {
    require_bpf!();
    let run = Run::workload(&["reuse", "--count", "20"]).finish();
    run.assert_success();
    if let Some(why) = run.report.iter().find_map(|line| line.note.clone()) {
        skip!("{why}");
    }
    run.assert_reported_exact();
    let dead: Vec<_> = run.report.iter().filter(|line| line.what == What::Final).collect();
    let pid = dead[0].pid;
    assert!(dead.iter().all(|line| line.pid == pid), "one process id for all");
    let rows = run.session().processes.iter().filter(|process| process.pid == pid);
    let mut got: Vec<_> = rows.map(|row| row.usage.figures.cpu_ns).collect();
    assert_eq!(got.len(), dead.len(), "processes with the id {pid}");
    for line in dead {
        let at = got.iter().position(|cpu| *cpu == line.figures.cpu_ns);
        let at = at.unwrap_or_else(|| panic!("no process {pid} with {:?}", line.figures));
        got.swap_remove(at);
    }
}

#[test]
fn processes_in_a_namespace_are_known_by_their_ids_outside() {
    require_bpf!();
    let run = Run::workload(&["pid-namespace", "--count", "20"]).traced().finish();
    run.assert_success();
    if let Some(why) = run.report.iter().find_map(|line| line.note.clone()) {
        skip!("{why}");
    }
    run.assert_exact();
    assert_eq!(run.session().processes.len(), 22, "processes listed");
}

#[test]
fn children_by_vfork_are_charged_to_the_nanosecond() {
    require_bpf!();
    exact(&["vfork", "--count", "30"]);
}

#[test]
fn a_program_that_replaces_itself_stays_one_process() {
    require_bpf!();
    let run = exact(&["exec", "--times", "5"]);
    assert_eq!(run.session().processes.len(), 1, "processes listed");
}

#[test]
fn a_process_whose_last_thread_runs_exec_loses_nothing() {
    require_bpf!();
    // Each leader died before the exec and was read then; the last thread is in the tracer's
    // report. Which of them the JSON lists under which thread id is not promised, the sum is.
    let run = Run::workload(&["exec", "--times", "3", "--from", "orphan"]).traced().finish();
    run.assert_success();
    run.assert_sums();
    let mut expected = Figures::default();
    let leaders: Vec<_> = run.report.iter().filter(|line| line.what == What::Final).collect();
    assert_eq!(leaders.len(), 3, "dead leaders in the workload's report. {run}");
    let pid = leaders[0].pid;
    leaders.iter().for_each(|line| expected.add(&line.figures));
    let last = run.truth.iter().find(|line| line.what == What::Final && line.is_about(pid, pid));
    expected.add(&last.expect("the last image").figures);
    let got = run.session().sum_of_threads(pid);
    for ((name, expected), (_, got)) in expected.named().into_iter().zip(got.named()).take(6) {
        assert_eq!(got, expected, "{name} of process {pid} with its four threads");
    }
}

#[test]
fn exec_from_a_thread_while_the_leader_sleeps_loses_nothing() {
    require_bpf!();
    // The kernel buries the old leaders itself, so their last microseconds cannot be read: the
    // truth is a lower bound, and what ending costs is the slack.
    let run = Run::workload(&["exec", "--times", "3", "--from", "thread"]).traced().finish();
    run.assert_success();
    run.assert_sums();
    let mut least = 0;
    let mut pid = 0;
    for line in run.report.iter().filter(|line| line.what == What::AtLeast).take(3) {
        pid = line.pid;
        least += line.figures.cpu_ns.expect("a CPU clock");
    }
    // The former threads' figures went into the reports above, as leaders; the last one's are
    // final.
    let last = run.truth.iter().find(|line| line.what == What::Final && line.is_about(pid, pid));
    least += last.expect("the last image").figures.cpu_ns.expect("a CPU clock");
    let got = run.session().sum_of_threads(pid).cpu_ns.expect("cpu_ns");
    let most = least + u64::from(scale(5_000_000, 50_000_000));
    assert!((least..=most).contains(&got), "process {pid}: expected {least} to {most}, got {got}");
    assert_eq!(run.session().processes.len(), 1, "processes listed");
}

#[test]
fn a_daemon_that_detached_is_still_charged_when_everything_is_waited_for() {
    require_bpf!();
    let run = Run::workload(&["daemon", "--seconds", "0.5"]).options(&["--wait-all"]);
    let run = run.traced().finish();
    run.assert_success();
    run.assert_exact();
    assert_eq!(run.session().processes.len(), 3, "processes listed");
    let done = |note: &Option<String>| note.as_deref() == Some("daemon done");
    assert!(run.report.iter().any(|line| done(&line.note)), "the daemon finished. {run}");
}

#[test]
fn a_daemon_that_outlives_the_command_counts_up_to_the_commands_end() {
    require_bpf!();
    let run = Run::workload(&["daemon", "--seconds", "1", "--wait", "0"]).traced().finish();
    run.assert_success();
    let finals = run.finals();
    let session = run.session();
    assert_eq!(session.processes.len(), 3, "processes listed. {run}");
    for thread in &session.threads {
        let key = (thread.pid, thread.tid);
        let most = finals[&key].cpu_ns.expect("cpu_ns");
        let got = thread.usage.figures.cpu_ns.expect("cpu_ns");
        assert!(got <= most, "thread {key:?}: expected at most {most} ns, got {got}");
    }
}

#[test]
fn two_sessions_at_once_do_not_disturb_each_other() {
    require_bpf!();
    let one = Run::workload(&["threads", "--count", "8"]).traced().start();
    let two = Run::workload(&["forks", "--count", "100"]).traced().start();
    let (one, two) = (one.finish(), two.finish());
    one.assert_success();
    two.assert_success();
    one.assert_exact();
    two.assert_exact();
}

#[test]
fn a_session_inside_a_session_disturbs_neither() {
    require_bpf!();
    let profiler = profiler_tests::binaries::profiler().display().to_string();
    let workload = profiler_tests::binaries::workload().display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner.json").display().to_string();
    let words = [&profiler, "run", "--json", &inner, "--summary", "none", "--", &workload];
    let run = Run::command(&[&words[..], &["forks", "--count", "20"]].concat()).traced().finish();
    run.assert_success();
    run.assert_exact();
    let inner = profiler_tests::record::Session::read(folder.path().join("inner.json").as_path());
    let inner = inner.expect("the inner session's JSON");
    assert_eq!(inner.processes.len(), 21, "processes of the inner session");
    let truth = run.finals();
    for thread in &inner.threads {
        let expected = truth[&(thread.pid, thread.tid)].cpu_ns;
        assert_eq!(thread.usage.figures.cpu_ns, expected, "inner thread {}", thread.tid);
    }
}
