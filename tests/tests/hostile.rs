//! Clients that want what is not theirs or too much of it, and disks that fail: others are served all the
//! same.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiler_tests::agent::{Agent, Connection, short, wait_until};
use profiler_tests::hand::Hand;
use profiler_tests::mount::Tmpfs;
use profiler_tests::{binaries, require_bpf, scale, sys};
use serde_json::{Value, json};

const NOBODY: u32 = 65_534;

/// A job of a thread of ours, from begin to end.
fn assert_served(worker: &mut Connection, hand: &Hand) {
    let wish = json!({
        "connector": "neighbour", "scope": "thread", "tid": hand.tid(), "memory_bytes": 1,
    });
    let before = hand.cpu_ns();
    let lease = worker.acquire(wish);
    hand.work(1);
    let after = hand.cpu_ns();
    assert_eq!(worker.release(lease)["cpu_ns"], after - before, "exact all the while");
}

#[test]
fn a_worker_in_a_pid_namespace_is_counted_by_its_own_numbers_and_reaches_nobody_outside() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let hand = Hand::hire();
    #[allow(clippy::zombie_processes, reason = "reaped, unless the test fails and ends with it")]
    let mut child = Command::new(binaries::workload())
        .args(["namespaced-worker", "--socket"])
        .arg(agent.folder().join("worker.sock"))
        .args(["--outside", &hand.tid().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a worker");
    let mut out = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut said = || -> Value {
        let line = out.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let begun = said();
    if let Some(why) = begun["skipped"].as_str() {
        profiler_tests::skip!("{why}");
    }
    assert_eq!(begun["tid"], 1, "its own number for its thread: {begun}");
    let job = agent.ask("Jobs", json!({}))["jobs"][0].take();
    assert_ne!(job["pid"], 1, "the host's number is another: {job}");
    assert_eq!(job["tasks"], 1, "{job}");
    assert_eq!(begun["outside"], "NoSuchTask", "a thread that is not its own: {begun}");
    assert_eq!(begun["outside_pid"], "NoSuchTask", "a process that is not its own: {begun}");
    child.stdin.take().expect("its input").write_all(b"go on\n").expect("it listens");
    let ended = said();
    let (least, most) = (&ended["least_ns"], &ended["most_ns"]);
    let got = ended["usage"]["cpu_ns"].as_u64().expect("known");
    let range = least.as_u64().expect("a clock")..=most.as_u64().expect("a clock");
    assert!(range.contains(&got), "{range:?} by its own clock: {ended}");
    assert!(child.wait().expect("its end").success());
}

#[test]
fn ten_thousand_connections_of_one_user_take_nothing_from_others() {
    require_bpf!();
    let (attempts, limit) = (scale(10_000, 600), scale(2_000, 100));
    let most = format!("limits.connections_per_user={limit}");
    let agent = Agent::start(&["--set", &most]);
    agent.open_to_all();
    sys::raise_open_files();
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    assert_served(&mut worker, &hand);
    let socket = agent.folder().join("worker.sock");
    let flood = thread::spawn(move || {
        sys::become_user(NOBODY);
        let mut kept = Vec::new();
        let mut refused = 0_u32;
        for _ in 0..attempts {
            let mut stream = UnixStream::connect(&socket).expect("the agent listens");
            if kept.len() < limit as usize {
                kept.push(stream);
                continue;
            }
            let mut told = Vec::new();
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
            stream.read_to_end(&mut told).expect("an error, and the end");
            let told = String::from_utf8_lossy(&told);
            assert!(told.contains("TooMany"), "{told:?}");
            refused += 1;
        }
        (kept, refused)
    });
    let mut slowest = Duration::ZERO;
    let mut served = 0;
    while !flood.is_finished() {
        let begin = Instant::now();
        assert_served(&mut worker, &hand);
        slowest = slowest.max(begin.elapsed());
        served += 1;
    }
    let (kept, refused) = flood.join().expect("its end");
    assert_eq!(refused, attempts - limit);
    assert!(served > 0);
    println!("{served} jobs of a neighbour meanwhile, the slowest within {slowest:?}");
    assert_served(&mut agent.worker(), &hand);
    // Who had too many may come again when they are gone.
    drop(kept);
    wait_until("the user may connect again", || {
        agent.ask("Status", json!({}))["connections"].as_u64().is_some_and(|open| open < 10)
    });
}

#[test]
fn ten_thousand_connections_are_open_at_once_and_each_is_served() {
    require_bpf!();
    let count = scale(10_000, 500);
    let most = sys::raise_open_files();
    if most < u64::from(count) + 500 {
        profiler_tests::skip!("no more than {most} files may be open here");
    }
    let agent = Agent::start(&["--set", "limits.connections_per_user=16384"]);
    let hand = Hand::hire();
    let mut workers: Vec<_> = (0..count).map(|_| agent.worker()).collect();
    wait_until("all are open", || {
        let open = agent.ask("Status", json!({}))["connections"].as_u64();
        open.is_some_and(|open| open > count.into())
    });
    for worker in &mut workers {
        assert_served(worker, &hand);
    }
}

#[test]
fn what_is_no_call_costs_its_sender_the_connection_and_nobody_else() {
    require_bpf!();
    let agent = Agent::start(&["--set", "limits.message_timeout=200ms"]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let too_long = vec![b' '; 64 * 1024 + 1];
    let nested = format!(
        "{{\"method\":\"org.profiler.Worker.Hint\",\"parameters\":{}1{}}}\0",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let half = b"{\"method\":\"org.profiler.Worker.".as_slice();
    for bytes in [b"\0".as_slice(), b"GET / HTTP/1.1\r\n\r\n\0", &too_long, nested.as_bytes(), half]
    {
        let mut stream =
            UnixStream::connect(agent.folder().join("worker.sock")).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
        // It may be cut off before all is sent.
        let _ = stream.write_all(bytes);
        assert_served(&mut worker, &hand);
        let mut told = Vec::new();
        // What was not read makes the end a reset.
        let _ = stream.read_to_end(&mut told);
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(bytes == half || told.contains("InvalidParameter"), "{told:?}");
    }
    assert_served(&mut worker, &hand);
}

#[test]
fn who_never_reads_is_cut_off_and_others_are_served() {
    require_bpf!();
    let agent = Agent::start(&["--set", "limits.write_timeout=200ms"]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let mut deaf = UnixStream::connect(agent.folder().join("worker.sock")).expect("a connection");
    deaf.set_write_timeout(Some(Duration::from_millis(20))).expect("a time limit");
    let call = b"{\"method\":\"org.profiler.Worker.Hint\",\"parameters\":{}}\0".repeat(100);
    let begin = Instant::now();
    let mut is_cut = false;
    while !is_cut {
        is_cut = match deaf.write(&call) {
            Ok(_) => false,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        assert_served(&mut worker, &hand);
        assert!(begin.elapsed() < Duration::from_secs(60), "still there");
    }
}

/// Whether the history has the job of a lease that was just released.
fn is_kept(agent: &Agent, lease: u64) -> bool {
    match agent.connect("control").call("History", json!({ "connector": "a" })) {
        Ok(found) => {
            let jobs = found["jobs"].as_array().expect("a list").clone();
            jobs.iter().any(|job| job["lease"] == lease)
        }
        Err(error) => {
            assert_eq!(short(&error), "NoHistory", "{error:?}");
            false
        }
    }
}

fn job(worker: &mut Connection, hand: &Hand) -> u64 {
    let wish = json!({ "connector": "a", "scope": "thread", "tid": hand.tid(), "memory_bytes": 1 });
    let lease = worker.acquire(wish);
    hand.work(1);
    assert!(worker.release(lease)["cpu_ns"].as_u64().is_some_and(|cpu| cpu > 0));
    lease
}

/// Sum of what the history lost, from the agent's status.
fn lost(agent: &Agent) -> u64 {
    let lost = agent.ask("Status", json!({}))["lost"].take();
    let causes = lost.as_object().expect("by cause").iter();
    causes.filter(|(cause, _)| cause.starts_with("history")).filter_map(|(_, n)| n.as_u64()).sum()
}

fn state_in(folder: &Path) -> String {
    format!("state_directory={:?}", folder.display().to_string())
}

#[test]
fn a_read_only_state_directory_costs_history_and_nothing_else() {
    require_bpf!();
    let disk = Tmpfs::mount("size=8m");
    disk.set_read_only(true);
    let agent = Agent::start(&["--set", &state_in(disk.path())]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let lease = job(&mut worker, &hand);
    assert!(!is_kept(&agent, lease), "nothing can be written");
    disk.set_read_only(false);
    wait_until("history goes on", || is_kept(&agent, lease));
}

#[test]
fn a_full_disk_costs_history_and_nothing_else() {
    require_bpf!();
    let disk = Tmpfs::mount("size=1m");
    let agent = Agent::start(&["--set", &state_in(disk.path())]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let first = job(&mut worker, &hand);
    wait_until("history works", || is_kept(&agent, first));
    let ballast = disk.path().join("ballast");
    let mut file = fs::File::create(&ballast).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    let lease = (0..200).map(|_| job(&mut worker, &hand)).last().expect("a job");
    fs::remove_file(&ballast).expect("it is there");
    disk.resize("size=64m");
    wait_until("what waited is there, or its loss is told", || {
        is_kept(&agent, lease) || lost(&agent) > 0
    });
    let later = job(&mut worker, &hand);
    wait_until("history goes on", || is_kept(&agent, later));
}

#[test]
fn a_corrupt_database_is_kept_aside_and_its_loss_is_told() {
    require_bpf!();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("history.db"), "no database at all".repeat(500)).expect("a file");
    let agent = Agent::start(&["--set", &state_in(folder.path())]);
    let (mut worker, hand) = (agent.worker(), Hand::hire());
    let lease = job(&mut worker, &hand);
    wait_until("history goes on", || is_kept(&agent, lease));
    assert_eq!(lost(&agent), 1, "one file: {}", agent.ask("Status", json!({}))["lost"]);
    let names = fs::read_dir(folder.path()).expect("the folder");
    let aside =
        names.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-"));
    assert_eq!(aside.count(), 1, "the damaged file is kept");
}
