//! Rules on the host's gauges: what is written first when somebody writes a throttle.

use super::{Controller, Observation};
use crate::simulate::plant::{MEBIBYTE, Plant};

/// Above this share of the CPUs or of the memory, these rules hold back: the default threshold of
/// a profile.
const THRESHOLD: f64 = 0.8;
/// Their gauges are read this often.
const INTERVAL_SECONDS: f64 = 1.0;

/// What all connectors of a plant declare that these rules use.
#[derive(Clone, Debug)]
struct Declared {
    cap: Vec<u32>,
    preferred: Vec<u32>,
}

impl Declared {
    fn of(plant: &Plant) -> Self {
        let profiles = || plant.connectors.iter().map(|connector| &connector.profile);
        let cap =
            |most: Option<crate::simulate::plant::Count>| most.map_or(u32::MAX, |most| most.get());
        Self {
            cap: profiles().map(|profile| cap(profile.max_concurrent_jobs)).collect(),
            preferred: profiles()
                .map(|profile| profile.preferred_concurrency.map_or(1, |count| count.get()))
                .collect(),
        }
    }
}

/// Calls once per interval.
#[derive(Clone, Copy, Debug, Default)]
struct Every {
    last: f64,
}

impl Every {
    fn is_due(&mut self, now: f64) -> bool {
        let is_due = now - self.last >= INTERVAL_SECONDS - 1e-9;
        if is_due {
            self.last = now;
        }
        is_due
    }
}

/// How a rule comes down when the host is above the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// By one.
    One,
    /// By half.
    Half,
}

/// One more each second while the host is below the threshold and somebody waits; one less, or half,
/// above it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    down: Down,
    declared: Declared,
    limits: Vec<u32>,
    every: Every,
}

impl Step {
    pub(super) fn new(plant: &Plant, down: Down) -> Self {
        let declared = Declared::of(plant);
        Self { down, limits: declared.preferred.clone(), declared, every: Every::default() }
    }
}

impl Controller for Step {
    fn tick(&mut self, seen: &Observation<'_>) {
        if !self.every.is_due(seen.now) {
            return;
        }
        let is_over = seen.host.cpu_share().max(seen.host.memory_share()) > THRESHOLD;
        for (connector, limit) in self.limits.iter_mut().enumerate() {
            *limit = match (is_over, self.down) {
                (true, Down::One) => limit.saturating_sub(1),
                (true, Down::Half) => *limit / 2,
                (false, _) if seen.waiting[connector] > 0 => *limit + 1,
                (false, _) => *limit,
            }
            .clamp(1, self.declared.cap[connector]);
        }
    }

    fn limits(&self) -> &[u32] {
        &self.limits
    }
}

/// The plain rule: what the profile declares, divided into what is free; half of it above the
/// threshold. It believes the profile.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    declared: Vec<(u32, f64, f64)>,
    limits: Vec<u32>,
    every: Every,
}

impl Plain {
    /// The cap of a profile that has none.
    const CAP: u32 = 8;

    pub(super) fn new(plant: &Plant) -> Self {
        let declared = plant.connectors.iter().map(|connector| {
            let profile = &connector.profile;
            let cap = profile.max_concurrent_jobs.map_or(Self::CAP, |most| most.get());
            (cap, profile.avg_cpu_cores.get(), profile.avg_memory_mb.get() * MEBIBYTE)
        });
        let declared: Vec<_> = declared.collect();
        Self { limits: vec![1; declared.len()], declared, every: Every::default() }
    }
}

impl Controller for Plain {
    #[allow(
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates; it is at least one here"
    )]
    fn tick(&mut self, seen: &Observation<'_>) {
        if !self.every.is_due(seen.now) {
            return;
        }
        let seconds = seen.host.interval.as_secs_f64().max(1e-9);
        let free_cores = seen.host.cores - seen.host.busy.as_secs_f64() / seconds;
        let free_memory = seen.host.memory_available as f64;
        let is_over = seen.host.cpu_share().max(seen.host.memory_share()) > THRESHOLD;
        for (connector, limit) in self.limits.iter_mut().enumerate() {
            let (cap, cores, memory) = self.declared[connector];
            // What runs has its part already; what is free is for more.
            let more = (free_cores / cores).min(free_memory / memory).max(0.0) as u32;
            let full = seen.in_use[connector].saturating_add(more).min(cap);
            *limit = if is_over { full / 2 } else { full }.max(1);
        }
    }

    fn limits(&self) -> &[u32] {
        &self.limits
    }
}
