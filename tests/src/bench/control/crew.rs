//! Workers that always want a slot, so that as many jobs run as may.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use profiler_client::{Client, Request};

use super::CONNECTOR;
use super::interrupt;
use super::memory::Hoarders;
use super::tally::Tally;
use super::work::Work;

/// Workers of one agent.
#[derive(Debug)]
pub(super) enum Crew {
    /// Threads of this process.
    Threads(Vec<JoinHandle<()>>),
    /// Processes.
    Processes(Hoarders),
}

impl Crew {
    /// So many threads, each with jobs of its own.
    #[must_use]
    pub(super) fn threads(
        count: u32,
        socket: &Path,
        work: &Arc<dyn Work>,
        tally: &Arc<Tally>,
    ) -> Self {
        let client = Client::at(socket);
        let start = |seed: u32| {
            let (client, work, tally) = (client.clone(), Arc::clone(work), Arc::clone(tally));
            thread::spawn(move || labour(&client, work.as_ref(), u64::from(seed), &tally))
        };
        Self::Threads((0..count).map(start).collect())
    }

    /// Waits until all have ended. They do so when they get a slot although it is over.
    pub(super) fn end(self) {
        match self {
            Self::Threads(threads) => {
                for thread in threads {
                    thread.join().expect("a worker");
                }
            }
            Self::Processes(processes) => drop(processes),
        }
    }
}

/// Takes a slot, does a job, and gives the slot back, until it is over.
fn labour(client: &Client, work: &dyn Work, seed: u64, tally: &Tally) {
    let mut job = work.worker(seed);
    let request = Request::new(CONNECTOR).this_thread();
    while !tally.is_over() {
        let lease = client.acquire(&request);
        if tally.is_over() || interrupt::is_asked() {
            return;
        }
        let lease = lease.expect("a slot");
        assert!(lease.is_managed(), "the agent is gone");
        let begin = Instant::now();
        job(&mut || tally.count_piece());
        let took = begin.elapsed();
        let released = lease.release(None);
        if interrupt::is_asked() {
            return;
        }
        released.expect("it is ours");
        tally.count_job(took);
    }
}
