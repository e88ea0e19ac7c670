//! What happens to the clients and to their agent: processes are killed, the agent is killed or replaced,
//! limits change.

use std::fmt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::board::{Board, CLIENTS};
use super::watch::{Limits, fault};
use super::{CAP, CONNECTORS, connector, now_ns};
use crate::agent::{Agent, wait_until};
use crate::binaries;
use crate::chance::Chance;

/// Clients of one process.
const CLIENTS_PER_PROCESS: usize = 10;

/// How often what is held is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What it came to.
#[derive(Clone, Copy, Debug)]
pub struct Toll {
    /// Calls answered, connections cut, leases abandoned, processes and agents killed, limits changed.
    pub operations: u64,
    /// Leases whose record was held against the thread's own clock, and was right.
    pub records: u64,
    /// How often all that is held was compared with the limits.
    pub looks: u64,
    /// Processes of clients that were killed.
    pub killed: u64,
    /// Times that the agent was killed, or replaced by another one.
    pub restarts: u64,
    /// Limits that were changed.
    pub limits: u64,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.operations as f64 / self.took.as_secs_f64();
        writeln!(
            f,
            "{} operations in {:.1?}, {per_second:.0} a second",
            self.operations, self.took
        )?;
        writeln!(f, "{} records within the thread's own clock, nothing lost", self.records)?;
        writeln!(f, "{} times looked whether a slot was given twice: never", self.looks)?;
        write!(
            f,
            "{} processes of clients killed, {} agents killed or replaced, {} limits changed",
            self.killed, self.restarts, self.limits
        )
    }
}

/// The clients, their agent, and what is known of them.
#[derive(Debug)]
pub struct Storm {
    agent: Agent,
    folder: tempfile::TempDir,
    board: Board,
    limits: Limits,
    processes: Vec<Child>,
    chance: Chance,
    toll: Toll,
}

impl Storm {
    /// Starts an agent and all clients.
    pub fn begin(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let board = Board::make(&folder.path().join("board")).expect("a board");
        let mut arguments: Vec<String> = Vec::new();
        for index in 0..CONNECTORS {
            arguments.push("--set".to_owned());
            let name = connector(index);
            arguments.push(format!("connectors.{name}.max_concurrent_jobs={CAP}"));
        }
        arguments.push("--keep-on-stop".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let agent = Agent::start(&arguments);
        for index in 0..CONNECTORS {
            agent.ask("SetProfile", json!({ "connector": connector(index), "profile": {} }));
        }
        let toll = Toll {
            operations: 0,
            records: 0,
            looks: 0,
            killed: 0,
            restarts: 0,
            limits: 0,
            took: Duration::ZERO,
        };
        let (limits, chance) = (Limits::new(), Chance::new(seed));
        let mut storm = Self { agent, folder, board, limits, processes: Vec::new(), chance, toll };
        for index in 0..CLIENTS / CLIENTS_PER_PROCESS {
            let process = storm.start_process(index);
            storm.processes.push(process);
        }
        storm
    }

    fn start_process(&mut self, index: usize) -> Child {
        let first = index * CLIENTS_PER_PROCESS;
        let board: PathBuf = self.folder.path().join("board");
        let mut command = Command::new(binaries::workload());
        command.arg("soak").arg("--board").arg(board);
        command.arg("--socket").arg(self.agent.folder().join("worker.sock"));
        command.args(["--first", &first.to_string()]);
        command.args(["--count", &CLIENTS_PER_PROCESS.to_string()]);
        command.args(["--seed", &self.chance.below(u64::MAX).to_string()]);
        command.spawn().expect("clients start")
    }

    /// Goes on until there were so many operations, with so many restarts of the agent among them.
    pub fn rage(mut self, operations: u64, restarts: u64) -> Toll {
        let (begin, mut next) = (Instant::now(), 1);
        while self.board.operations() < operations {
            self.look();
            thread::sleep(LOOK_EVERY);
            if self.board.operations() > next * operations / (restarts + 1) {
                next += 1;
                self.replace_agent();
            } else if self.chance.one_in(20) {
                self.change_limit();
            } else if self.chance.one_in(200) {
                self.kill_process();
            }
        }
        self.subside();
        self.toll.took = begin.elapsed();
        self.toll.operations = self.board.operations();
        self.toll.records = self.board.records();
        self.toll
    }

    /// Looks whether everything is as it must be.
    fn look(&mut self) {
        self.toll.looks += 1;
        if let Some(fault) = fault(self.board, &self.limits) {
            panic!("{fault}");
        }
        assert!(self.agent.lives(), "the agent ended by itself");
        for process in &mut self.processes {
            let ended = process.try_wait().expect("its state");
            assert!(ended.is_none(), "a client found a fault: {ended:?}");
        }
    }

    fn change_limit(&mut self) {
        let index = usize::try_from(self.chance.below(CONNECTORS as u64)).expect("small");
        let limit = u32::try_from(1 + self.chance.below(40)).expect("small");
        let sent = now_ns();
        self.agent.ask("SetLimit", json!({ "connector": connector(index), "limit": limit }));
        self.limits.change(index, sent, now_ns(), limit);
        self.toll.limits += 1;
        self.board.count(1);
    }

    fn kill_process(&mut self) {
        let count = self.processes.len();
        let index = usize::try_from(self.chance.below(count as u64)).expect("small");
        self.processes[index].kill().expect("it can be killed");
        self.processes[index].wait().expect("its end");
        // What its clients held was theirs until now.
        for client in 0..CLIENTS_PER_PROCESS {
            self.board.let_go(index * CLIENTS_PER_PROCESS + client);
        }
        self.processes[index] = self.start_process(index);
        self.toll.killed += 1;
        self.board.count(1);
    }

    fn replace_agent(&mut self) {
        let ended = now_ns();
        if self.chance.one_in(3) {
            assert_eq!(self.agent.stop(), Some(0), "an orderly end");
        } else {
            self.agent.kill();
        }
        self.agent.start_again();
        self.limits.forget(ended, now_ns());
        self.toll.restarts += 1;
        self.board.count(1);
    }

    /// All clients end, and nothing is left.
    fn subside(&mut self) {
        self.board.end();
        for process in &mut self.processes {
            let status = process.wait().expect("its end");
            assert!(status.success(), "a client found a fault: {status}");
        }
        wait_until("nothing is left", || {
            let status = self.agent.ask("Status", json!({}));
            ["leases", "orphans", "waiting"].iter().all(|name| status[name] == 0)
        });
        let connectors = self.agent.ask("Connectors", json!({}));
        for connector in connectors["connectors"].as_array().expect("a list") {
            assert_eq!(connector["in_use"], 0, "{connector}");
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.board.end();
        for process in &mut self.processes {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
