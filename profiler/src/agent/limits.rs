//! How the host stands, and what follows for limits, levels and advice. Until the controller computes
//! limits they come from a plain rule.

use profiler_client::protocol;

use super::words;
use crate::control::{Advice, AdviceSettings, Backpressure, BackpressureSettings, Plain, plain};
use crate::model::{Bytes, Constraint, HostSample, Level, Moment, ResourceProfile};

/// How the host stands, and what is kept for others.
#[derive(Clone, Debug, Default)]
pub(super) struct HostState {
    /// The latest sample.
    pub(super) sample: HostSample,
    /// Memory that jobs never get.
    pub(super) reserve: Bytes,
    /// The most that all jobs together may hold.
    pub(super) ceiling: Option<Bytes>,
    /// For connectors of which nothing is known.
    pub(super) default_profile: ResourceProfile,
    pub(super) marks: BackpressureSettings,
    pub(super) advice: AdviceSettings,
    pressure: Backpressure,
}

impl HostState {
    pub(super) fn new(sample: HostSample) -> Self {
        Self { sample, ..Self::default() }
    }

    /// Takes in a sample; gives the host's level if it changed.
    pub(super) fn look(&mut self, now: Moment, sample: HostSample) -> Option<Level> {
        self.sample = sample;
        let (cpu, memory) = (self.sample.cpu_share(), self.sample.memory_share());
        let shares = [(cpu, self.marks.cpu), (memory, self.marks.memory)];
        self.pressure.update(now, &self.marks, &shares)
    }

    /// How many jobs of this kind there may be while `in_use` of them run, and what binds that.
    pub(super) fn limit(&self, profile: &ResourceProfile, in_use: u32) -> Plain {
        plain(profile, &self.sample, self.reserve, in_use)
    }

    /// Why the limit is what it is, with the numbers that it was computed from.
    pub(super) fn reasons(&self, profile: &ResourceProfile, in_use: u32) -> Vec<String> {
        let Plain { limit, constraint, halved } = self.limit(profile, in_use);
        let sample = &self.sample;
        let idle = (1.0 - sample.cpu_share()) * sample.cores;
        let free = sample.memory_available.less(self.reserve);
        let mut lines = vec![
            format!("{limit} slots: {} binds", words::constraint(constraint)),
            match profile.max_concurrent_jobs {
                Some(cap) => format!("cap: the profile allows {cap}"),
                None => "cap: the profile has none, and without one 8 is the most".to_owned(),
            },
            format!(
                "cpu: {idle:.2} of {} cores are idle beside {in_use} jobs, and one needs {}",
                sample.cores, profile.avg_cpu_cores
            ),
            format!(
                "memory: {} MiB are free beside {in_use} jobs, and one needs {} MiB",
                free.0 >> 20,
                profile.avg_memory_mb
            ),
        ];
        if halved {
            let threshold = 100.0 * profile.backpressure_threshold;
            lines.push(format!("halved: CPU or memory is more than {threshold:.0} % in use"));
        }
        if constraint == Constraint::Floor {
            lines.push("floor: nothing fits, and one job always may run".to_owned());
        }
        lines
    }

    /// The memory that leases may hold in all, those that hold `reserved` already included.
    pub(super) fn memory_budget(&self, reserved: Bytes) -> Bytes {
        let ceiling = self.ceiling.unwrap_or(Bytes(u64::MAX));
        if self.sample.memory_total == Bytes(0) {
            return ceiling;
        }
        self.sample.memory_available.less(self.reserve).plus(reserved).min(ceiling)
    }

    /// The host's level or, with a profile's threshold, a connector's.
    pub(super) fn level(&self, threshold: Option<f64>) -> Level {
        let Some(threshold) = threshold else { return self.pressure.level() };
        let share = self.sample.cpu_share().max(self.sample.memory_share());
        if share > threshold {
            self.pressure.level().max(Level::High)
        } else {
            self.pressure.level()
        }
    }

    pub(super) fn hint(&self, profile: Option<&ResourceProfile>, jobs: u32) -> protocol::Advice {
        let level = self.level(profile.map(|profile| profile.backpressure_threshold));
        let trim = self.sample.memory_share() > self.marks.memory;
        let advice = Advice::new(&self.advice, &self.sample, level, jobs, trim);
        protocol::Advice {
            level: words::level(advice.level),
            threads: advice.threads,
            chunk_bytes: advice.chunk_bytes.0,
            stream_above_bytes: advice.stream_above_bytes.0,
            trim_memory: advice.trim_memory,
        }
    }
}
