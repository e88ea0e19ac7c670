//! What cannot work says so in one clear line, with the documented status, and loses nothing
//! that the command did.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use profiler_tests::binaries;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, skip};

/// One line on standard error, which names what it is about.
fn assert_one_line(run: &Finished, naming: &str) {
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "expected one line on stderr. {run}");
    assert!(lines[0].contains(naming), "expected a line that names {naming}. {run}");
}

#[test]
fn a_command_that_does_not_exist_gives_127() {
    let run = Run::command(&["no-such-command-anywhere"]).finish();
    assert_eq!(run.code(), 127, "exit status. {run}");
    assert_one_line(&run, "no-such-command-anywhere");
}

#[test]
fn a_path_that_does_not_exist_gives_127() {
    let run = Run::command(&["/no/such/command"]).finish();
    assert_eq!(run.code(), 127, "exit status. {run}");
    assert_one_line(&run, "/no/such/command");
}

#[test]
fn a_command_that_is_not_executable_gives_126() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text");
    fs::write(&path, "#!/bin/sh\n").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    let run = Run::command(&[&path.display().to_string()]).finish();
    assert_eq!(run.code(), 126, "exit status. {run}");
    assert_one_line(&run, &path.display().to_string());
}

#[test]
fn a_folder_as_command_gives_126() {
    let run = Run::command(&["/tmp"]).finish();
    assert_eq!(run.code(), 126, "exit status. {run}");
    assert_one_line(&run, "/tmp");
}

#[test]
fn an_empty_command_is_refused() {
    let run = Run::command(&[""]).finish();
    assert!([2, 127].contains(&run.code()), "expected exit status 2 or 127. {run}");
    assert_eq!(run.stderr.lines().count(), 1, "expected one line on stderr. {run}");
}

#[test]
fn no_command_at_all_is_a_usage_error() {
    let run = Run::command(&[]).finish();
    assert_eq!(run.code(), 2, "exit status. {run}");
    assert!(!run.stderr.is_empty(), "a word on it was expected");
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    let run = Run::command(&["true"]).options(&["--no-such-option"]).finish();
    assert_eq!(run.code(), 2, "exit status. {run}");
    assert!(run.stderr.contains("--no-such-option"), "{run}");
}

fn attach(pid: u32) -> Finished {
    Run::verb("attach").options(&["--pid", &pid.to_string()]).finish()
}

#[test]
fn attaching_to_a_process_that_is_gone_gives_2() {
    let mut child = Command::new(binaries::workload()).arg("exit").spawn().expect("a child");
    let pid = child.id();
    child.wait().expect("its end");
    let run = attach(pid);
    assert_eq!(run.code(), 2, "exit status. {run}");
    assert_one_line(&run, &pid.to_string());
}

#[test]
fn attaching_to_a_zombie_gives_2() {
    let mut child = Command::new(binaries::workload()).arg("exit").spawn().expect("a child");
    let stat = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&stat).expect("a child").contains(") Z ") {
        std::thread::yield_now();
    }
    let run = attach(child.id());
    assert_eq!(run.code(), 2, "exit status. {run}");
    assert_one_line(&run, &child.id().to_string());
    child.wait().expect("its end");
}

#[test]
fn attaching_to_a_kernel_thread_gives_2() {
    if fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        skip!("process 2 is not the kernel's here");
    }
    let run = attach(2);
    assert_eq!(run.code(), 2, "exit status. {run}");
    assert_one_line(&run, "2");
}

#[test]
fn attaching_to_no_number_is_a_usage_error() {
    for pid in ["", "abc", "-1", "99999999999999999999"] {
        let run = Run::verb("attach").options(&[&format!("--pid={pid}")]).finish();
        assert_eq!(run.code(), 2, "exit status for --pid={pid}. {run}");
    }
    let run = attach(0);
    assert_eq!(run.code(), 2, "exit status for --pid=0. {run}");
}

/// A command whose effect is a file.
fn marking(file: &Path) -> Run {
    let workload = binaries::workload().display().to_string();
    Run::command(&[&workload, "mark", "--file", &file.display().to_string()])
}

#[test]
fn a_full_disk_for_the_json_is_told_and_the_command_keeps_its_effect() {
    require_bpf!();
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("mark");
    let run = marking(&mark).json("/dev/full").options(&["--summary", "none"]).finish();
    assert!(mark.exists(), "the command's file is missing. {run}");
    assert_eq!(String::from_utf8_lossy(&run.stdout), "begun\n", "stdout");
    assert_ne!(run.code(), 0, "exit status. {run}");
    // The table may be shown in the JSON's place; the reason is said once.
    let named = run.stderr.lines().filter(|line| line.contains("/dev/full"));
    assert_eq!(named.count(), 1, "expected one line that names /dev/full. {run}");
}

#[test]
fn a_failed_command_keeps_its_status_when_the_json_cannot_be_written() {
    require_bpf!();
    let run = Run::command(&["/bin/sh", "-c", "exit 9"]).json("/dev/full").finish();
    assert_eq!(run.code(), 9, "exit status. {run}");
    assert!(run.stderr.contains("/dev/full"), "{run}");
}

#[test]
fn a_folder_that_is_not_there_for_the_json_is_told_and_nothing_is_lost() {
    require_bpf!();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mark");
    let run = marking(&file).json("/no/such/folder/usage.json");
    let run = run.options(&["--summary", "none"]).finish();
    assert_ne!(run.code(), 0, "exit status. {run}");
    assert_one_line(&run, "/no/such/folder");
    // Either it is refused before the command began, or the command ran to its end.
    assert_eq!(run.stdout.is_empty(), !file.exists(), "half a run. {run}");
}
