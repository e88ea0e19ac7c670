//! The controller on this host: limits from what jobs really use, why they are what they are, and
//! the same decisions once more.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use profiler_tests::agent::{Agent, short, wait_until};
use profiler_tests::hand::Hand;
use profiler_tests::{binaries, require_bpf, sys};
use serde_json::{Value, json};

/// Threads that take a slot, spin, and give it back, until dropped.
struct Spinners {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Spinners {
    fn start(agent: &Agent, connector: &'static str, count: usize, ms: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|_| {
            let (mut worker, is_over) = (agent.worker(), Arc::clone(&is_over));
            thread::spawn(move || {
                let tid = sys::gettid();
                while !is_over.load(Ordering::Relaxed) {
                    let wish = json!({
                        "connector": connector, "scope": "thread", "tid": tid,
                        "max_wait_ms": 2_000, "on_timeout": "refuse",
                    });
                    match worker.call("Acquire", wish) {
                        Ok(acquired) => {
                            let lease = acquired["grant"]["lease"].as_u64().expect("a lease");
                            let begin = Instant::now();
                            while begin.elapsed() < Duration::from_millis(ms) {}
                            worker.release(lease);
                        }
                        Err(refused) => assert_eq!(short(&refused), "NotGranted"),
                    }
                }
            })
        });
        Self { threads: threads.collect(), is_over }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // What went wrong there shows there.
            let _ = thread.join();
        }
    }
}

fn cores() -> u64 {
    thread::available_parallelism().expect("a number of CPUs").get().try_into().expect("few")
}

/// A connector whose profile says far less than its jobs use, and prefers far too many of them.
fn misjudged(agent: &Agent, connector: &str) {
    agent.ask(
        "SetProfile",
        json!({ "connector": connector, "profile": {
            "avg_cpu_cores": 0.3, "preferred_concurrency": 6 * cores(), "avg_memory_mb": 1.0,
        } }),
    );
}

fn explained(agent: &Agent, connector: &str) -> Value {
    agent.ask("Explain", json!({ "connector": connector }))
}

fn recording(agent: &Agent) -> PathBuf {
    agent.folder().join("state/decisions.jsonl")
}

fn replay(files: &[&PathBuf]) -> Output {
    let mut command = Command::new(binaries::profiler());
    command.arg("replay").args(files).output().expect("the profiler runs")
}

