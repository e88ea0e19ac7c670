//! The life of jobs: asked for, started, from place to place, done or dead.

use super::{Engine, Event, Look, Place, Waiting, Work, credit};
use crate::lease::Request;
use crate::model::{Bytes, ConnectorId, FinishedJob, LeaseId};
use crate::simulate::job::Job;
use crate::simulate::plant::Change;

/// The most requests of a connector that wait; more are turned away and counted.
const MOST_WAITING: u32 = 100_000;

/// A connector's number in the ledger.
pub(super) fn id(connector: usize) -> ConnectorId {
    // A plant has a hundred at most.
    ConnectorId(u32::try_from(connector).unwrap_or(u32::MAX))
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Crashed,
    Killed,
}

/// What a phase without a change for a connector makes of its jobs' needs.
fn unchanged() -> Change {
    let one = crate::simulate::plant::Positive::ONE;
    let connector = toml::Spanned::new(0..0, String::new());
    Change { connector, cpu: one, disk: one, request: one, wait: one, memory: one }
}

impl Engine<'_> {
    pub(super) fn look(&self) -> Look<'_> {
        Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations }
    }

    /// Somebody asks for a slot, if there is work at this time.
    pub(super) fn ask(&mut self, connector: usize, again: Option<Work>) {
        if self.lines[connector].waiting >= MOST_WAITING {
            self.figures.turned_away += 1;
            return;
        }
        self.queue(Waiting { connector, asked: self.now, again });
    }

    /// Puts a request into the ledger.
    pub(super) fn queue(&mut self, waiting: Waiting) {
        let request = Request { connector: id(waiting.connector), ..Request::default() };
        let now = self.moment();
        // Its agent has all of the plant's connectors.
        self.has_asked = true;
        if let Some(ticket) = self.agent.request(now, request) {
            self.lines[waiting.connector].waiting += 1;
            self.waiting.insert(ticket, waiting);
        }
    }

    /// Starts the jobs that the ledger has granted a slot.
    pub(super) fn admit(&mut self) {
        let mut granted: Vec<(LeaseId, Waiting)> = Vec::new();
        for grant in self.agent.granted() {
            if let Some(waiting) = self.waiting.remove(&grant.ticket) {
                granted.push((grant.lease, waiting));
            }
        }
        for (lease, waiting) in granted {
            let line = &mut self.lines[waiting.connector];
            line.waiting -= 1;
            line.in_use += 1;
            // Waits are for people to read.
            #[allow(clippy::cast_possible_truncation, reason = "rounds")]
            let waited = (self.now - waiting.asked) as f32;
            self.figures.waits[waiting.connector].push(waited);
            self.start(lease, waiting.connector, waiting.again);
        }
    }

    fn start(&mut self, lease: LeaseId, connector: usize, again: Option<Work>) {
        let line = &mut self.lines[connector];
        let written = &self.plant.connectors[connector];
        let work = again.unwrap_or_else(|| {
            let change = line.change.clone().unwrap_or_else(unchanged);
            Work::draw(&written.job, &change, &line.places, &mut line.work)
        });
        self.last_lease = lease;
        let job = Job::new(lease, connector, work, self.now);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        });
        self.jobs[slot] = Some(job);
        if let Some(rate) = written.crash.per_job_hour {
            let seconds = line.crashes.exponential() * 3600.0 / rate.get();
            let event = Event::Crash { slot, lease };
            self.calendar.plan(self.now + seconds, event);
        }
        self.enter(slot);
    }

    /// The job in `slot` comes to where its next stage is done, or is refused there; or it is done.
    fn enter(&mut self, slot: usize) {
        let Some(stage) = self.jobs[slot].as_ref().and_then(Job::stage) else {
            return self.finish(slot, Ending::Done);
        };
        self.visits += 1;
        let visit = self.visits;
        let refusal = self.refusal(stage.place);
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        let Some(job) = self.jobs[slot].as_mut() else { return };
        job.enter(visit, &look);
        let (weight, connector) = (job.weight(stage.place), job.connector);
        if let Some(retry_after) = refusal {
            job.is_refused = true;
            self.figures.refused += 1;
            self.calendar.plan(self.now + retry_after, Event::Wakes { slot, visit });
            self.report(connector, retry_after);
            return;
        }
        match stage.place {
            Place::Cpu => self.cpus.enter(slot, visit, stage.need, weight),
            Place::Shared(station) => self.stations[station].enter(slot, visit, stage.need, weight),
            Place::Wait => {
                self.calendar.plan(self.now + stage.need, Event::Wakes { slot, visit });
            }
        }
    }

    /// Whether a server lets nobody in, now and for a while.
    fn refusal(&mut self, place: Place) -> Option<f64> {
        let Place::Shared(station) = place else { return None };
        let closed = self.closed_until[station] - self.now;
        if closed > 1e-9 {
            return Some(closed);
        }
        let refusal = self.shared[station].refuses(self.stations[station].present())?;
        self.closed_until[station] = self.now + refusal.retry_after_seconds;
        Some(refusal.retry_after_seconds)
    }

    /// The job goes from where it is, done there or not.
    fn leave(&mut self, slot: usize) {
        let Some(job) = &self.jobs[slot] else { return };
        let Some(stage) = job.stage().filter(|_| !job.is_refused) else { return };
        let weight = job.weight(stage.place);
        match stage.place {
            Place::Cpu => self.cpus.leave(weight),
            Place::Shared(station) => self.stations[station].leave(weight),
            Place::Wait => {}
        }
    }

    pub(super) fn stage_done(&mut self, slot: usize) {
        self.leave(slot);
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        if let Some(job) = self.jobs[slot].as_mut() {
            job.next_stage(&look);
        }
        self.enter(slot);
    }

    pub(super) fn wake(&mut self, slot: usize, visit: u64) {
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        let Some(job) = self.jobs[slot].as_mut().filter(|job| job.visit == visit) else { return };
        if job.is_refused {
            job.try_again(&look);
            self.enter(slot);
        } else {
            self.stage_done(slot);
        }
    }

    pub(super) fn crash(&mut self, slot: usize, lease: LeaseId) {
        if self.jobs[slot].as_ref().is_some_and(|job| job.lease == lease) {
            self.finish(slot, Ending::Crashed);
        }
    }

    pub(super) fn crash_all(&mut self, connector: usize) {
        for slot in 0..self.jobs.len() {
            if self.jobs[slot].as_ref().is_some_and(|job| job.connector == connector) {
                self.finish(slot, Ending::Crashed);
            }
        }
    }

    /// The job ends. What it did counts if it is done, and else it is to be done again.
    pub(super) fn finish(&mut self, slot: usize, ending: Ending) {
        if ending != Ending::Done {
            self.leave(slot);
        }
        let Some(mut job) = self.jobs[slot].take() else { return };
        self.free.push(slot);
        let connector = job.connector;
        self.lines[connector].in_use -= 1;
        let finished = self.note_end(&mut job);
        let now = self.moment();
        self.has_asked = true;
        self.agent.release(now, job.lease, finished.as_ref());
        self.seen.finished.extend(finished);
        match ending {
            Ending::Done => {
                let all = job.work.alone;
                credit(&mut job, all, self.phase, &mut self.figures);
                self.figures.phases[self.phase].jobs[connector] += 1;
            }
            Ending::Crashed => self.figures.crashes += 1,
            Ending::Killed => self.figures.kills += 1,
        }
        if ending != Ending::Done {
            for (phase, seconds) in &job.credited {
                self.figures.phases[*phase].work[connector] -= seconds;
            }
        }
        let again = (ending != Ending::Done).then_some(job.work);
        let is_worker = self.plant.connectors[connector].arrival.backlog().is_some();
        if is_worker && !self.lines[connector].is_busy {
            self.lines[connector].parked.push(again);
        } else if is_worker || again.is_some() {
            self.ask(connector, again);
        }
    }

    /// What the agent is told of a job that ended.
    fn note_end(&mut self, job: &mut Job) -> Option<FinishedJob> {
        if !self.agent.wants_samples() {
            return None;
        }
        let look = self.look();
        let (total, peak) = (job.counted_now(&look), job.memory(&look).max(job.memory_peak));
        job.memory_peak = peak;
        let sample = super::agent::job_sample(job, &look, 0);
        self.seen.ended.push(sample);
        Some(FinishedJob {
            lease: job.lease,
            connector: id(job.connector),
            source: None,
            duration: super::agent::duration(total.wall),
            cpu: Some(super::agent::duration(total.cpu)),
            cpu_cores_peak: None,
            memory_mean: Some(Bytes::from_f64(job.memory_area / total.wall.max(1e-9))),
            memory_peak: Some(Bytes::from_f64(peak)),
            read_bytes: Some(super::agent::whole(total.device_bytes)),
            write_bytes: Some(0),
            net_bytes: Some(super::agent::whole(total.net_bytes)),
            io_operations: None,
        })
    }
}
