//! A job: what it needs, drawn once; how far it is; what the kernel would report of it.

use crate::model::LeaseId;
use crate::simulate::host::{Clocks, Station};
use crate::simulate::plant::{self, Change, MEBIBYTE};
use crate::simulate::random::Random;

/// Where a part of a job's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the CPUs.
    Cpu,
    /// At this one of the shared stations.
    Shared(usize),
    /// Nowhere: time has to pass.
    Wait,
}

/// What kind of waiting the kernel sees while a job is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Block I/O.
    Block,
    /// Requests over the network.
    Network,
    /// Anything else.
    Other,
}

/// A part of a job's work.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Where it is done.
    pub place: Place,
    /// How much there is to do, in the place's own unit, for each thread.
    pub need: f64,
    /// Seconds that it takes a job that is alone.
    pub alone: f64,
    /// As what it shows while it waits.
    pub account: Account,
}

/// What a job needs.
#[derive(Clone, Debug)]
pub struct Work {
    /// Its parts, in order.
    pub stages: Vec<Stage>,
    /// Seconds that it takes alone.
    pub alone: f64,
    /// Threads.
    pub threads: f64,
    /// Memory at its highest, in bytes.
    pub memory: f64,
    memory_start: f64,
    memory_ramp: f64,
}

/// The places that a connector's jobs use, and how fast each serves one alone.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// CPUs as the kernel counts them.
    pub cpus: f64,
    /// Station of the GPUs and its speed for one.
    pub gpu: (usize, f64),
    /// Station of the disk and its speed for one.
    pub disk: (usize, f64),
    /// Station of the server and its speed for one.
    pub server: (usize, f64),
}

impl Work {
    /// Draws what the next job of a connector needs. What is drawn does not depend on the phase, so
    /// the n-th job is the same one under every controller, but for its phase's factors.
    pub fn draw(job: &plant::Job, change: &Change, places: &Places, random: &mut Random) -> Self {
        let rounds = job.rounds.get() as usize;
        let threads = job.threads.float();
        let cpu = job.cpu_seconds.draw(random) * change.cpu.get();
        let gpu = job.gpu_seconds.draw(random);
        let disk = job.disk_mb.draw(random) * change.disk.get();
        let request = job.request_seconds.draw(random) * change.request.get();
        let wait = job.wait_seconds.draw(random) * change.wait.get();
        let memory = job.memory_mb.draw(random) * change.memory.get() * MEBIBYTE;
        let parts = [
            (Place::Cpu, cpu / threads, (threads / places.cpus).max(1.0), Account::Other),
            (Place::Shared(places.gpu.0), gpu, 1.0 / places.gpu.1, Account::Other),
            (Place::Shared(places.disk.0), disk, 1.0 / places.disk.1, Account::Block),
            (Place::Shared(places.server.0), request, 1.0 / places.server.1, Account::Network),
            (Place::Wait, wait, 1.0, Account::Other),
        ];
        let splits =
            parts.map(|(_, need, ..)| if need > 0.0 { split(rounds, random) } else { Vec::new() });
        let mut stages = Vec::new();
        for round in 0..rounds {
            for ((place, need, seconds, account), split) in parts.iter().zip(&splits) {
                let Some(share) = split.get(round) else { continue };
                let need = need * share;
                let alone = need * seconds;
                stages.push(Stage { place: *place, need, alone, account: *account });
            }
        }
        let alone = stages.iter().map(|stage| stage.alone).sum();
        Self {
            stages,
            alone,
            threads,
            memory,
            memory_start: job.memory_start.get(),
            memory_ramp: job.memory_ramp.get(),
        }
    }

    /// What the job holds when so much of its time alone is done.
    #[must_use]
    pub fn memory_at(&self, done: f64) -> f64 {
        let ramp = self.alone * self.memory_ramp;
        let grown = if ramp > 0.0 { (done / ramp).min(1.0) } else { 1.0 };
        self.memory * (self.memory_start + (1.0 - self.memory_start) * grown)
    }
}