#[test]
fn a_connector_whose_profile_is_wrong_gets_the_slots_that_its_jobs_have_room_for() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    misjudged(&agent, "spin");
    let spinners = Spinners::start(&agent, "spin", (6 * cores()).try_into().expect("few"), 400);
    let limit = || explained(&agent, "spin")["limit"].as_u64().expect("a limit");
    wait_until("many run, as the profile would have it", || {
        agent.ask("Status", json!({}))["leases"].as_u64() > Some(cores())
    });
    // Others on this host may leave less than all of it, and never more; the filling may be trimmed
    // to 1.6 of it.
    let room = (cores() * 16).div_ceil(10);
    wait_until("the limit is what there is room for", || limit() <= room);
    wait_until("what was learned is told", || {
        let uses = explained(&agent, "spin")["learned"]["cpu_cores"].as_f64().expect("known");
        // On a host that is busy with others a job also waits to be told that it may end.
        (0.7..1.1).contains(&uses)
    });
    let told = explained(&agent, "spin");
    assert_eq!(told["declared"]["cpu_cores"], 0.3);
    let lines = told["lines"].to_string();
    assert!(lines.contains("declares 0.30 cores, uses "), "{told}");
    assert!(lines.contains("last changed "), "{told}");
    assert!(["cpu", "floor"].contains(&told["constraint"].as_str().expect("a word")), "{told}");
    assert!(told["next_slot_needs"].as_str().expect("none is free").contains("cores more"));
    let command = ["explain", "spin", "--socket"];
    let socket = agent.folder().join("control.sock");
    let shown =
        Command::new(binaries::profiler()).args(command).arg(socket).output().expect("it runs");
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.contains("declares 0.30 cores, uses "), "{shown}");
    drop(spinners);

    assert_eq!(agent.stop(), Some(0));
    let file = recording(&agent);
    let same = replay(&[&file]);
    let said = String::from_utf8_lossy(&same.stdout);
    assert!(same.status.success(), "{said}{}", String::from_utf8_lossy(&same.stderr));
    assert!(said.contains("are the same, and all of the controller's state at the end"), "{said}");
    // A job that ran for a second more.
    let text = fs::read_to_string(&file).expect("a recording");
    let mut lines: Vec<&str> = text.lines().collect();
    let at = lines.len() / 3;
    let time = "\"cpu\":{\"secs\":0,";
    let is_look = |line: &&str| line.contains("\"sample\"") && line.contains(time);
    let at = at + lines[at..].iter().position(is_look).expect("a look at a job");
    let changed = lines[at].replacen(time, "\"cpu\":{\"secs\":1,", 1);
    lines[at] = &changed;
    let other = agent.folder().join("other.jsonl");
    fs::write(&other, lines.join("\n")).expect("a file");
    let differs = replay(&[&other]);
    let said = String::from_utf8_lossy(&differs.stderr);
    assert_eq!(differs.status.code(), Some(1), "{said}");
    assert!(said.contains("comes out otherwise: recorded "), "{said}");
    assert_eq!(replay(&[&agent.folder().join("nothing")]).status.code(), Some(2));
}

#[test]
fn what_was_learned_is_known_after_a_crash_and_the_recording_of_before_can_be_replayed() {
    require_bpf!();
    let mut agent = Agent::start(&["--set", "intervals.summary=\"1s\""]);
    misjudged(&agent, "spin");
    {
        let _spinners = Spinners::start(&agent, "spin", 4, 100);
        wait_until("it is known", || {
            explained(&agent, "spin")["lines"].to_string().contains("declares 0.30 cores, uses")
        });
    }
    // What was learned of jobs that run is written each second here.
    thread::sleep(Duration::from_millis(3_000));
    let learned = |agent: &Agent| explained(agent, "spin")["learned"]["cpu_cores"].take();
    let before = learned(&agent);
    assert!(before.as_f64().is_some_and(|cores| cores > 0.45), "{before}");
    agent.kill();
    agent.start_again();
    assert_eq!(learned(&agent), before);
    let before = recording(&agent).with_extension("1.jsonl");
    wait_until("another recording began", || before.exists());
    let same = replay(&[&before]);
    let said = String::from_utf8_lossy(&same.stdout);
    assert!(same.status.success(), "{said}{}", String::from_utf8_lossy(&same.stderr));
    assert!(said.contains("are the same, up to where the recording stops"), "{said}");
}

#[test]
fn who_watches_is_told_when_a_level_changes() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let threshold = |share: f64| {
        let profile = json!({ "backpressure_threshold": share });
        agent.ask("SetProfile", json!({ "connector": "a", "profile": profile }));
    };
    threshold(1.0);
    let _spinners = Spinners::start(&agent, "b", 1, 50);
    let mut watcher = agent.worker();
    watcher.send("Watch", &json!({ "connector": "a" }), true);
    let first = watcher.receive().expect("how it stands");
    assert_eq!(first["connectors"][0]["connector"], "a");
    threshold(0.05);
    loop {
        let state = watcher.receive().expect("it is told in time");
        if state["connectors"][0]["level"] == "critical"
            || state["connectors"][0]["level"] == "high"
        {
            break;
        }
    }
    let mut worker = agent.worker();
    let hint = worker.call("Hint", json!({ "connector": "a" })).expect("advice");
    assert!(["critical", "high"].contains(&hint["hint"]["level"].as_str().expect("a level")));
}

