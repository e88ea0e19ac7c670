//! Rules on the host's gauges: what is written first when somebody writes a throttle.

use super::{Controller, Observation, set_limits};
use crate::control::plain;
use crate::lease::Ledger;
use crate::model::{Bytes, ResourceProfile};
use crate::simulate::plant::{MEBIBYTE, Plant};

/// Above this share of the CPUs or of the memory, these rules hold back: the default threshold of
/// a profile.
const THRESHOLD: f64 = 0.8;

/// Calls once per interval; a second if nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Every {
    seconds: f64,
    last: f64,
}

impl Every {
    pub(super) const SECOND: Self = Self::seconds(1.0);

    pub(super) const fn seconds(seconds: f64) -> Self {
        Self { seconds, last: 0.0 }
    }

    pub(super) fn is_due(&mut self, now: f64) -> bool {
        // After a restart the clock has gone on without us.
        let is_due = now - self.last >= self.seconds - 1e-6;
        if is_due {
            self.last = now;
        }
        is_due
    }
}

/// The caps of a plant's profiles.
pub(super) fn caps(profiles: &[ResourceProfile]) -> Vec<u32> {
    profiles.iter().map(|profile| profile.max_concurrent_jobs.unwrap_or(u32::MAX)).collect()
}

/// The preferred concurrencies of a plant's profiles.
pub(super) fn preferred(profiles: &[ResourceProfile]) -> Vec<u32> {
    profiles.iter().map(|profile| profile.preferred_concurrency).collect()
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
    caps: Vec<u32>,
    limits: Vec<u32>,
    every: Every,
}

impl Step {
    pub(super) fn new(plant: &Plant, down: Down) -> Self {
        let profiles = plant.profiles();
        Self { down, limits: preferred(&profiles), caps: caps(&profiles), every: Every::SECOND }
    }
}

impl Controller for Step {
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &self.limits);
    }

    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger) {
        if !self.every.is_due(seen.seconds()) {
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
            .clamp(1, self.caps[connector]);
        }
        set_limits(ledger, &self.limits);
    }
}

/// The plain rule, which the agent falls back to: what the profile declares, divided into what is
/// free; half of it above the threshold. It believes the profile.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    profiles: Vec<ResourceProfile>,
    reserve: Bytes,
    every: Every,
}

impl Plain {
    pub(super) fn new(plant: &Plant) -> Self {
        let reserve = Bytes::from_f64(plant.host.reserve_mb.get() * MEBIBYTE);
        Self { profiles: plant.profiles(), reserve, every: Every::SECOND }
    }
}

impl Controller for Plain {
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &preferred(&self.profiles));
    }

    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger) {
        if !self.every.is_due(seen.seconds()) {
            return;
        }
        let limits = self
            .profiles
            .iter()
            .zip(seen.in_use)
            .map(|(profile, running)| plain(profile, seen.host, self.reserve, *running).limit);
        set_limits(ledger, &limits.collect::<Vec<u32>>());
    }
}
