//! What the agent does: it looks, tells its controller, and sets the limits; or it is away.

use std::time::Duration;

use super::{Engine, Event, Look};
use crate::simulate::controller::Observation;
use crate::simulate::job::Job;
use crate::simulate::plant::MEBIBYTE;
use crate::simulate::sample::{HostSample, JobSample, RunQueue};

/// Seconds as a duration, to the nanosecond.
pub(super) fn duration(seconds: f64) -> Duration {
    #[allow(clippy::cast_sign_loss, reason = "rounded, and a cast of a float saturates at 0")]
    Duration::from_nanos((seconds * 1e9).round() as u64)
}

/// Bytes, whole.
pub(super) fn bytes(bytes: f64) -> u64 {
    #[allow(clippy::cast_sign_loss, reason = "rounded, and a cast of a float saturates at 0")]
    let whole = bytes.round() as u64;
    whole
}

/// What a job did since this was last asked.
pub(super) fn job_sample(job: &mut Job, look: &Look<'_>, threads: f64) -> JobSample {
    let counted = job.sample(look);
    let memory = job.memory(look);
    job.memory_peak = job.memory_peak.max(memory);
    let managed = counted.run_queue - counted.own - counted.external - counted.throttled;
    JobSample {
        lease: job.lease,
        connector: job.connector,
        interval: duration(counted.wall),
        cpu: duration(counted.cpu),
        life: duration(counted.life),
        run_queue: RunQueue {
            total: duration(counted.run_queue),
            managed: duration(managed),
            own: duration(counted.own),
            throttled: duration(counted.throttled),
        },
        block_wait: duration(counted.block_wait),
        device_bytes: bytes(counted.device_bytes),
        net_bytes: bytes(counted.net_bytes),
        memory: bytes(memory),
        memory_peak: bytes(job.memory_peak),
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a count")]
        threads: threads as u32,
    }
}

impl Engine<'_> {
    /// The agent's look at the host, and what follows from it.
    pub(super) fn tick(&mut self) {
        self.plan_tick();
        if let Some(mut controller) = self.controller.take() {
            if self.now > 0.0 {
                self.observe(controller.as_mut());
            }
            let limits = controller.limits();
            self.admission.set_limits(limits);
            self.controller = Some(controller);
        }
        self.figures.limits.push(self.admission.limits().to_vec());
        self.figures.in_use.push(self.admission.in_use().to_vec());
    }

    fn observe(&mut self, controller: &mut dyn crate::simulate::controller::Controller) {
        let host = self.host_sample();
        let mut jobs = std::mem::take(&mut self.seen.ended);
        let finished = std::mem::take(&mut self.seen.finished);
        if controller.wants_samples() {
            let look = Look {
                now: self.now,
                cpu: &self.cpus,
                clocks: &self.clocks,
                shared: &self.stations,
            };
            for job in self.jobs.iter_mut().flatten() {
                let threads = job.work.threads;
                jobs.push(job_sample(job, &look, threads));
            }
        }
        let waiting = |connector| u32::try_from(self.admission.waiting(connector));
        let waiting: Vec<u32> =
            (0..self.lines.len()).map(|connector| waiting(connector).unwrap_or(u32::MAX)).collect();
        controller.tick(&Observation {
            now: self.now,
            host: &host,
            jobs: &jobs,
            finished: &finished,
            waiting: &waiting,
            in_use: self.admission.in_use(),
        });
    }

    fn host_sample(&mut self) -> HostSample {
        let total = self.plant.host.memory_mb.get() * MEBIBYTE;
        let used = if self.plant.has_memory() { self.memory_used() } else { self.external_memory };
        let sample = HostSample {
            interval: duration(self.now - self.seen.at),
            cores: self.cpu.usable(),
            busy: duration(self.clocks.busy - self.seen.clocks.busy),
            memory_total: bytes(total),
            memory_available: bytes((total - used).max(0.0)),
        };
        self.seen.at = self.now;
        self.seen.clocks = self.clocks;
        sample
    }

    /// The agent goes away: nobody looks, and workers go by what profiles prefer.
    pub(super) fn agent_goes(&mut self) {
        self.controller = None;
        self.seen.ended.clear();
        self.seen.finished.clear();
        let preferred = self.plant.connectors.iter().map(|connector| {
            connector.profile.preferred_concurrency.map_or(1, |preferred| preferred.get())
        });
        self.admission.set_limits(&preferred.collect::<Vec<u32>>());
        let back = self.now + self.plant.agent.down_seconds.get();
        self.calendar.plan(back, Event::Up);
    }

    /// The agent is back, with a controller that knows nothing.
    pub(super) fn agent_comes(&mut self) {
        if self.controller.is_some() {
            return;
        }
        self.controller = Some((self.build)());
        self.host_sample();
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        for job in self.jobs.iter_mut().flatten() {
            // What was used while nobody looked is no part of the first interval.
            job.sample(&look);
        }
    }
}