#[test]
fn in_shadow_mode_limits_are_told_and_change_nothing() {
    require_bpf!();
    let agent = Agent::start(&["--set", "control.shadow=true"]);
    misjudged(&agent, "spin");
    let _spinners = Spinners::start(&agent, "spin", (4 * cores()).try_into().expect("few"), 100);
    wait_until("a limit is told", || {
        let told = explained(&agent, "spin");
        assert_eq!(told["limit"], 6 * cores(), "{told}");
        told["lines"].to_string().contains("shadow mode: ")
    });
}

#[test]
fn a_limit_set_by_hand_ends_when_its_time_is_over() {
    require_bpf!();
    let agent = Agent::start(&[]);
    misjudged(&agent, "a");
    let now = || agent.ask("Connectors", json!({ "connector": "a" }))["connectors"][0].take();
    assert!(now()["limit"].as_u64() <= Some(6 * cores()));
    agent.ask("SetLimit", json!({ "connector": "a", "limit": 77, "for_ms": 400 }));
    let by_hand = now();
    assert_eq!((&by_hand["limit"], &by_hand["constraint"]), (&json!(77), &json!("override")));
    assert!(by_hand["override_ends_ms"].as_u64().expect("an end") <= 400);
    wait_until("it is over", || now()["override_limit"] == Value::Null);
    assert!(now()["limit"].as_u64() <= Some(6 * cores()));
}

#[test]
fn who_waits_is_told_about_how_long() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let profile = json!({ "max_concurrent_jobs": 1, "avg_duration_seconds": 10.0 });
    agent.ask("SetProfile", json!({ "connector": "a", "profile": profile }));
    let hands = [Hand::hire(), Hand::hire()];
    let wish = |hand: &Hand| json!({ "connector": "a", "scope": "thread", "tid": hand.tid() });
    let (mut first, mut second) = (agent.worker(), agent.worker());
    first.acquire(wish(&hands[0]));
    second.send("Acquire", &wish(&hands[1]), true);
    let told = second.receive().expect("its place");
    assert_eq!(told["waiting"]["estimate_ms"], 10_000, "{told}");
    assert_eq!(told["waiting"]["constraint"], "cap", "{told}");
    let would = first.call("Preflight", json!({ "connector": "a" })).expect("an answer");
    assert_eq!((&would["admitted"], &would["position"]), (&json!(false), &json!(2)), "{would}");
    assert_eq!(would["estimate_ms"], 20_000);
    assert_eq!(agent.ask("Status", json!({}))["connections"], 3, "two workers and who asks");
}

#[test]
fn what_is_said_of_one_source_holds_for_its_jobs() {
    require_bpf!();
    let agent = Agent::start(&["--set", "providers.OpenAI.cap=1"]);
    // Both have room on the smallest host, whatever others hold there.
    let small = json!({ "avg_memory_mb": 1.0 });
    agent.ask("SetProfile", json!({ "connector": "a", "profile": small }));
    let profile = json!({ "avg_memory_mb": 64.0, "providers": ["OpenAI"] });
    agent.ask("SetProfile", json!({ "connector": "a", "source": "big", "profile": profile }));
    let mut worker = agent.worker();
    let hands = [Hand::hire(), Hand::hire()];
    let wish = |hand: &Hand, source: &str| json!({ "connector": "a", "source": source, "scope": "thread", "tid": hand.tid() });
    let taken = worker.call("Acquire", wish(&hands[0], "big")).expect("a slot");
    assert_eq!(taken["grant"]["memory_bytes"], 64 << 20, "{taken}");
    let would = worker.call("Preflight", json!({ "connector": "a", "source": "big" }));
    assert_eq!(would.expect("an answer")["constraints"], json!(["provider"]));
    let other = worker.call("Acquire", wish(&hands[1], "small")).expect("a slot");
    assert_ne!(other["grant"]["memory_bytes"], 64 << 20, "{other}");
}
