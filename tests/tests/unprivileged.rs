//! Without the right to load BPF programs the same record comes from `/proc`, is marked so, and
//! is never more than the truth.

use profiler_tests::agent::{Connection, short};
use profiler_tests::run::Run;
use profiler_tests::{require_bpf, skip, sys};
use serde_json::json;

const NOBODY: u32 = 65_534;

#[test]
fn an_unprivileged_user_gets_samples_that_are_marked_as_such() {
    if sys::geteuid() != 0 {
        skip!("needs root, to become somebody else");
    }
    let run = Run::workload(&["spin", "--seconds", "0.6"]).user(NOBODY).traced().finish();
    run.assert_success();
    let session = run.session();
    assert_eq!(session.usage.source.as_deref(), Some("procfs"), "source. {run}");
    // The kernel's own sum over descendants that were waited for, which has whole microseconds of
    // each of two parts.
    let truth: u64 = run.finals().values().filter_map(|figures| figures.cpu_ns).sum();
    let got = session.usage.figures.cpu_ns.expect("cpu_ns");
    let least = truth.saturating_sub(2_000);
    assert!((least..=truth).contains(&got), "cpu_ns: expected {least} to {truth}, got {got}");
}

#[test]
fn an_unprivileged_user_who_insists_on_exact_figures_is_told_what_is_missing() {
    if sys::geteuid() != 0 {
        skip!("needs root, to become somebody else");
    }
    let run = Run::workload(&["mark", "--file", "/dev/null"]).options(&["--source", "ebpf"]);
    let run = run.user(NOBODY).finish();
    assert_ne!(run.code(), 0, "exit status. {run}");
    assert!(run.stdout.is_empty(), "the command must not run. {run}");
    let named = ["root", "CAP_BPF", "CAP_SYS_ADMIN"].iter().any(|word| run.stderr.contains(word));
    assert!(named, "what is missing is not named. {run}");
}

#[test]
fn samples_are_never_more_than_the_truth() {
    require_bpf!();
    let run = Run::workload(&["threads", "--count", "8", "--work-us", "50000"]).traced();
    let run = run.options(&["--source", "procfs"]).finish();
    run.assert_success();
    assert_eq!(run.session().usage.source.as_deref(), Some("procfs"), "source. {run}");
    let truth = run.finals();
    for thread in &run.session().threads {
        let key = (thread.pid, thread.tid);
        let most = truth.get(&key).unwrap_or_else(|| panic!("thread {key:?} was never seen"));
        let got = thread.usage.figures.cpu_ns;
        assert!(got <= most.cpu_ns, "thread {key:?}: expected at most {most:?}, got {got:?}");
    }
}

/// An agent that nobody may load programs for, and what it said.
fn start_as_nobody(folder: &std::path::Path) -> (std::process::Child, String) {
    use std::io::BufRead as _;
    use std::os::unix::process::CommandExt as _;
    let state = format!("state_directory={:?}", folder.join("state").display().to_string());
    let mut agent = std::process::Command::new(profiler_tests::binaries::profiler())
        .args(["agent", "--sockets"])
        .arg(folder)
        .args(["--set", &state])
        .env("HOME", folder)
        .env_remove("XDG_CONFIG_HOME")
        .uid(NOBODY)
        .gid(NOBODY)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the agent starts");
    let err = agent.stderr.take().expect("its standard error");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        for line in std::io::BufReader::new(err).lines().map_while(Result::ok) {
            eprintln!("agent: {line}");
            said = said + &line + "\n";
            if line.contains("Ctrl-C") {
                // Nobody may wait any more.
                let _ = tell.send(std::mem::take(&mut said));
            }
        }
    });
    let said = told.recv_timeout(std::time::Duration::from_secs(120)).expect("it listens in time");
    (agent, said)
}

#[test]
fn an_agent_without_privilege_gives_slots_and_records_that_are_marked_as_samples() {
    if sys::geteuid() != 0 {
        skip!("needs root, to become somebody else");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("its owner");
    let (mut agent, said) = start_as_nobody(folder.path());
    assert!(said.contains("figures are samples of /proc"), "{said}");
    let socket = folder.path().join("worker.sock");
    let control = folder.path().join("control.sock");
    // Its worker is somebody whose figures it may read.
    let worker = std::thread::spawn(move || {
        sys::become_user(NOBODY);
        let mut control = Connection::to(&control, "control");
        let status = control.call("Status", json!({})).expect("a status");
        assert_eq!(status["source"], "procfs", "{status}");
        assert!(status["missing"].to_string().contains("eBPF"), "{status}");
        let mut worker = Connection::to(&socket, "worker");
        let wish = json!({ "connector": "a", "scope": "thread", "tid": sys::gettid() });
        for ms in [30, 10] {
            let before = sys::thread_cpu_ns();
            let lease = worker.acquire(wish.clone());
            let begun = sys::thread_cpu_ns();
            while sys::thread_cpu_ns() < begun + ms * 1_000_000 {}
            let least = sys::thread_cpu_ns() - begun;
            let usage = worker.release(lease);
            let most = sys::thread_cpu_ns() - before;
            let got = usage["cpu_ns"].as_u64().expect("known");
            assert_eq!(usage["source"], "procfs", "{usage}");
            assert_eq!(usage["tasks"], 1, "{usage}");
            assert!((least..=most).contains(&got), "{least} to {most}: {usage}");
        }
        // The limit holds, and a slot comes free.
        control.call("SetLimit", json!({ "connector": "a", "limit": 1 })).expect("known");
        let lease = worker.acquire(wish);
        let mut other = Connection::to(&socket, "worker");
        let refused = other.call(
            "Acquire",
            json!({ "connector": "a", "scope": "tree", "max_wait_ms": 0, "on_timeout": "refuse" }),
        );
        assert_eq!(short(&refused.expect_err("one slot")), "NotGranted");
        worker.release(lease);
        let status = control.call("Status", json!({})).expect("a status");
        assert_eq!(status["leases"], 0, "{status}");
    });
    let outcome = worker.join();
    sys::kill(agent.id().try_into().expect("a pid"), libc::SIGTERM).expect("it can be asked");
    let status = agent.wait().expect("its end");
    if let Err(why) = outcome {
        std::panic::resume_unwind(why);
    }
    assert!(status.success(), "an orderly end: {status}");
}

#[test]
fn a_command_under_an_agent_without_privilege_is_sampled_without_its_wrapper() {
    if sys::geteuid() != 0 {
        skip!("needs root, to become somebody else");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("its owner");
    let (mut agent, _) = start_as_nobody(folder.path());
    let mut command = std::process::Command::new(profiler_tests::binaries::profiler());
    let socket = folder.path().join("worker.sock");
    command.args(["exec", "--connector", "a", "--socket"]).arg(&socket).arg("--json");
    command
        .arg(folder.path().join("record.json"))
        .args(["--"])
        .arg(profiler_tests::binaries::workload());
    // Longer than any time between two looks.
    command.args(["spin", "--seconds", "3"]);
    let status = {
        use std::os::unix::process::CommandExt as _;
        command.uid(NOBODY).gid(NOBODY).status().expect("it runs")
    };
    assert!(status.success(), "{status}");
    let record = std::fs::read_to_string(folder.path().join("record.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["usage"]["source"], "procfs", "{record}");
    assert_eq!(record["usage"]["processes"], 1, "the wrapper is not of the job: {record}");
    let cpu_ns = record["usage"]["cpu_ns"].as_u64().expect("known");
    assert!((1_000_000..4_000_000_000).contains(&cpu_ns), "{record}");
    agent.kill().expect("it can be killed");
    agent.wait().expect("its end");
}
