//! What the agent does: it looks, tells its controller, and keeps the ledger; or it is away.

use std::time::Duration;

use super::jobs::id;
use super::{Engine, Event, Look};
use crate::model::{
    Bytes, ConnectorId, DeviceSample, GpuSample, HostSample, JobSample, LeaseId, RunQueue,
};
use crate::simulate::controller::{Agent, Fixed, Observation, Ruled};
use crate::simulate::job::Job;
use crate::simulate::plant::MEBIBYTE;

/// Seconds as a duration, to the nanosecond.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::from_nanos(whole(seconds * 1e9))
}

/// Rounded; 0 for what is negative.
#[allow(clippy::cast_sign_loss, reason = "such a cast saturates, which is what is promised")]
pub(super) fn whole(figure: f64) -> u64 {
    figure.round() as u64
}

/// What a job did since this was last asked.
pub(super) fn job_sample(job: &mut Job, look: &Look<'_>, threads: u32) -> JobSample {
    let counted = job.sample(look);
    let memory = job.note_memory(look);
    let managed = counted.run_queue - counted.own - counted.external - counted.throttled;
    JobSample {
        lease: job.lease,
        connector: id(job.connector),
        interval: duration(counted.wall),
        cpu: duration(counted.cpu),
        life: duration(counted.life),
        run_queue: Some(RunQueue {
            total: duration(counted.run_queue),
            managed: duration(managed),
            own: duration(counted.own),
            throttled: duration(counted.throttled),
        }),
        block_wait: Some(duration(counted.block_wait)),
        device_bytes: Some(whole(counted.device_bytes)),
        net_bytes: Some(whole(counted.net_bytes)),
        memory: Some(Bytes::from_f64(memory)),
        memory_peak: Some(Bytes::from_f64(job.memory_peak)),
        threads,
    }
}

impl Engine<'_> {
    /// The agent's look at the host, and what follows from it.
    pub(super) fn tick(&mut self) {
        self.plan_tick();
        if self.now > 0.0 {
            self.observe();
        }
        let limit = |connector: u32| {
            self.agent.ledger().state(ConnectorId(connector)).map_or(1, |state| state.limit)
        };
        self.figures.limits.push((0..).take(self.lines.len()).map(limit).collect());
        self.figures.in_use.push(self.lines.iter().map(|line| line.in_use).collect());
        self.figures.waiting.push(self.lines.iter().map(|line| line.waiting).collect());
    }

    fn observe(&mut self) {
        let host = self.host_sample();
        let mut jobs = std::mem::take(&mut self.seen.ended);
        let finished = std::mem::take(&mut self.seen.finished);
        if self.agent.wants_samples() {
            let look = Look {
                now: self.now,
                cpu: &self.cpus,
                clocks: &self.clocks,
                shared: &self.stations,
            };
            for job in self.jobs.iter_mut().flatten() {
                let threads = job.threads();
                jobs.push(job_sample(job, &look, threads));
            }
        }
        let seen = Observation {
            now: self.moment(),
            host: &host,
            jobs: &jobs,
            finished: &finished,
            waiting: &self.lines.iter().map(|line| line.waiting).collect::<Vec<u32>>(),
            in_use: &self.lines.iter().map(|line| line.in_use).collect::<Vec<u32>>(),
        };
        self.has_asked = true;
        self.agent.look(&seen);
    }

    fn host_sample(&mut self) -> HostSample {
        let interval = self.now - self.seen.at;
        let total = self.plant.host.memory_mb.get() * MEBIBYTE;
        let used = if self.plant.has_memory() { self.memory_used() } else { self.external_memory };
        let stations: Vec<(f64, f64)> = self
            .stations
            .iter()
            .map(|station| (station.served(), station.busy_seconds()))
            .collect();
        let before = |number: usize| self.seen.stations.get(number).copied().unwrap_or_default();
        let share = |number: usize| {
            let busy = stations[number].1 - before(number).1;
            Some((busy / interval.max(1e-9)).clamp(0.0, 1.0))
        };
        let devices = (0..self.plant.disks.len()).map(|number| DeviceSample {
            busy: share(number),
            bytes: Some(whole((stations[number].0 - before(number).0) * MEBIBYTE)),
            operations: None,
        });
        let gpus = self.plant.host.gpus.map_or(0, |count| count.get() as usize);
        let gpus = (0..gpus).map(|_| GpuSample {
            utilisation: share(self.stations.len() - 1),
            ..GpuSample::default()
        });
        let sample = HostSample {
            interval: duration(interval),
            cores: self.cpu.usable(),
            physical_cores: Some(self.cpu.physical()),
            busy: duration(self.clocks.busy - self.seen.clocks.busy),
            memory_total: Bytes::from_f64(total),
            memory_available: Bytes::from_f64(total - used),
            pressure: None,
            devices: devices.collect(),
            gpus: gpus.collect(),
        };
        self.seen.at = self.now;
        self.seen.clocks = self.clocks;
        self.seen.stations = stations;
        sample
    }

    /// A worker tells that a service refused it, if there is somebody to tell.
    pub(super) fn report(&mut self, connector: usize, retry_after_seconds: f64) {
        let knows = self.agent.knows_providers();
        if let Some(provider) = self.lines[connector].provider.filter(|_| knows) {
            self.agent.throttled(self.moment(), provider, duration(retry_after_seconds));
        }
    }

    /// The agent goes away: nobody looks, and workers go by what profiles prefer.
    pub(super) fn agent_goes(&mut self) {
        self.is_away = true;
        let profiles = self.plant.profiles();
        let preferred = profiles.iter().map(|profile| profile.preferred_concurrency).collect();
        let next = LeaseId(self.last_lease.0 + 1);
        self.change_agent(Box::new(Ruled::new(self.plant, next, Fixed::new(preferred))));
        let back = self.now + self.plant.agent.down_seconds.get();
        self.calendar.plan(back, Event::Up);
    }

    /// The agent is back, with a controller that knows nothing.
    pub(super) fn agent_comes(&mut self) {
        if !std::mem::take(&mut self.is_away) {
            return;
        }
        self.change_agent((self.begin)(self.moment(), LeaseId(self.last_lease.0 + 1)));
        self.host_sample();
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        for job in self.jobs.iter_mut().flatten() {
            // What was used while nobody looked is no part of the first interval.
            job.sample(&look);
        }
    }

    /// Another agent, that is told what runs, and who waits.
    fn change_agent(&mut self, agent: Box<dyn Agent>) {
        self.note_escapes();
        self.seen.ended.clear();
        self.seen.finished.clear();
        let now = self.moment();
        let before = std::mem::replace(&mut self.agent, agent);
        for lease in before.ledger().leases() {
            self.agent.restore(now, lease.clone());
        }
        self.queue_again();
    }

    /// Those who waited ask again.
    fn queue_again(&mut self) {
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            self.lines[waiting.connector].waiting -= 1;
            self.queue(waiting);
        }
    }

    /// Counts the grants beyond limits that the ledger counted.
    pub(super) fn note_escapes(&mut self) {
        let escapes = self.agent.ledger().escapes();
        let all = escapes.memory_by_floor + escapes.memory_by_timeout + escapes.slot_by_timeout;
        self.figures.escapes += u32::try_from(all).unwrap_or(u32::MAX);
    }
}
