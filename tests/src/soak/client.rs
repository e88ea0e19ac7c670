//! A client that does random things, and holds the agent's records against its thread's own clock.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::board::{Board, Hold};
use super::{CONNECTORS, connector, now_ns};
use crate::chance::Chance;
use crate::sys;

/// Longer than this no agent leaves a call unanswered, even if it is replaced meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs some clients of the board until they are told to end. A client whose thread ends is replaced.
pub fn run(board: &Path, socket: &Path, clients: std::ops::Range<usize>, seed: u64) {
    let board = Board::open(board).expect("the board");
    let (ended, replace) = mpsc::channel();
    let mut chance = Chance::new(seed);
    let mut start = |client: usize| {
        let (ended, socket, seed) = (ended.clone(), socket.to_owned(), chance.below(u64::MAX));
        let walk = Walk { board, socket, client, chance: Chance::new(seed), connection: None };
        thread::spawn(move || {
            walk.run();
            ended.send(client).expect("somebody listens");
        });
    };
    let mut running = clients.len();
    clients.for_each(&mut start);
    while running > 0 {
        let client = replace.recv().expect("a client");
        if board.is_over() {
            running -= 1;
        } else {
            start(client);
        }
    }
}

/// The agent did what it must not do: that ends everything.
fn fault(what: &str) -> ! {
    eprintln!("soak: {what}");
    process::exit(3);
}

/// How a call that was not answered with what was asked for came out.
#[derive(Debug)]
enum Refusal {
    /// The agent says no: the short name of its error.
    Error(String),
    /// There is no agent, or no longer.
    Away,
}

struct Walk {
    board: Board,
    socket: PathBuf,
    client: usize,
    chance: Chance,
    connection: Option<UnixStream>,
}

/// A lease, and the thread's clock before it was asked for and after it was there.
struct Held {
    lease: u64,
    connector: usize,
    clock_before: u64,
    clock_after: u64,
}

impl Walk {
    fn run(mut self) {
        while !self.board.is_over() {
            if self.chance.one_in(30) {
                self.hang_up_while_asking();
                continue;
            }
            let Some(held) = self.acquire() else { continue };
            for _ in 0..self.chance.below(3) {
                self.do_something(&held);
            }
            if self.chance.one_in(50) {
                // The slot is free when both the connection and this thread are gone.
                self.board.let_go(self.client);
                self.board.count(1);
                return;
            }
            self.release(&held);
        }
    }

    fn acquire(&mut self) -> Option<Held> {
        let index = usize::try_from(self.chance.below(CONNECTORS as u64)).expect("small");
        let wish = json!({
            "connector": connector(index), "scope": "thread", "tid": sys::gettid(),
            "memory_bytes": 1, "max_wait_ms": self.chance.below(100), "on_timeout": "refuse",
        });
        let (asked_ns, clock_before) = (now_ns(), sys::thread_cpu_ns());
        match self.call("Acquire", &wish) {
            Ok(reply) => {
                let lease = reply["grant"]["lease"].as_u64().unwrap_or(0);
                let (client, connector) = (self.client, index);
                let granted_ns = now_ns();
                self.board.hold(Hold { client, lease, connector, asked_ns, granted_ns });
                if reply["grant"]["how"] != "granted" {
                    fault(&format!("granted although it should be refused: {reply}"));
                }
                Some(Held { lease, connector, clock_before, clock_after: sys::thread_cpu_ns() })
            }
            Err(Refusal::Error(error)) if error == "NotGranted" => None,
            Err(Refusal::Error(error)) if error == "Draining" => {
                self.hang_up();
                None
            }
            Err(Refusal::Error(error)) => fault(&format!("Acquire {wish}: {error}")),
            Err(Refusal::Away) => None,
        }
    }

    /// Asks, and is gone before the answer, or when that is on its way.
    fn hang_up_while_asking(&mut self) {
        let wish = json!({
            "connector": connector(0), "scope": "thread", "tid": sys::gettid(), "max_wait_ms": 50,
            "memory_bytes": 1, "on_timeout": "refuse",
        });
        if self.send("Acquire", &wish).is_ok() {
            thread::sleep(Duration::from_micros(self.chance.below(1500)));
        }
        self.hang_up();
        self.board.count(1);
    }

