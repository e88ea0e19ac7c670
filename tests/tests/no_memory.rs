//! When the kernel has no memory for one more tag, that is counted, and all else goes on.

use std::fs::{self, File};
use std::thread;
use std::time::Duration;

use profiler_tests::memory_group::MemoryGroup;
use profiler_tests::run::Run;
use profiler_tests::{require_bpf, scale, skip, sys};

#[test]
fn threads_for_whose_tags_there_is_no_memory_are_counted_as_lost() {
    require_bpf!();
    let group = match MemoryGroup::new() {
        Ok(group) => group,
        Err(why) => skip!("{why}"),
    };
    let count = u64::from(scale(3000, 1500));
    let folder = tempfile::tempdir().expect("a folder");
    let (go, until) = (folder.path().join("go"), folder.path().join("until"));
    let (go_text, until_text) = (go.display().to_string(), until.display().to_string());
    let count_text = count.to_string();
    let words = ["crowd", "--count", &count_text, "--go", &go_text, "--until", &until_text];

    // Tags are on the account of whoever made the map, so only the profiler is in the group.
    group.take(sys::getpid()).expect("to join the group");
    let run = Run::workload(&words).start();
    group.release(sys::getpid()).expect("to leave the group");
    run.wait_for("begun");
    for other in group.processes().into_iter().filter(|pid| *pid != run.pid()) {
        group.release(other).expect("to put the workload out of the group");
    }
    // It must want nothing for itself while there is nothing.
    run.signal(libc::SIGSTOP);
    let stat = format!("/proc/{}/stat", run.pid());
    while !fs::read_to_string(&stat).expect("the profiler is there").contains(") T ") {
        thread::sleep(Duration::from_millis(1));
    }
    group.close().expect("a limit");
    File::create(&go).expect("a word to begin");
    run.wait_for("done");
    group.open().expect("no limit");
    run.signal(libc::SIGCONT);
    File::create(&until).expect("a word to end");
    let run = run.finish();
    run.assert_success();

    let usage = &run.session().usage;
    let untagged = usage.lost("tasks_untagged");
    if untagged == 0 {
        skip!("this kernel charges tags to no group");
    }
    assert_eq!(usage.tasks, Some(count + 1 - untagged), "tasks. lost: {}", usage.lost);
    assert_eq!(usage.lost.as_object().map(serde_json::Map::len), Some(1), "lost: {}", usage.lost);
    assert_eq!(run.session().threads.len() as u64, count + 1 - untagged, "threads listed");
}
