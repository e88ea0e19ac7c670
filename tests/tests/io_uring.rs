//! Work that the kernel does for a process on threads of its own making.

use profiler_tests::run::{Finished, Run};
use profiler_tests::truth::What;
use profiler_tests::{require_bpf, skip};

fn uring(words: &[&str]) -> Result<Finished, String> {
    let run = Run::workload(&[&["io-uring"], words].concat()).traced().finish();
    run.assert_success();
    let why = run.report.iter().find_map(|line| line.note.clone());
    why.map_or(Ok(run), Err)
}

fn names(run: &Finished) -> Vec<&str> {
    run.session().threads.iter().map(|thread| thread.comm.as_str()).collect()
}

#[test]
fn io_uring_workers_are_charged_to_the_nanosecond() {
    require_bpf!();
    let run = match uring(&[]) {
        Ok(run) => run,
        Err(why) => skip!("{why}"),
    };
    run.assert_exact();
    let workers = run.truth.iter().filter(|line| line.comm.starts_with("iou-wrk"));
    assert!(workers.filter(|line| line.what == What::Final).count() >= 1, "no worker. {run}");
    let names = names(&run);
    assert!(names.iter().any(|name| name.starts_with("iou-wrk")), "got {names:?}");
}

#[test]
fn an_io_uring_submission_thread_is_charged_to_the_nanosecond() {
    require_bpf!();
    let run = match uring(&["--sqpoll", "1"]) {
        Ok(run) => run,
        Err(why) => skip!("{why}"),
    };
    run.assert_exact();
    let names = names(&run);
    assert!(names.iter().any(|name| name.starts_with("iou-sqp")), "got {names:?}");
}
