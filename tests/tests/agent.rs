//! Workers and the agent: slots, leases, and the record of each job.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiler_common::task::LISTED_PLACES;
use profiler_tests::agent::{Agent, figure, short, wait_until};
use profiler_tests::hand::Hand;
use profiler_tests::{binaries, require_bpf, sys, taken, truth};
use serde_json::{Value, json};

/// A process that sleeps, all of its threads started, until its input ends.
fn sleeper() -> std::process::Child {
    let mut child = Command::new(binaries::workload())
        .args(["many-threads", "--count", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a workload");
    let out = child.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut String::new()).expect("its word");
    child
}

#[test]
fn a_thread_gets_a_slot_and_the_exact_record_of_its_job() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    for ms in [20, 5] {
        hand.work(1);
        let before = hand.cpu_ns();
        let lease =
            worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
        hand.work(ms);
        let after = hand.cpu_ns();
        let usage = worker.release(lease);
        assert_eq!(figure(&usage, "cpu_ns"), after - before, "of {ms} ms");
        assert_eq!(figure(&usage, "tasks"), 1);
        assert_eq!(usage["memory_peak_bytes"], Value::Null, "the memory is the process's");
        assert_eq!(usage["lost"], json!({}));
    }
}

/// Two threads of which the second one's id is greater by just so much that the programs look for both
/// in the same place.
fn threads_whose_ids_end_alike() -> [Hand; 2] {
    const HIGHEST: &str = "/proc/sys/kernel/pid_max";
    let first = Hand::hire();
    let wanted = first.tid() + LISTED_PLACES;
    let highest = fs::read_to_string(HIGHEST).expect("the greatest id");
    let is_raised = highest.trim().parse::<u32>().expect("a number") <= wanted;
    if is_raised {
        fs::write(HIGHEST, (2 * wanted).to_string()).expect("root sets it");
    }
    // Somebody else may take the id first.
    let second = (0..100).find_map(|_| {
        fs::write("/proc/sys/kernel/ns_last_pid", (wanted - 1).to_string()).expect("as root");
        Some(Hand::hire()).filter(|hand| hand.tid() == wanted)
    });
    if is_raised {
        fs::write(HIGHEST, highest).expect("root sets it");
    }
    [first, second.expect("that id")]
}

#[test]
fn threads_whose_ids_end_alike_are_told_apart() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.allow("a", 2);
    let hands = threads_whose_ids_end_alike();
    let mut workers = [agent.worker(), agent.worker()];
    let began: Vec<_> = hands
        .iter()
        .zip(&mut workers)
        .map(|(hand, worker)| {
            let wish = json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
            (hand.cpu_ns(), worker.acquire(wish))
        })
        .collect();
    for ms in [3, 1, 2] {
        for hand in &hands {
            hand.work(ms);
        }
    }
    for ((hand, worker), (before, lease)) in hands.iter().zip(&mut workers).zip(began) {
        let spent = hand.cpu_ns() - before;
        assert_eq!(figure(&worker.release(lease), "cpu_ns"), spent);
    }
}

#[test]
fn a_job_of_a_tree_includes_what_its_process_starts() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let lease = worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
    #[allow(clippy::zombie_processes, reason = "the truth reaps it")]
    let mut child = sleeper();
    let pid = child.id();
    worker.call("Attach", json!({ "lease": lease, "pid": pid })).expect("it is our user's");
    let before =
        truth::Figures::read(pid.try_into().expect("a pid"), pid.try_into().expect("a pid"));
    let idle = hand.cpu_ns();
    drop(child.stdin.take());
    let (line, _) = truth::reap(pid.try_into().expect("a pid"));
    wait_until("its end was seen", || agent.ask("Jobs", json!({}))["jobs"][0]["tasks"] == 1);
    let usage = worker.release(lease);
    let own = line.figures.cpu_ns.expect("known") - before.cpu_ns.expect("known");
    assert!(figure(&usage, "cpu_ns") >= own, "{usage}");
    assert!(figure(&usage, "cpu_ns") <= line.figures.cpu_ns.expect("known") + hand.cpu_ns() - idle);
}

