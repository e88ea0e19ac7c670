//! The workloads: what their jobs do, what is true of them, and which limits are worth trying.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::crew::Crew;
use super::memory::{Ceiling, Growth, Hoarders};
use super::server::{Capacity, Server};
use super::tally::Tally;
use super::work::{Compute, Reads, Requests, STEPS, Work};
use crate::disk::Disk;
use crate::sys;

/// The names, in the order in which they run.
pub(super) const NAMES: [&str; 5] = ["spin", "sleep", "memory", "reads", "requests"];

/// Jobs of one kind.
pub(super) struct Workload {
    /// What it is called.
    pub(super) name: &'static str,
    /// What its jobs do.
    pub(super) about: String,
    /// What is counted.
    pub(super) piece: &'static str,
    /// Cores that a job keeps busy.
    pub(super) cores: f64,
    /// Memory that a job holds at most, on average, in MiB.
    pub(super) memory_mib: f64,
    /// The limits to try.
    pub(super) limits: Vec<u32>,
    /// How much longer than others it has to be watched.
    pub(super) longer: f64,
    /// Those that always want a slot.
    workers: u32,
    hands: Hands,
    /// Not shared with the workers, who may outlast it: what it has is gone with it.
    _disk: Option<Disk>,
}

enum Hands {
    Threads(Arc<dyn Work>),
    Processes(Growth, Arc<Ceiling>),
}

impl Workload {
    /// The workload of this name on a host with so many cores.
    ///
    /// # Errors
    /// What this host lacks for it.
    ///
    /// # Panics
    /// If there is none of this name.
    pub(super) fn prepare(name: &str, cores: u32) -> Result<Self, String> {
        match name {
            "spin" => Ok(spin(cores)),
            "sleep" => Ok(sleep(cores)),
            "memory" => memory(),
            "reads" => reads(),
            "requests" => requests(),
            _ => panic!("no workload is called {name}"),
        }
    }

    /// What all jobs may hold together, if that is bounded.
    #[must_use]
    pub(super) fn ceiling(&self) -> Option<&Ceiling> {
        match &self.hands {
            Hands::Threads(_) => None,
            Hands::Processes(_, ceiling) => Some(ceiling),
        }
    }

    /// How many jobs fit, even if each is as large as any, if memory bounds them.
    #[must_use]
    pub(super) fn fit(&self) -> Option<u32> {
        match &self.hands {
            Hands::Threads(_) => None,
            Hands::Processes(growth, ceiling) => {
                u32::try_from((ceiling.bytes >> 20) / growth.mib.1).ok()
            }
        }
    }

    /// Workers of the agent at this socket.
    #[must_use]
    pub(super) fn crew(&self, socket: &Path, tally: &Arc<Tally>) -> Crew {
        match &self.hands {
            Hands::Threads(work) => Crew::threads(self.workers, socket, work, tally),
            Hands::Processes(growth, ceiling) => {
                Crew::Processes(Hoarders::start(self.workers, socket, *growth, ceiling, tally))
            }
        }
    }
}

/// Each of these for every two cores, without those that are the same.
fn per_two(cores: u32, factors: &[u32]) -> Vec<u32> {
    let limit = |factor: &u32| (cores * factor / 2).max(1);
    let mut limits: Vec<u32> = factors.iter().map(limit).collect();
    limits.dedup();
    limits
}

fn spin(cores: u32) -> Workload {
    let work = Compute { pieces: (12, 28), steps: STEPS, sleep: Duration::ZERO };
    Workload {
        name: "spin",
        about: "jobs that compute, about 100 ms each".to_owned(),
        piece: "5 ms of computing",
        cores: 1.0,
        memory_mib: 1.0,
        limits: per_two(cores, &[1, 2, 3, 4, 6, 12, 24]),
        longer: 1.0,
        workers: (16 * cores).max(32),
        hands: Hands::Threads(Arc::new(work)),
        _disk: None,
    }
}

