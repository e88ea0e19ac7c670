//! `cargo xtask bench slots`: what a slot costs, beside an echo and, where it is installed, a
//! semaphore in Redis.
//!
//! One client: agent and client share a CPU, and each call is held against an echo of messages of the
//! same size. Many clients: a thousand connections, each for a thread of its own, as fast as it goes
//! and then at a steady rate.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiler_tests::agent::Agent;
use profiler_tests::hand::Hand;
use profiler_tests::sys;
use serde_json::{Value, json};

const CONNECTIONS: usize = 1_000;
const CALLS: usize = 20_000;
/// Leases a second that the bar names.
const STEADY: usize = 25_000;

fn main() {
    let agent = Agent::start(&["--set", "log.filter=warn"]);
    agent.ask("SetProfile", json!({ "connector": "bench", "profile": { "avg_memory_mb": 1.0 } }));
    agent.ask("SetLimit", json!({ "connector": "bench", "limit": 100_000 }));
    one_client(&agent);
    many_clients(&agent);
    redis();
}

/// What this share of the times does not pass, in microseconds.
#[allow(clippy::cast_sign_loss, reason = "shares are not negative")]
fn share(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
    sorted[at].as_secs_f64() * 1e6
}

fn one_client(agent: &Agent) {
    pin_process(agent.pid(), 0);
    sys::pin(0);
    let tid = sys::gettid();
    let acquire =
        message("Acquire", &json!({ "connector": "bench", "scope": "thread", "tid": tid }));
    let mut stream = connect(agent);
    let (mut acquires, mut releases) = (Vec::new(), Vec::new());
    let (mut granted, mut released) = (0, 0);
    for _ in 0..CALLS {
        let begin = Instant::now();
        let reply = call(&mut stream, &acquire);
        acquires.push(begin.elapsed());
        granted = reply.len();
        let release = message("Release", &json!({ "lease": lease_in(&reply) }));
        let begin = Instant::now();
        released = call(&mut stream, &release).len();
        releases.push(begin.elapsed());
    }
    let release = message("Release", &json!({ "lease": 1_795_000_000_000_000_u64 })).len();
    println!("one client, both ends on one CPU, {CALLS} leases, p50 of a call:");
    for (name, mut times, sizes) in [
        ("Acquire", acquires, (acquire.len(), granted)),
        ("Release", releases, (release, released)),
    ] {
        times.sort_unstable();
        let floor = echo(sizes.0, sizes.1);
        let got = share(&times, 0.5);
        println!(
            "  {name}   {got:6.1} us   echo of {} and {} bytes {floor:6.1} us   ratio {:.2}",
            sizes.0,
            sizes.1,
            got / floor
        );
    }
    pin_process(agent.pid(), usize::MAX);
    unpin();
}

/// p50, in microseconds, of a bare blocking exchange of messages of these sizes on one CPU.
fn echo(request: usize, reply: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo");
    let listener = UnixListener::bind(&path).expect("a socket");
    let server = thread::spawn(move || {
        sys::pin(0);
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut from, to) = (vec![0; request], vec![1; reply]);
        while stream.read_exact(&mut from).is_ok() && stream.write_all(&to).is_ok() {}
    });
    let mut stream = UnixStream::connect(&path).expect("a connection");
    let (to, mut from) = (vec![1; request], vec![0; reply]);
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let begin = Instant::now();
            stream.write_all(&to).expect("it goes out");
            stream.read_exact(&mut from).expect("it comes back");
            begin.elapsed()
        })
        .collect();
    drop(stream);
    server.join().expect("its end");
    times.sort_unstable();
    share(&times, 0.5)
}

fn many_clients(agent: &Agent) {
    let hands: Vec<Hand> = (0..CONNECTIONS).map(|_| Hand::hire()).collect();
    let mut clients: Vec<Client> = hands
        .iter()
        .map(|hand| Client {
            stream: connect(agent),
            acquire: message(
                "Acquire",
                &json!({ "connector": "bench", "scope": "thread", "tid": hand.tid() }),
            ),
        })
        .collect();
    // The first lease of a thread is where the agent gets to know it.
    all_at_once(&mut clients, &mut Vec::new());
    let (begin, rounds) = (Instant::now(), 50);
    let mut times = Vec::new();
    for _ in 0..rounds {
        all_at_once(&mut clients, &mut times);
    }
    let leases = rounds * clients.len();
    times.sort_unstable();
    println!(
        "{CONNECTIONS} connections at once: {:.0} leases/s; a call's p50 {:.0} us, p99 {:.0} us",
        leases as f64 / begin.elapsed().as_secs_f64(),
        share(&times, 0.5),
        share(&times, 0.99),
    );
    let (times, rate) = steadily(&mut clients);
    println!(
        "{CONNECTIONS} connections in turn, {rate:.0} leases/s of {STEADY} asked for: \
         a call's p50 {:.0} us, p99 {:.0} us",
        share(&times, 0.5),
        share(&times, 0.99)
    );
}

struct Client {
    stream: UnixStream,
    acquire: Vec<u8>,
}

/// Every client takes a slot and gives it back, all at the same time.
fn all_at_once(clients: &mut [Client], times: &mut Vec<Duration>) {
    let mut sent = Vec::with_capacity(clients.len());
    for client in clients.iter_mut() {
        sent.push(Instant::now());
        client.stream.write_all(&client.acquire).expect("it goes out");
    }
    let mut leases = Vec::with_capacity(clients.len());
    for (client, sent) in clients.iter_mut().zip(&sent) {
        leases.push(lease_in(&receive(&mut client.stream)));
        times.push(sent.elapsed());
    }
    sent.clear();
    for (client, lease) in clients.iter_mut().zip(&leases) {
        sent.push(Instant::now());
        let release = message("Release", &json!({ "lease": lease }));
        client.stream.write_all(&release).expect("it goes out");
    }
    for (client, sent) in clients.iter_mut().zip(&sent) {
        receive(&mut client.stream);
        times.push(sent.elapsed());
    }
}