#[test]
fn a_command_under_exec_is_the_job_and_exec_itself_is_not() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let file = agent.folder().join("record.json");
    let status = Command::new(binaries::profiler())
        .args(["exec", "--connector", "a", "--socket"])
        .arg(agent.folder().join("worker.sock"))
        .arg("--json")
        .arg(&file)
        .arg("--")
        .arg(binaries::workload())
        .args(["spin", "--seconds", "0.2"])
        .status()
        .expect("it runs");
    assert!(status.success(), "{status}");
    let record: Value = serde_json::from_slice(&fs::read(&file).expect("a record")).expect("JSON");
    let usage = &record["usage"];
    assert_eq!((figure(usage, "processes"), figure(usage, "tasks")), (1, 1), "{usage}");
    assert!(figure(usage, "cpu_ns") > 1_000_000, "{usage}");
    assert!(figure(usage, "memory_peak_bytes") > 0, "{usage}");
    assert_eq!(usage["lost"], json!({}), "{usage}");
    assert_eq!(agent.ask("Status", json!({}))["leases"], 0);
}

#[test]
fn a_job_whose_connection_closes_stays_charged_until_its_last_task_ends() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let (mut worker, mut hand) = (agent.worker(), Hand::hire());
    worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
    drop(worker);
    wait_until("it is an orphan", || agent.ask("Status", json!({}))["orphans"] == 1);
    let mut other = agent.worker();
    let refused = other
        .call("Acquire", json!({ "connector": "a", "max_wait_ms": 0, "on_timeout": "refuse" }));
    if agent.ask("Connectors", json!({ "connector": "a" }))["connectors"][0]["limit"] == 1 {
        assert_eq!(short(&refused.expect_err("the slot is taken")), "NotGranted");
    }
    hand.fire();
    wait_until("the slot is free", || agent.ask("Status", json!({}))["orphans"] == 0);
}

#[test]
fn a_slot_of_a_worker_that_is_killed_is_free_at_once() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.allow("a", 1);
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let mut child = sleeper();
        let (mut worker, hand) = (agent.worker(), Hand::hire());
        let lease =
            worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
        worker.call("Attach", json!({ "lease": lease, "pid": child.id() })).expect("ours");
        worker.call("Detach", json!({ "lease": lease, "tid": hand.tid() })).expect("ours");
        drop(worker);
        let mut next = agent.worker();
        next.send("Acquire", &json!({ "connector": "a", "scope": "process" }), false);
        thread::sleep(Duration::from_millis(20));
        let stolen_ns = taken::stolen_ns();
        child.kill().expect("it can be killed");
        child.wait().expect("its end");
        let ended = Instant::now();
        let lease = next.receive().expect("a slot")["grant"]["lease"].as_u64().expect("a lease");
        // Nobody can run while the hypervisor has the CPU: it took 40 ms in the slowest of 5850.
        let elapsed = ended.elapsed();
        let stolen = Duration::from_nanos(taken::stolen_ns() - stolen_ns);
        slowest = slowest.max(elapsed.saturating_sub(stolen));
        next.release(lease);
    }
    let limit = Duration::from_millis(profiler_tests::scale(20, 500).into());
    assert!(slowest < limit, "{slowest:?} from the last task's end to the next grant");
}

#[test]
fn a_request_that_waits_is_told_its_place_and_gets_the_slot_in_its_turn() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.allow("a", 1);
    let hands: Vec<Hand> = (0..3).map(|_| Hand::hire()).collect();
    let mut connections: Vec<_> = hands.iter().map(|_| agent.worker()).collect();
    let wish = |hand: &Hand| json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let first = connections[0].acquire(wish(&hands[0]));
    for at in [1, 2] {
        connections[at].send("Acquire", &wish(&hands[at]), true);
        let told = connections[at].receive().expect("its place");
        assert_eq!(told["waiting"]["position"], at, "{told}");
    }
    connections[0].release(first);
    let second = connections[1].receive().expect("the slot");
    let told = connections[2].receive().expect("a better place");
    assert_eq!(told["waiting"]["position"], 1, "{told}");
    connections[1].release(second["grant"]["lease"].as_u64().expect("a lease"));
    assert!(connections[2].receive().expect("the slot")["grant"]["waited_ms"].is_u64());
}