fn sleep(cores: u32) -> Workload {
    // How long a piece takes here, so that jobs sleep for three quarters of their time on any host.
    let begin = sys::thread_cpu_ns();
    Compute { pieces: (8, 8), steps: STEPS, sleep: Duration::ZERO }.worker(0)(&mut || ());
    let piece = Duration::from_nanos((sys::thread_cpu_ns() - begin) / 8);
    let work = Compute { pieces: (3, 9), steps: STEPS, sleep: 3 * piece };
    Workload {
        name: "sleep",
        about: "jobs that compute for a quarter of their time and sleep for the rest".to_owned(),
        piece: "5 ms of computing",
        cores: 0.25,
        memory_mib: 1.0,
        limits: per_two(cores, &[2, 4, 6, 8, 10, 12, 16, 24]),
        longer: 1.0,
        workers: (16 * cores).max(32),
        hands: Hands::Threads(Arc::new(work)),
        _disk: None,
    }
}

/// What all jobs of `memory` may hold together.
const CEILING_MIB: u64 = 1_536;

fn memory() -> Result<Workload, String> {
    let ceiling = Ceiling::new(CEILING_MIB << 20)?;
    let growth = Growth {
        mib: (150, 250),
        grows: Duration::from_millis(150),
        holds: Duration::from_millis(150),
    };
    Ok(Workload {
        name: "memory",
        about: format!(
            "processes that grow to 150 to 250 MiB, in a control group of {CEILING_MIB} MiB"
        ),
        piece: "job",
        cores: 0.25,
        memory_mib: 200.0,
        limits: vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        longer: 2.0,
        workers: 14,
        hands: Hands::Processes(growth, Arc::new(ceiling)),
        _disk: None,
    })
}

fn reads() -> Result<Workload, String> {
    let disk = Disk::find()?;
    let work = Reads::new(&disk, 256, (200, 600))?;
    Ok(Workload {
        name: "reads",
        about: "jobs that read 64 KiB from anywhere in a file on a disk, past the cache".to_owned(),
        piece: "read",
        cores: 0.5,
        memory_mib: 1.0,
        limits: vec![1, 2, 3, 4, 6, 8, 12, 16, 24],
        longer: 1.0,
        workers: 32,
        hands: Hands::Threads(Arc::new(work)),
        _disk: Some(disk),
    })
}

fn requests() -> Result<Workload, String> {
    let service = Duration::from_millis(20);
    let capacity = Capacity { places: 4, bears: 12, slower: 0.15, service };
    let server = Server::start(capacity).map_err(|error| format!("no loopback: {error}"))?;
    let work = Requests { server, pieces: (3, 8), pause: Duration::from_millis(10) };
    Ok(Workload {
        name: "requests",
        about:
            "jobs that ask a server on loopback, which works on 4 requests at a time and becomes \
                slower from 12 on"
                .to_owned(),
        piece: "request",
        cores: 0.02,
        memory_mib: 1.0,
        limits: vec![1, 2, 3, 4, 6, 8, 12, 16, 24],
        longer: 1.0,
        workers: 32,
        hands: Hands::Threads(Arc::new(work)),
        _disk: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of the first job of each of the thread workloads.
    fn pieces_of_a_job(workload: &Workload) -> u64 {
        let Hands::Threads(work) = &workload.hands else { panic!("it has no threads") };
        let tally = Tally::default();
        work.worker(1)(&mut || tally.count_piece());
        tally.pieces()
    }

    #[test]
    fn each_workload_of_threads_finishes_a_job_and_counts_its_pieces() {
        let within = [("spin", 12..=28), ("sleep", 3..=9), ("requests", 3..=8)];
        for (name, expected) in within {
            let workload = Workload::prepare(name, 2).expect("nothing special is needed");
            let pieces = pieces_of_a_job(&workload);
            assert!(expected.contains(&pieces), "{name}: {pieces}");
        }
    }

    #[test]
    fn reads_come_from_a_disk() {
        let workload = match Workload::prepare("reads", 2) {
            Ok(workload) => workload,
            Err(why) => crate::skip!("{why}"),
        };
        assert!((200..=600).contains(&pieces_of_a_job(&workload)));
    }

    #[test]
    fn limits_to_try_rise_and_leave_some_workers_waiting() {
        for name in NAMES {
            for cores in [1, 2, 16] {
                let Ok(workload) = Workload::prepare(name, cores) else { continue };
                assert!(
                    workload.limits.is_sorted_by(|a, b| a < b),
                    "{name}: {:?}",
                    workload.limits
                );
                assert!(workload.limits.last() < Some(&workload.workers), "{name} on {cores}");
            }
        }
    }
}