    fn do_something(&mut self, held: &Held) {
        match self.chance.below(20) {
            0 => {
                self.hang_up();
                self.board.count(1);
                self.resume(held);
            }
            1..4 => {
                let lease = json!({ "lease": held.lease });
                if let Err(Refusal::Error(error)) = self.call_again("Peek", &lease, held) {
                    fault(&format!("Peek {lease}: {error}"));
                }
            }
            4..8 => thread::sleep(Duration::from_micros(self.chance.below(2000))),
            _ => {
                let end = sys::thread_cpu_ns() + self.chance.below(20_000);
                while sys::thread_cpu_ns() < end {}
            }
        }
    }

    fn release(&mut self, held: &Held) {
        // From here on it may be given to somebody else.
        self.board.let_go(self.client);
        let clock_before = sys::thread_cpu_ns();
        let released = self.call_again("Release", &json!({ "lease": held.lease }), held);
        let most = sys::thread_cpu_ns() - held.clock_before;
        let usage = match released {
            Ok(mut reply) => reply["usage"].take(),
            // It was released, and the agent died before it could say so.
            Err(Refusal::Error(error)) if error == "NoSuchLease" => return,
            Err(Refusal::Error(error)) => fault(&format!("Release {}: {error}", held.lease)),
            Err(Refusal::Away) => return,
        };
        let least = clock_before - held.clock_after;
        let cpu_ns = usage["cpu_ns"].as_u64().unwrap_or(0);
        if !(least..=most).contains(&cpu_ns) || usage["tasks"] != 1 || usage["lost"] != json!({}) {
            fault(&format!(
                "{least} to {most} ns on CPU of {}: {usage}",
                connector(held.connector)
            ));
        }
        self.board.count_record();
    }

    /// Calls a method about a lease; if the agent went away, gets the lease back first.
    fn call_again(&mut self, method: &str, wish: &Value, held: &Held) -> Result<Value, Refusal> {
        loop {
            match self.call(method, wish) {
                Err(Refusal::Away) if self.resume(held) => {}
                Err(Refusal::Away) => return Err(Refusal::Error("NoSuchLease".to_owned())),
                answer => return answer,
            }
        }
    }

    /// Gets a lease back over a new connection; whether it was there.
    fn resume(&mut self, held: &Held) -> bool {
        let wish = json!({ "connector": connector(held.connector), "lease": held.lease });
        loop {
            match self.call("Acquire", &wish) {
                Ok(reply) if reply["grant"]["lease"] == held.lease => return true,
                Ok(reply) => fault(&format!("asked for lease {} and got {reply}", held.lease)),
                Err(Refusal::Error(error)) if error == "NoSuchLease" => {
                    // Right if its release was on its way; wrong if the board says that it is held.
                    if self.board.held_by(self.client).is_some() {
                        fault(&format!("lease {} is lost", held.lease));
                    }
                    return false;
                }
                Err(Refusal::Error(error)) => fault(&format!("resume {}: {error}", held.lease)),
                Err(Refusal::Away) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, Refusal> {
        let answer = self.send(method, parameters).and_then(|()| self.receive());
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                fault(&format!("no answer to {method} {parameters} for {PATIENCE:?}"))
            }
            Err(_) => {
                self.hang_up();
                // An agent that is replaced is back in a moment.
                thread::sleep(Duration::from_millis(2));
                return Err(Refusal::Away);
            }
        };
        self.board.count(1);
        match answer["error"].as_str() {
            Some(name) => Err(Refusal::Error(name.rsplit('.').next().unwrap_or(name).to_owned())),
            None => Ok(answer["parameters"].clone()),
        }
    }

    fn hang_up(&mut self) {
        self.connection = None;
    }

    fn send(&mut self, method: &str, parameters: &Value) -> io::Result<()> {
        if self.connection.is_none() {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.connection = Some(stream);
        }
        let method = format!("org.profiler.Worker.{method}");
        let mut bytes =
            json!({ "method": method, "parameters": parameters }).to_string().into_bytes();
        bytes.push(0);
        self.connection.as_mut().expect("connected").write_all(&bytes)
    }

    /// The next reply. There is never more than one on its way.
    fn receive(&mut self) -> io::Result<Value> {
        let stream = self.connection.as_mut().expect("connected");
        let (mut message, mut piece) = (Vec::new(), [0; 8192]);
        while message.last() != Some(&0) {
            let got = match stream.read(&mut piece) {
                // Whoever is stopped and goes on is told so, where a time limit is set.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got?,
            };
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            message.extend_from_slice(&piece[..got]);
        }
        message.pop();
        serde_json::from_slice(&message).map_err(io::Error::other)
    }
}