#[test]
fn a_request_whose_connection_closes_while_it_waits_is_forgotten() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.allow("a", 1);
    let hands = [Hand::hire(), Hand::hire()];
    let (mut first, mut second) = (agent.worker(), agent.worker());
    let wish = |hand: &Hand| json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let lease = first.acquire(wish(&hands[0]));
    second.send("Acquire", &wish(&hands[1]), false);
    wait_until("it waits", || agent.ask("Status", json!({}))["waiting"] == 1);
    drop(second);
    wait_until("it is forgotten", || agent.ask("Status", json!({}))["waiting"] == 0);
    first.release(lease);
    assert_eq!(agent.ask("Status", json!({}))["leases"], 0);
}

#[test]
fn a_thread_works_for_one_job_at_a_time() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.allow("a", 2);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let wish = json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let lease = worker.acquire(wish.clone());
    let refused = worker.call("Acquire", wish.clone()).expect_err("it works already");
    assert_eq!(short(&refused), "TaskIsTaken");
    worker.release(lease);
    let lease = worker.acquire(wish);
    worker.release(lease);
}

#[test]
fn a_lease_is_nobody_elses() {
    require_bpf!();
    let agent = Agent::start(&[]);
    agent.open_to_all();
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let lease = worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
    let tid = hand.tid();
    let try_all = |mut other: profiler_tests::agent::Connection, who: &str| {
        for method in ["Release", "Peek"] {
            let refused = other.call(method, json!({ "lease": lease })).expect_err(who);
            assert_eq!(short(&refused), "NoSuchLease", "{method} by {who}");
        }
        let attach = json!({ "lease": lease, "tid": tid });
        assert_eq!(short(&other.call("Attach", attach).expect_err(who)), "NoSuchLease", "{who}");
        let resume = json!({ "connector": "a", "lease": lease });
        assert_eq!(short(&other.call("Acquire", resume).expect_err(who)), "NoSuchLease", "{who}");
    };
    try_all(agent.worker(), "another connection");
    thread::scope(|scope| {
        scope.spawn(|| {
            sys::become_user(65_534);
            try_all(agent.worker(), "another user");
            let mut other = agent.worker();
            let refused =
                other.call("Acquire", json!({ "connector": "b", "scope": "thread", "tid": 1 }));
            assert_eq!(short(&refused.expect_err("a thread of init")), "NoSuchTask");
            let jobs = agent.ask("Jobs", json!({}));
            assert_eq!(jobs["jobs"], json!([]), "names of others' jobs");
        });
    });
    worker.release(lease);
}

#[test]
fn calls_that_mean_nothing_get_a_typed_error_and_harm_nobody() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let mut worker = agent.worker();
    let long = "x".repeat(64);
    let wrong = [
        ("Acquire", json!({ "connector": "" }), "InvalidValue"),
        ("Acquire", json!({ "connector": long }), "InvalidValue"),
        ("Acquire", json!({ "connector": "a\u{1b}[2J" }), "InvalidValue"),
        ("Acquire", json!({ "connector": "a", "label": "\n" }), "InvalidValue"),
        ("Acquire", json!({ "connector": "a", "providers": ["nobody"] }), "NoSuchProvider"),
        (
            "Acquire",
            json!({ "connector": "a", "scope": "thread", "tid": 999_999_999 }),
            "NoSuchTask",
        ),
        ("Acquire", json!({ "connector": "a", "colour": 1 }), "InvalidParameter"),
        ("Acquire", json!({}), "InvalidParameter"),
        ("Release", json!({ "lease": 1 }), "NoSuchLease"),
        ("Peek", json!({ "lease": 1 }), "NoSuchLease"),
        ("ReleaseProvider", json!({ "permit": 1 }), "NoSuchPermit"),
        ("AcquireProvider", json!({ "provider": "nobody" }), "NoSuchProvider"),
        ("Fly", json!({}), "MethodNotFound"),
    ];
    for (method, parameters, error) in wrong {
        let refused = worker.call(method, parameters.clone()).expect_err("it means nothing");
        assert_eq!(short(&refused), error, "{method} {parameters}");
    }
    assert_eq!(agent.ask("Status", json!({}))["leases"], 0);
}

