//! What a job did since it was last looked at, as the controller is told.

use std::time::Duration;

use profiler_common::{Held, Spent};

use super::job::{Job, Members};
use crate::kernel::{JobSnapshot, LiveTask};
use crate::model::{Bytes, FinishedJob, JobSample, Known, Moment, RunQueue, SourceId, Usage};

/// Jobs that may end between two looks and still be told of one by one.
const MOST_ENDED: usize = 65_536;

/// Where a job stood when it was last looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) at: Moment,
    pub(super) spent: Spent,
}

/// The most CPUs that a job had in use at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuPeak {
    from: Moment,
    cpu_ns: u64,
    cores: Option<f64>,
}

impl CpuPeak {
    /// The shortest time that tells how many CPUs are in use: the clock and the figures are not read at
    /// the same moment, and a job that ends right after a look would else have used any number of them.
    const SHORTEST: Duration = Duration::from_millis(100);

    pub(super) const fn new(from: Moment, cpu_ns: u64) -> Self {
        Self { from, cpu_ns, cores: None }
    }

    /// Takes in how much CPU time the job had spent at a moment.
    fn look(&mut self, now: Moment, cpu_ns: u64) {
        let interval = now.since(self.from);
        if interval < Self::SHORTEST {
            return;
        }
        let cores = cpu_ns.saturating_sub(self.cpu_ns) as f64 / interval.as_nanos() as f64;
        let cores = self.cores.map_or(cores, |peak| peak.max(cores));
        *self = Self { from: now, cpu_ns, cores: Some(cores) };
    }

    /// As far as it is known; else over all of a job's life.
    pub(super) fn or_mean(&self, usage: &Usage) -> Option<f64> {
        let mean = || Some(usage.cpu_ns? as f64 / usage.wall_ns.filter(|wall| *wall > 0)? as f64);
        self.cores.or_else(mean)
    }
}

/// Samples of jobs that ended since the last look.
#[derive(Debug, Default)]
pub(super) struct EndedSamples {
    samples: Vec<JobSample>,
    /// Of how many more nothing is told: what they used counts as others'.
    pub(super) left_out: u64,
}

impl EndedSamples {
    pub(super) fn push(&mut self, sample: JobSample) {
        if self.samples.len() < MOST_ENDED {
            self.samples.push(sample);
        } else {
            self.left_out += 1;
        }
    }

    /// Gives what there is, with room for the jobs that run.
    pub(super) fn take(&mut self, running: usize) -> Vec<JobSample> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.reserve(running);
        samples
    }
}

/// What all tasks of a job spent, those that live included.
pub(super) fn spent(snapshot: &JobSnapshot, live: &[LiveTask]) -> Spent {
    let mut spent = snapshot.ended;
    live.iter().for_each(|task| spent.add(&task.spent));
    spent
}

impl Job {
    /// What it did since the last look, and from now on this is the last look. Nothing if figures went
    /// back: then a task is missing that ended while they were read, and the next look has it all.
    pub(super) fn sample(
        &mut self,
        now: Moment,
        spent: &Spent,
        held: &Held,
        threads: u64,
        known: &Known,
    ) -> Option<JobSample> {
        let Seen { at, spent: before } = self.seen;
        let interval = now.since(at);
        let cpu_ns = spent.counters.cpu_ns.checked_sub(before.counters.cpu_ns)?;
        let life_ns = spent.life_ns.checked_sub(before.life_ns)?;
        if !interval.is_zero() {
            self.cpu_cores = Some(cpu_ns as f64 / interval.as_nanos() as f64);
        }
        self.cpu_peak.look(now, spent.counters.cpu_ns);
        self.seen = Seen { at: now, spent: *spent };
        // Who is to blame for a wait is settled when it ends, and may be another than it seemed.
        let grown = |figure: fn(&Spent) -> u64| figure(spent).saturating_sub(figure(&before));
        let time = |figure| Duration::from_nanos(grown(figure));
        let run_queue = RunQueue {
            total: time(|spent| spent.counters.run_queue_ns),
            managed: time(|spent| spent.observed.run_queue_managed_ns),
            own: time(|spent| spent.observed.run_queue_self_ns),
            throttled: time(|spent| spent.observed.run_queue_throttled_ns),
        };
        let device = grown(|spent| spent.observed.device_read_bytes)
            .saturating_add(grown(|spent| spent.observed.device_write_bytes));
        let net = grown(|spent| spent.observed.net_rx_bytes)
            .saturating_add(grown(|spent| spent.observed.net_tx_bytes));
        // Threads of one process share its memory: there is no part that is this job's.
        let page =
            known.memory_page_bytes.filter(|_| !matches!(self.members, Members::Thread { .. }));
        let bytes = |pages: u64| page.map(|page| Bytes(pages.saturating_mul(page)));
        Some(JobSample {
            lease: self.lease,
            connector: self.connector,
            interval,
            cpu: Duration::from_nanos(cpu_ns),
            life: Duration::from_nanos(life_ns),
            run_queue: known.run_queue.then_some(run_queue),
            block_wait: known.block_wait.then(|| time(|spent| spent.observed.block_wait_ns)),
            device_bytes: known.block.then_some(device),
            net_bytes: known.net.then_some(net),
            memory: bytes(held.pages_now()),
            memory_peak: bytes(held.peak_pages),
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
        })
    }

    /// What it was in all.
    pub(super) fn finished(&self, usage: &Usage, source: Option<SourceId>) -> FinishedJob {
        let sum = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        FinishedJob {
            lease: self.lease,
            connector: self.connector,
            source,
            duration: wall(usage),
            cpu: usage.cpu_ns.map(Duration::from_nanos),
            cpu_cores_peak: self.cpu_peak.or_mean(usage),
            memory_mean: usage.memory_mean_bytes.map(Bytes),
            memory_peak: usage.memory_peak_bytes.map(Bytes),
            read_bytes: usage.device_read_bytes,
            write_bytes: usage.device_write_bytes,
            net_bytes: sum(usage.net_rx_bytes, usage.net_tx_bytes),
            io_operations: sum(usage.device_read_ops, usage.device_write_ops),
        }
    }
}

/// From grant to release.
pub(super) fn wall(usage: &Usage) -> Duration {
    Duration::from_nanos(usage.wall_ns.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Source;

    const MS: u64 = 1_000_000;

    fn peak(looks: &[(u64, u64)]) -> Option<f64> {
        let mut peak = CpuPeak::new(Moment(0), 0);
        looks.iter().for_each(|(at, cpu)| peak.look(Moment(at * MS), cpu * MS));
        peak.cores
    }

    #[test]
    fn the_busiest_time_between_two_looks_is_the_peak() {
        assert_eq!(peak(&[(1_000, 500), (2_000, 2_500), (3_000, 2_600)]), Some(2.0));
    }

    #[test]
    fn an_end_right_after_a_look_tells_no_peak() {
        assert_eq!(peak(&[(1_000, 500), (1_001, 508)]), Some(0.5));
        assert_eq!(peak(&[(60, 60), (90, 90), (120, 120)]), Some(1.0), "short looks add up");
    }

    #[test]
    fn a_job_shorter_than_that_had_its_mean() {
        let usage = Usage { cpu_ns: Some(10), wall_ns: Some(40), ..Usage::unknown(Source::Ebpf) };
        assert_eq!(CpuPeak::new(Moment(0), 0).or_mean(&usage), Some(0.25));
    }
}
