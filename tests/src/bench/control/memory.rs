//! Jobs that grow: processes that share a control group with a limit. When all together want more than
//! that, the kernel kills one, and its job is lost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use profiler_client::{Client, Request};

use super::CONNECTOR;
use super::interrupt;
use super::tally::Tally;
use crate::binaries;
use crate::chance::Chance;
use crate::memory_group::MemoryGroup;
use crate::sys::Pid;

const MIB: u64 = 1 << 20;
const PAGE: usize = 4096;

/// How a job grows and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// The least and the most memory of a job, in MiB.
    pub mib: (u64, u64),
    /// How long it grows.
    pub grows: Duration,
    /// How long it then holds all of it.
    pub holds: Duration,
}

/// Steps in which a job grows.
const STEPS: u32 = 16;

/// The memory that all jobs may have together, and the group that sees to it.
#[derive(Debug)]
pub(super) struct Ceiling {
    group: MemoryGroup,
    /// How much that is.
    pub(super) bytes: u64,
}

impl Ceiling {
    /// A group of this size.
    ///
    /// # Errors
    /// Where there can be none.
    pub(super) fn new(bytes: u64) -> Result<Self, String> {
        let group = MemoryGroup::new()?;
        group.limit(bytes).map_err(|error| format!("cannot limit memory: {error}"))?;
        Ok(Self { group, bytes })
    }

    /// What is in use of it.
    #[must_use]
    pub(super) fn used(&self) -> u64 {
        self.group.used().unwrap_or(0)
    }
}

/// Processes that take a slot, grow, and give it back. One that is killed is counted and replaced.
#[derive(Debug)]
pub(super) struct Hoarders {
    live: Arc<Live>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads that look after the processes share.
#[derive(Debug)]
struct Live {
    socket: PathBuf,
    growth: Growth,
    ceiling: Arc<Ceiling>,
    tally: Arc<Tally>,
    /// By worker; `None` while there is none. Taken away at the end.
    processes: Mutex<Option<Vec<Option<Child>>>>,
}

impl Hoarders {
    /// Starts so many.
    #[must_use]
    pub(super) fn start(
        count: u32,
        socket: &Path,
        growth: Growth,
        ceiling: &Arc<Ceiling>,
        tally: &Arc<Tally>,
    ) -> Self {
        let live = Arc::new(Live {
            socket: socket.to_owned(),
            growth,
            ceiling: Arc::clone(ceiling),
            tally: Arc::clone(tally),
            processes: Mutex::new(Some((0..count).map(|_| None).collect())),
        });
        let look_after = |worker: u32| {
            let live = Arc::clone(&live);
            thread::spawn(move || live.look_after(worker as usize))
        };
        let threads = (0..count).map(look_after).collect();
        Self { live, threads }
    }
}

impl Drop for Hoarders {
    fn drop(&mut self) {
        let processes = self.live.processes.lock().unwrap_or_else(PoisonError::into_inner).take();
        for mut process in processes.into_iter().flatten().flatten() {
            // It may have been killed a moment ago.
            let _ = process.kill();
            let _ = process.wait();
        }
        for thread in self.threads.drain(..) {
            // What went wrong there shows there.
            let _ = thread.join();
        }
    }
}

impl Live {
    /// Counts what one worker does, and replaces it when it was killed, until all are to end.
    fn look_after(&self, worker: usize) {
        for seed in 0.. {
            // Held until the end is certain to see the process.
            let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(place) = processes.as_mut().and_then(|all| all.get_mut(worker)) else {
                return;
            };
            let mut process = self.spawn(worker as u64 + (seed << 32));
            let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
            *place = Some(process);
            drop(processes);
            self.count(stdin, BufReader::new(stdout.expect("its output")));
            let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(place) = processes.as_mut().and_then(|all| all.get_mut(worker)) else {
                return;
            };
            let ended = place.take().expect("it was put there").wait().expect("its end");
            if interrupt::is_asked() {
                return;
            }
            assert!(ended.code().is_none(), "a worker failed: {ended}");
            self.tally.count_killed();
        }
    }

    fn spawn(&self, seed: u64) -> Child {
        let Growth { mib, grows, holds } = self.growth;
        let mut command = Command::new(binaries::workload());
        command.args(["hoard", "--socket"]).arg(&self.socket);
        for (name, value) in [
            ("--least-mib", mib.0),
            ("--most-mib", mib.1),
            ("--grow-ms", ms(grows)),
            ("--hold-ms", ms(holds)),
            ("--seed", seed),
        ] {
            command.arg(name).arg(value.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a worker")
    }

    /// Puts a worker into the group, lets it go, and counts until it ends.
    fn count(&self, stdin: Option<ChildStdin>, mut stdout: BufReader<impl std::io::Read>) {
        let mut stdin = stdin.expect("its input");
        let mut line = String::new();
        // It says who it is, and then how long each job took. One that ends says nothing more.
        while stdout.read_line(&mut line).is_ok_and(|read| read > 0) {
            match line.trim().split_once(' ') {
                Some(("pid", pid)) => {
                    let pid: Pid = pid.parse().expect("a process id");
                    let told = self.ceiling.group.take(pid).and_then(|()| stdin.write_all(b"\n"));
                    told.expect("a worker that waits");
                }
                Some(("job", took)) => {
                    self.tally.count_piece();
                    self.tally.count_job(Duration::from_millis(took.parse().expect("a time")));
                }
                // An agent that ends with us gives no more slots.
                Some(("refused", why)) => assert!(interrupt::is_asked(), "a worker: {why}"),
                _ => panic!("a worker says {line:?}"),
            }
            line.clear();
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a short time")
}

/// What a worker's process does, once it was let go; ends with the process that started it, or where it
/// gets no slot.
pub fn hoard(socket: &Path, growth: Growth, seed: u64) {
    println!("pid {}", std::process::id());
    let mut input = std::io::stdin();
    input.read_exact(&mut [0]).expect("to be let go");
    thread::spawn(move || {
        // Nothing more is said: whoever holds the other end is gone.
        let _ = input.read_exact(&mut [0]);
        std::process::exit(0);
    });
    let (client, mut chance) = (Client::at(socket), Chance::new(seed));
    let request = Request::new(CONNECTOR).this_process();
    loop {
        let lease = match client.acquire(&request) {
            Ok(lease) if lease.is_managed() => lease,
            Ok(_) => return println!("refused the agent is gone"),
            Err(error) => return println!("refused {error}"),
        };
        let begin = Instant::now();
        growth.grow(chance.within(growth.mib) * MIB);
        let took = ms(begin.elapsed());
        if let Err(error) = lease.release(None) {
            return println!("refused {error}");
        }
        println!("job {took}");
    }
}

impl Growth {
    /// One job.
    fn grow(self, bytes: u64) {
        let mut memory = vec![0_u8; usize::try_from(bytes).expect("it fits")];
        let step = memory.len().div_ceil(STEPS as usize);
        for part in memory.chunks_mut(step) {
            for byte in part.iter_mut().step_by(PAGE) {
                *byte = 1;
            }
            thread::sleep(self.grows / STEPS);
        }
        thread::sleep(self.holds);
        std::hint::black_box(&memory);
    }
}