#[test]
fn a_drained_agent_takes_no_new_jobs_and_keeps_those_that_run() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let wish = json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let lease = worker.acquire(wish.clone());
    assert_eq!(agent.ask("Drain", json!({}))["running"], 1);
    let other = Hand::hire();
    let refused = agent
        .worker()
        .call("Acquire", json!({ "connector": "a", "scope": "thread", "tid": other.tid() }));
    assert_eq!(short(&refused.expect_err("it is drained")), "Draining");
    worker.release(lease);
    agent.ask("Resume", json!({}));
    let lease = worker.acquire(wish);
    worker.release(lease);
}

#[test]
fn a_job_that_ended_is_in_the_history_and_in_its_connectors_statistics() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let lease = worker.acquire(json!({
        "connector": "a", "source": "s", "label": "l", "scope": "thread", "tid": hand.tid(),
    }));
    hand.work(10);
    let release = json!({ "lease": lease, "outcome": "failed" });
    let usage = worker.call("Release", release).expect("ours")["usage"].take();
    let mut jobs = Value::Null;
    wait_until("it is in the history", || {
        jobs = agent.ask("History", json!({ "connector": "a" }))["jobs"].take();
        jobs.as_array().is_some_and(|jobs| jobs.len() == 1)
    });
    let job = &jobs[0];
    assert_eq!((&job["lease"], &job["outcome"]), (&json!(lease), &json!("failed")), "{job}");
    assert_eq!((&job["source"], &job["label"]), (&json!("s"), &json!("l")), "{job}");
    assert_eq!(job["usage"], usage, "the record is the one that the worker got");
    let statistics = |agent: &Agent| {
        agent.ask("Connectors", json!({ "connector": "a" }))["connectors"][0]["statistics"].take()
    };
    assert_eq!(statistics(&agent)["jobs"], 1);
    assert_eq!(agent.stop(), Some(0));
    agent.start_again();
    worker = agent.worker();
    let lease = worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
    worker.release(lease);
    wait_until("statistics go on", || statistics(&agent)["jobs"] == 2);
}

#[test]
fn a_configuration_is_read_again_all_of_it_or_nothing() {
    require_bpf!();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profiler.toml");
    let write = |text: &str| fs::write(&file, text).expect("a file");
    write("[connectors.a]\nmax_concurrent_jobs = 3\n[providers.OpenAI]\ncap = 1\n");
    let agent = Agent::start(&["--config", file.to_str().expect("a path")]);
    let cap = || {
        agent.ask("SetProfile", json!({ "connector": "a", "profile": {} }))["profile"]
            ["max_concurrent_jobs"]
            .take()
    };
    assert_eq!(cap(), 3);
    write("[connectors.a]\nmax_concurrent_jobs = 5\n");
    let reloaded = agent.ask("Reload", json!({}));
    assert!(reloaded["changes"].to_string().contains("connectors.a.max_concurrent_jobs"));
    assert_eq!(cap(), 5);
    write("[connectors.a]\nmax_concurent_jobs = 6\n");
    let refused = agent.connect("control").call("Reload", json!({})).expect_err("misspelt");
    assert_eq!(short(&refused), "InvalidConfiguration");
    assert!(refused.1.to_string().contains("max_concurrent_jobs"), "{}", refused.1);
    assert_eq!(cap(), 5, "the former one stays in force");
}

#[test]
fn a_provider_has_so_many_places_and_they_end_with_the_connection() {
    require_bpf!();
    let agent = Agent::start(&["--set", "providers.OpenAI.cap=1"]);
    let (mut first, mut second) = (agent.worker(), agent.worker());
    let wish = json!({ "provider": "OpenAI" });
    first.call("AcquireProvider", wish.clone()).expect("a place");
    let refused = second.call("AcquireProvider", json!({ "provider": "OpenAI", "max_wait_ms": 0 }));
    assert_eq!(short(&refused.expect_err("there is one place")), "NotGranted");
    second.send("AcquireProvider", &wish, false);
    drop(first);
    let permit = second.receive().expect("the place")["permit"].take();
    second.call("ReleaseProvider", json!({ "permit": permit })).expect("ours");
    second
        .call("ReportThrottled", json!({ "provider": "OpenAI", "retry_after_ms": 60_000 }))
        .expect("known");
    let refused =
        second.call("AcquireProvider", json!({ "provider": "OpenAI", "max_wait_ms": 10 }));
    assert_eq!(short(&refused.expect_err("it wants to be left alone")), "NotGranted");
}
