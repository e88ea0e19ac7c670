//! The life of jobs: asked for, started, from place to place, done or dead.

use super::{Engine, Event, Look, Place, Request, Work, credit};
use crate::simulate::job::Job;
use crate::simulate::plant::Change;
use crate::simulate::sample::FinishedJob;

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
        let request = Request { asked: self.now, again };
        if !self.admission.ask(connector, request) {
            self.figures.turned_away += 1;
        }
    }

    /// Grants whatever may be granted.
    pub(super) fn admit(&mut self) {
        for connector in 0..self.lines.len() {
            while let Some(request) = self.admission.grant(connector) {
                // Waits are for people to read; a tenth of a microsecond more or less is none.
                #[allow(clippy::cast_possible_truncation, reason = "rounds")]
                self.figures.waits[connector].push((self.now - request.asked) as f32);
                self.start(connector, request.again);
            }
        }
    }

    fn start(&mut self, connector: usize, again: Option<Work>) {
        let line = &mut self.lines[connector];
        let written = &self.plant.connectors[connector];
        let work = again.unwrap_or_else(|| {
            let change = line.change.clone().unwrap_or_else(unchanged);
            Work::draw(&written.job, &change, &line.places, &mut line.work)
        });
        self.leases += 1;
        let job = Job::new(self.leases, connector, work, self.now);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        });
        self.jobs[slot] = Some(job);
        if let Some(rate) = written.crash.per_job_hour {
            let seconds = line.crashes.exponential() * 3600.0 / rate.get();
            let event = Event::Crash { slot, lease: self.leases };
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
        let refusal = match stage.place {
            Place::Shared(station) => {
                self.shared[station].refuses(self.stations[station].present())
            }
            Place::Cpu | Place::Wait => None,
        };
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        let Some(job) = self.jobs[slot].as_mut() else { return };
        job.enter(visit, &look);
        let (weight, connector) = (job.weight(stage.place), job.connector);
        if let Some(refusal) = refusal {
            job.is_refused = true;
            self.figures.refused += 1;
            self.calendar
                .plan(self.now + refusal.retry_after_seconds, Event::Wakes { slot, visit });
            if let Some(controller) = &mut self.controller {
                controller.refused(self.now, connector, refusal.retry_after_seconds);
            }
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

    pub(super) fn crash(&mut self, slot: usize, lease: u64) {
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
        self.admission.release(connector);
        self.note_end(&mut job);
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
            self.lines[connector].parked.push_back(Request { asked: self.now, again });
        } else if is_worker || again.is_some() {
            self.ask(connector, again);
        }
    }

    /// What the controller is told of a job that ended.
    fn note_end(&mut self, job: &mut Job) {
        if !self.controller.as_ref().is_some_and(|controller| controller.wants_samples()) {
            return;
        }
        let look = self.look();
        let (total, peak) = (job.counted_now(&look), job.memory(&look).max(job.memory_peak));
        job.memory_peak = peak;
        let sample = super::agent::job_sample(job, &look, 0.0);
        self.seen.ended.push(sample);
        self.seen.finished.push(FinishedJob {
            lease: job.lease,
            connector: job.connector,
            duration: super::agent::duration(total.wall),
            cpu: super::agent::duration(total.cpu),
            memory_peak: super::agent::bytes(peak),
        });
    }
}