/// A few clients each millisecond, whether the ones before have their answers or not.
fn steadily(clients: &mut [Client]) -> (Vec<Duration>, f64) {
    const MILLISECONDS: usize = 2_000;
    let at_a_time = STEADY / 1_000;
    let (begin, mut times) = (Instant::now(), Vec::new());
    let mut order: VecDeque<usize> = (0..clients.len()).collect();
    for tick in 0..MILLISECONDS {
        let due = Duration::from_millis(tick as u64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
        let chosen: Vec<usize> = order.drain(..at_a_time).collect();
        let mut some: Vec<&mut Client> = clients
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| chosen.contains(at))
            .map(|(_, c)| c)
            .collect();
        for client in &mut some {
            client.stream.write_all(&client.acquire).expect("it goes out");
        }
        // A call that should have begun earlier counts from then.
        let sent = begin + due;
        let leases: Vec<u64> = some
            .iter_mut()
            .map(|client| {
                let lease = lease_in(&receive(&mut client.stream));
                times.push(sent.elapsed());
                lease
            })
            .collect();
        let again = Instant::now();
        for (client, lease) in some.iter_mut().zip(leases) {
            let release = message("Release", &json!({ "lease": lease }));
            client.stream.write_all(&release).expect("it goes out");
        }
        for client in &mut some {
            receive(&mut client.stream);
            times.push(again.elapsed());
        }
        order.extend(chosen);
    }
    let rate = (MILLISECONDS * at_a_time) as f64 / begin.elapsed().as_secs_f64();
    times.sort_unstable();
    (times, rate)
}

/// The same with a semaphore in Redis: two scripts a lease.
fn redis() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("redis.sock");
    let Some(_server) = RedisServer::start(&path) else {
        println!("redis-server is not installed: no peer (Debian: apt-get install redis-server)");
        return;
    };
    let script = |body: &str| {
        let words = ["EVAL", body, "1", "semaphore"];
        let bulk: String = words.iter().map(|w| format!("${}\r\n{w}\r\n", w.len())).collect();
        format!("*{}\r\n{bulk}", words.len()).into_bytes()
    };
    let take = script(
        "local n = tonumber(redis.call('GET', KEYS[1]) or '0') \
         if n < 100000 then redis.call('INCR', KEYS[1]) return 1 end return 0",
    );
    let give = script("return redis.call('DECR', KEYS[1])");
    let mut streams: Vec<UnixStream> =
        (0..CONNECTIONS).map(|_| UnixStream::connect(&path).expect("a connection")).collect();
    let (begin, rounds, mut times) = (Instant::now(), 50, Vec::new());
    for _ in 0..rounds {
        for call in [&take, &give] {
            let mut sent = Vec::with_capacity(CONNECTIONS);
            for stream in &mut streams {
                sent.push(Instant::now());
                stream.write_all(call).expect("it goes out");
            }
            for (stream, sent) in streams.iter_mut().zip(sent) {
                let mut answer = [0; 64];
                assert!(stream.read(&mut answer).expect("an answer") > 0, "it answers");
                times.push(sent.elapsed());
            }
        }
    }
    times.sort_unstable();
    println!(
        "a semaphore in Redis, {CONNECTIONS} connections at once: {:.0} leases/s; \
         a call's p50 {:.0} us, p99 {:.0} us",
        (rounds * CONNECTIONS) as f64 / begin.elapsed().as_secs_f64(),
        share(&times, 0.5),
        share(&times, 0.99),
    );
}

struct RedisServer(Child);

impl RedisServer {
    fn start(path: &Path) -> Option<Self> {
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(path)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let begin = Instant::now();
        while UnixStream::connect(path).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "redis-server listens");
            thread::sleep(Duration::from_millis(10));
        }
        Some(Self(server))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(agent: &Agent) -> UnixStream {
    UnixStream::connect(agent.folder().join("worker.sock")).expect("a connection")
}

fn message(method: &str, parameters: &Value) -> Vec<u8> {
    let method = format!("org.profiler.Worker.{method}");
    let mut bytes = json!({ "method": method, "parameters": parameters }).to_string().into_bytes();
    bytes.push(0);
    bytes
}

fn call(stream: &mut UnixStream, message: &[u8]) -> Vec<u8> {
    stream.write_all(message).expect("it goes out");
    receive(stream)
}

fn receive(stream: &mut UnixStream) -> Vec<u8> {
    let mut reply = vec![0; 4096];
    let mut length = 0;
    loop {
        let got = stream.read(&mut reply[length..]).expect("an answer");
        assert!(got > 0, "the agent closed the connection");
        length += got;
        if reply[length - 1] == 0 {
            reply.truncate(length);
            return reply;
        }
    }
}

/// The lease in a grant, without reading the rest: the benchmark is not to measure itself.
fn lease_in(reply: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(reply);
    let (_, rest) = text.split_once("\"lease\":").unwrap_or_else(|| panic!("no grant: {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a lease")
}

/// Binds all threads of a process to a CPU, or to none for `usize::MAX`.
fn pin_process(pid: u32, cpu: usize) {
    let cpus = if cpu == usize::MAX { "0-1023".to_owned() } else { cpu.to_string() };
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &cpus, &pid.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "taskset binds the agent to a CPU");
}

fn unpin() {
    pin_process(std::process::id(), usize::MAX);
}
