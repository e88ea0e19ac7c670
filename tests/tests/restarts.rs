//! An agent that is killed, replaced or stopped: what its workers and their jobs keep.

use profiler_tests::agent::{Agent, figure, short};
use profiler_tests::hand::Hand;
use profiler_tests::require_bpf;
use serde_json::json;

#[test]
fn nothing_is_lost_when_the_agent_is_killed_while_a_job_runs() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let before = hand.cpu_ns();
    let lease = worker.acquire(json!({
        "connector": "a", "source": "s", "label": "l", "scope": "thread", "tid": hand.tid(),
    }));
    hand.work(5);
    agent.kill();
    hand.work(30);
    agent.start_again();
    let jobs = agent.ask("Jobs", json!({}));
    assert_eq!(jobs["jobs"][0]["state"], "orphaned", "{jobs}");
    assert_eq!((&jobs["jobs"][0]["source"], &jobs["jobs"][0]["label"]), (&json!("s"), &json!("l")));
    let mut worker = agent.worker();
    let again = worker.call("Acquire", json!({ "connector": "a", "lease": lease })).expect("ours");
    assert_eq!(again["grant"]["lease"], lease);
    hand.work(5);
    let after = hand.cpu_ns();
    let usage = worker.release(lease);
    assert_eq!(figure(&usage, "cpu_ns"), after - before, "over the gap");
    assert_eq!(usage["lost"], json!({}));
}

#[test]
fn a_worker_that_was_between_two_jobs_when_the_agent_was_killed_gets_its_next_one() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let wish = json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let lease = worker.acquire(wish.clone());
    worker.release(lease);
    agent.kill();
    agent.start_again();
    let mut worker = agent.worker();
    let before = hand.cpu_ns();
    let lease = worker.acquire(wish);
    hand.work(5);
    let after = hand.cpu_ns();
    assert_eq!(figure(&worker.release(lease), "cpu_ns"), after - before);
}

#[test]
fn a_worker_that_forgot_its_lease_with_its_connection_gets_another_one_for_the_same_thread() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.allow("a", 1);
    let hand = Hand::hire();
    for scope in ["thread", "process"] {
        let mut wish = json!({ "connector": "a", "scope": scope });
        if scope == "thread" {
            wish["tid"] = hand.tid().into();
        }
        let mut worker = agent.worker();
        worker.acquire(wish.clone());
        // The end of this connection and the next call come in at the same time.
        drop(worker);
        let mut worker = agent.worker();
        let lease = worker.acquire(wish);
        worker.release(lease);
        assert_eq!(agent.ask("Status", json!({}))["leases"], 0, "{scope}");
    }
}

#[test]
fn a_job_that_ends_while_no_agent_runs_is_not_held_for_ever() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    let (mut worker, mut hand) = (agent.worker(), Hand::hire());
    worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
    agent.kill();
    hand.fire();
    agent.start_again();
    let status = agent.ask("Status", json!({}));
    assert_eq!((&status["leases"], &status["orphans"]), (&json!(0), &json!(0)), "{status}");
    assert_eq!(status["connectors"][0]["connector"], "a", "its connector is known still");
}

#[test]
fn what_an_agent_of_another_layout_left_is_said_to_be_lost_and_taken_off_the_kernel() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let wish = json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let lease = worker.acquire(wish.clone());
    agent.kill();
    let folders = || -> Vec<_> {
        let all = std::fs::read_dir(agent.pins()).expect("pins");
        all.map(|entry| entry.expect("a folder").path()).collect()
    };
    let [ours] = &folders()[..] else { panic!("one folder: {:?}", folders()) };
    let theirs = agent.pins().join("0123456789abcdef");
    std::fs::rename(ours, &theirs).expect("as another build would have named it");
    let ours = ours.clone();
    agent.start_again();
    let told = agent.told();
    assert!(told.contains("lost what a former agent counted"), "{told}");
    assert!(told.contains("0123456789abcdef"), "{told}");
    assert!(ours.is_dir() && !theirs.exists(), "its programs are gone");
    let mut worker = agent.worker();
    let resume = json!({ "connector": "a", "lease": lease });
    assert_eq!(short(&worker.call("Acquire", resume).expect_err("it is over")), "NoSuchLease");
    let lease = worker.acquire(wish);
    worker.release(lease);
}

#[test]
fn an_orderly_stop_leaves_nothing_behind() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    assert!(agent.pins().is_dir(), "programs are pinned while it runs");
    assert_eq!(agent.stop(), Some(0));
    assert!(!agent.pins().exists(), "pins are gone");
    assert!(!agent.folder().join("worker.sock").exists(), "sockets are gone");
}
