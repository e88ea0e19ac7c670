//! Nothing of the profiler stays in the kernel when it is gone, however it went. One test only:
//! the list of programs belongs to the whole machine.

use std::thread;
use std::time::{Duration, Instant};

use profiler_tests::run::Run;
use profiler_tests::{bpf, require_bpf};

/// Waits until no program is there that was not before; the kernel frees them a little later.
fn assert_no_new_programs(before: &std::collections::BTreeMap<u32, String>, when: &str) {
    let begin = Instant::now();
    loop {
        let mut now = bpf::programs().expect("the list of programs");
        now.retain(|id, _| !before.contains_key(id));
        if now.is_empty() {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "left behind {when}: {now:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn no_program_stays_behind_and_the_command_survives_the_death_of_the_profiler() {
    require_bpf!();
    let before = bpf::programs().expect("the list of programs");

    let run = Run::workload(&["forks", "--count", "5"]).finish();
    run.assert_success();
    assert_no_new_programs(&before, "after a normal end");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mark");
    let run = Run::workload(&["mark", "--after-ms", "700", "--file", &file.display().to_string()]);
    let run = run.start();
    run.wait_for("begun");
    let during = bpf::programs().expect("the list of programs");
    let loaded = during.keys().any(|id| !before.contains_key(id));
    assert!(loaded, "no program is loaded while a command runs: {during:?}");
    run.signal(libc::SIGKILL);
    let begin = Instant::now();
    while !file.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "the command did not finish its work");
        thread::sleep(Duration::from_millis(20));
    }
    assert_no_new_programs(&before, "after SIGKILL");
    let run = run.finish();
    assert_eq!(run.code(), 128 + libc::SIGKILL, "exit status. {run}");
}