/// Parts of 1, at random: what is left between uniform cuts.
fn split(parts: usize, random: &mut Random) -> Vec<f64> {
    if parts == 1 {
        return vec![1.0];
    }
    let weights: Vec<f64> = (0..parts).map(|_| random.exponential()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// What the kernel would have counted of a job since it began, in seconds and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Its age.
    pub wall: f64,
    /// Wall time of each thread, added up.
    pub life: f64,
    /// On CPU.
    pub cpu: f64,
    /// In the run queue.
    pub run_queue: f64,
    /// Of that, behind the job's own threads.
    pub own: f64,
    /// Of that, behind something external.
    pub external: f64,
    /// Of that, because a quota was used up.
    pub throttled: f64,
    /// Waiting for block I/O.
    pub block_wait: f64,
    /// Anything else.
    pub other_wait: f64,
    /// Bytes from and to disks.
    pub device_bytes: f64,
    /// Bytes from and to other hosts.
    pub net_bytes: f64,
}

/// A job that runs.
#[derive(Clone, Debug)]
pub struct Job {
    /// No two have the same.
    pub lease: LeaseId,
    /// Of which connector.
    pub connector: usize,
    /// What it needs.
    pub work: Work,
    /// When it got its slot.
    pub started: f64,
    /// Which visit to a place this is; no two are alike.
    pub visit: u64,
    /// Whether it stays away from a server that refused it.
    pub is_refused: bool,
    /// Work that is already credited to a phase: phase and seconds.
    pub credited: Vec<(usize, f64)>,
    /// Its memory at the last look, in bytes.
    pub memory_peak: f64,
    /// Its memory times seconds, up to the last look.
    pub memory_area: f64,
    /// When it was last looked at.
    pub looked: f64,
    stage: usize,
    done_before: f64,
    entered: Entered,
    counted: Counted,
    sampled: Counted,
}

/// The clocks when the job came to where it is.
#[derive(Clone, Copy, Debug, Default)]
struct Entered {
    at: f64,
    attained: f64,
    clocks: Clocks,
}

/// What a look at a job needs of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Virtual seconds.
    pub now: f64,
    /// The CPUs' station.
    pub cpu: &'a Station,
    /// The CPUs' clocks.
    pub clocks: &'a Clocks,
    /// The other stations.
    pub shared: &'a [Station],
}

/// Bytes that a second of requests moves: a network job's rate is what its controller can see.
const NET_BYTES_PER_SECOND: f64 = MEBIBYTE;

impl Job {
    /// A job that has just got its slot.
    #[must_use]
    pub fn new(lease: LeaseId, connector: usize, work: Work, now: f64) -> Self {
        Self {
            lease,
            connector,
            memory_peak: work.memory_at(0.0),
            work,
            started: now,
            visit: 0,
            is_refused: false,
            credited: Vec::new(),
            memory_area: 0.0,
            looked: now,
            stage: 0,
            done_before: 0.0,
            entered: Entered::default(),
            counted: Counted::default(),
            sampled: Counted::default(),
        }
    }

