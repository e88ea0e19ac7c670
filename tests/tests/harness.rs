//! The harness finds what it is there to find: the smallest difference, a missing thread, a null.

use profiler_tests::compare::{ByThread, differences};
use profiler_tests::record::Session;
use profiler_tests::truth::Figures;

const TRUTH: Figures = Figures {
    cpu_ns: Some(1_000_000),
    run_queue_ns: Some(500),
    voluntary_switches: Some(3),
    involuntary_switches: Some(0),
    minor_faults: Some(9),
    major_faults: Some(0),
    read_bytes: Some(4096),
    write_bytes: None,
    cancelled_write_bytes: None,
    logical_read_bytes: None,
    logical_write_bytes: None,
    read_calls: None,
    write_calls: None,
};

fn found(change: impl FnOnce(&mut serde_json::Value)) -> Vec<String> {
    let usage = serde_json::to_value(TRUTH).expect("figures");
    let mut session = serde_json::json!({
        "schema": 1, "command": [], "usage": usage, "host": {},
        "processes": [{ "pid": 7, "parent": 1, "comm": "a", "usage": usage }],
        "threads": [{ "pid": 7, "tid": 8, "comm": "a", "usage": usage }],
    });
    change(&mut session);
    let session: Session = serde_json::from_value(session).expect("a session");
    differences(&session, &ByThread::from([((7, 8), TRUTH)]))
}

#[test]
fn equal_figures_are_no_difference() {
    assert_eq!(found(|_| ()), Vec::<String>::new());
}

#[test]
fn a_difference_of_one_nanosecond_is_found() {
    let wrong = found(|session| session["threads"][0]["usage"]["cpu_ns"] = 1_000_001.into());
    assert_eq!(wrong, ["thread 8 of 7: cpu_ns: expected 1000000 got 1000001 (+1)"]);
}

#[test]
fn a_missing_figure_is_found_where_every_kernel_has_it() {
    let wrong = found(|session| session["threads"][0]["usage"]["run_queue_ns"] = ().into());
    assert_eq!(wrong, ["thread 8 of 7: run_queue_ns: expected 500 got null"]);
    let wrong = found(|session| session["threads"][0]["usage"]["read_bytes"] = ().into());
    assert_eq!(wrong, Vec::<String>::new(), "not every kernel counts bytes");
}

#[test]
fn a_missing_thread_and_one_too_many_are_found() {
    let wrong = found(|session| session["threads"] = serde_json::json!([]));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let wrong = found(|session| session["threads"][0]["tid"] = 9.into());
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}
