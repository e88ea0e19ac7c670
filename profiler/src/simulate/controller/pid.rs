//! PID on the host's utilisation, as the resource-based slot supplier of Temporal's SDKs.

use super::thresholds::{Every, caps};
use super::{Controller, Observation, set_limits};
use crate::lease::Ledger;
use crate::simulate::plant::Plant;

/// A discrete PID controller with the proportional, integral and derivative parts clamped to 100
/// each, as the Rust crate `pid` that the SDK uses.
#[derive(Clone, Debug)]
struct Pid {
    p: f64,
    i: f64,
    d: f64,
    target: f64,
    sum: f64,
    last: Option<f64>,
}

impl Pid {
    const BOUND: f64 = 100.0;

    const fn new(target: f64, p: f64, i: f64, d: f64) -> Self {
        Self { p, i, d, target, sum: 0.0, last: None }
    }

    fn output(&mut self, measured: f64) -> f64 {
        let error = self.target - measured;
        let part = |value: f64| value.clamp(-Self::BOUND, Self::BOUND);
        self.sum = part(self.sum + self.i * error);
        // On the measurement, so that a new target makes no jump.
        let derivative = part(-self.d * (measured - self.last.unwrap_or(measured)));
        self.last = Some(measured);
        part(part(self.p * error) + self.sum + derivative)
    }
}

/// Temporal's constants: `ResourceBasedTunerOptions` and `PidControllers` of `temporal-sdk-core`,
/// `resource_based.rs` (2024): memory p 5, i 0, d 1, output above 0.25; CPU p 5, i 0, d 1, output
/// above 0.05; targets 0.8 and 0.9 as their documentation's example; 50 ms between slots
/// (`ramp_throttle` of activities). A slot is given if both outputs are above their thresholds.
#[derive(Clone, Debug)]
pub(super) struct Temporal {
    cpu: Pid,
    memory: Pid,
    caps: Vec<u32>,
    limits: Vec<u32>,
    every: Every,
}

impl Temporal {
    const CPU_TARGET: f64 = 0.9;
    const MEMORY_TARGET: f64 = 0.8;
    const CPU_OUTPUT: f64 = 0.05;
    const MEMORY_OUTPUT: f64 = 0.25;
    /// The host's gauges are refreshed this often (`SysInfoMem`, 100 ms); we have them each tick.
    const INTERVAL_SECONDS: f64 = 0.25;
    /// Slots that the throttle of 50 ms lets through in that time.
    const SLOTS: u32 = 5;

    pub(super) fn new(plant: &Plant) -> Self {
        let profiles = plant.profiles();
        Self {
            cpu: Pid::new(Self::CPU_TARGET, 5.0, 0.0, 1.0),
            memory: Pid::new(Self::MEMORY_TARGET, 5.0, 0.0, 1.0),
            limits: vec![1; profiles.len()],
            caps: caps(&profiles),
            every: Every::seconds(Self::INTERVAL_SECONDS),
        }
    }
}

impl Controller for Temporal {
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &self.limits);
    }

    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger) {
        if !self.every.is_due(seen.seconds()) {
            return;
        }
        let cpu = self.cpu.output(seen.host.cpu_share()) > Self::CPU_OUTPUT;
        let memory = self.memory.output(seen.host.memory_share()) > Self::MEMORY_OUTPUT;
        for (connector, limit) in self.limits.iter_mut().enumerate() {
            // It has no limit of its own: it gives a slot or it does not.
            let more = if cpu && memory { Self::SLOTS } else { 0 };
            let wanted = seen.in_use[connector] + more.min(seen.waiting[connector]);
            *limit = wanted.clamp(1, self.caps[connector]);
        }
        set_limits(ledger, &self.limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_falls_with_the_distance_to_the_target() {
        let mut pid = Pid::new(0.9, 5.0, 0.0, 1.0);
        assert!((pid.output(0.5) - 2.0).abs() < 1e-9);
        assert!(pid.output(0.9) < 0.0);
        assert!(pid.output(0.9).abs() < 1e-9);
    }
}