    /// What it is doing, unless it is done.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        self.work.stages.get(self.stage).copied()
    }

    /// Threads that it has at a place.
    #[must_use]
    pub fn weight(&self, place: Place) -> f64 {
        if place == Place::Cpu { self.work.threads } else { 1.0 }
    }

    /// The job comes to where its stage is done, or to wait before it is let in.
    pub fn enter(&mut self, visit: u64, look: &Look<'_>) {
        self.visit = visit;
        let attained = match self.stage().map(|stage| stage.place) {
            Some(Place::Cpu) => look.cpu.attained(),
            Some(Place::Shared(station)) => look.shared[station].attained(),
            Some(Place::Wait) | None => 0.0,
        };
        self.entered = Entered { at: look.now, attained, clocks: *look.clocks };
    }

    /// The job's stage is done.
    pub fn next_stage(&mut self, look: &Look<'_>) {
        self.counted = self.counted_now(look);
        if let Some(stage) = self.stage() {
            self.done_before += stage.alone;
        }
        self.stage += 1;
    }

    /// A refused job may try again.
    pub fn try_again(&mut self, look: &Look<'_>) {
        self.counted = self.counted_now(look);
        self.is_refused = false;
    }

    /// The part of its stage that is done, from 0 to 1.
    fn part(&self, stage: Stage, look: &Look<'_>) -> f64 {
        if self.is_refused || stage.need <= 0.0 {
            return 0.0;
        }
        let got = match stage.place {
            Place::Cpu => look.cpu.attained() - self.entered.attained,
            Place::Shared(station) => look.shared[station].attained() - self.entered.attained,
            Place::Wait => look.now - self.entered.at,
        };
        (got / stage.need).clamp(0.0, 1.0)
    }

    /// Seconds of its time alone that are done.
    #[must_use]
    pub fn done(&self, look: &Look<'_>) -> f64 {
        let within = self.stage().map_or(0.0, |stage| stage.alone * self.part(stage, look));
        self.done_before + within
    }

    /// What it holds now, in bytes.
    #[must_use]
    pub fn memory(&self, look: &Look<'_>) -> f64 {
        self.work.memory_at(self.done(look))
    }

    /// What the kernel has counted of it by now.
    #[must_use]
    pub fn counted_now(&self, look: &Look<'_>) -> Counted {
        let mut counted = self.counted;
        let Some(stage) = self.stage() else { return counted };
        let passed = look.now - self.entered.at;
        let (threads, from, to) = (self.work.threads, &self.entered.clocks, look.clocks);
        counted.wall += passed;
        counted.life += passed * threads;
        if stage.place == Place::Cpu {
            counted.cpu += threads * (to.run - from.run);
            counted.run_queue += threads * (to.wait - from.wait);
            counted.own += threads * (threads - 1.0) * (to.wait_for_each - from.wait_for_each);
            counted.external += threads * (to.wait_external - from.wait_external);
            counted.throttled += threads * (to.wait_throttled - from.wait_throttled);
            return counted;
        }
        let part = self.part(stage, look);
        // One thread waits for the device or the server, the others for that one.
        match stage.account {
            Account::Block => {
                counted.block_wait += passed;
                counted.other_wait += passed * (threads - 1.0);
                counted.device_bytes += part * stage.need * MEBIBYTE;
            }
            Account::Network => {
                counted.other_wait += passed * threads;
                counted.net_bytes += part * stage.alone * NET_BYTES_PER_SECOND;
            }
            Account::Other => counted.other_wait += passed * threads,
        }
        counted
    }

    /// Looks at its memory: what it holds now, in bytes.
    pub fn note_memory(&mut self, look: &Look<'_>) -> f64 {
        let memory = self.memory(look);
        self.memory_area += memory * (look.now - self.looked);
        self.looked = look.now;
        self.memory_peak = self.memory_peak.max(memory);
        memory
    }

    /// Its threads, as a count.
    #[must_use]
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "made of a count")]
    pub fn threads(&self) -> u32 {
        self.work.threads as u32
    }

    /// What was counted since this was last asked.
    pub fn sample(&mut self, look: &Look<'_>) -> Counted {
        let now = self.counted_now(look);
        let before = std::mem::replace(&mut self.sampled, now);
        now.since(&before)
    }
}

impl Counted {
    fn since(&self, before: &Self) -> Self {
        Self {
            wall: self.wall - before.wall,
            life: self.life - before.life,
            cpu: self.cpu - before.cpu,
            run_queue: self.run_queue - before.run_queue,
            own: self.own - before.own,
            external: self.external - before.external,
            throttled: self.throttled - before.throttled,
            block_wait: self.block_wait - before.block_wait,
            other_wait: self.other_wait - before.other_wait,
            device_bytes: self.device_bytes - before.device_bytes,
            net_bytes: self.net_bytes - before.net_bytes,
        }
    }
}
