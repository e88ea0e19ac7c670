//! One factor on the capacity of the CPUs, trimmed so that jobs wait for a CPU as much as they
//! should.
//!
//! Demand is computed; what it leaves out (bursts that coincide, hyper-threads, work that the kernel
//! does for jobs) shows as waiting. Each second `ln(factor)` moves by `gain * (target - share)`.
//! The share follows the factor within a few seconds, and rises by about 1 per unit of
//! `ln(factor)` where CPUs are full, so the loop gain is 0.08 per second; an average over 4 s and a
//! delay of 4 s more leave a margin: `0.08 * 8 = 0.64 < pi / 2`.
//!
//! How much waiting there should be follows from how unevenly jobs want CPU time. Many jobs together
//! want `N` cores, about normal with deviation `s`; filled to `C + z s`, the share of runnable time
//! that is waiting is `E[(N - C)+] / E[N] = s (phi(z) + z Phi(z)) / (C + z s)`. That is a sixth on 16
//! cores and a half on one (the square-root rule of staffing: Halfin and Whitt, "Heavy-traffic limits
//! for queues with many exponential servers", 1981). On few cores that leaves CPUs idle all the same, and
//! jobs wait as long as keeps them used: [`share_that_uses`].

use serde::{Deserialize, Serialize};

use super::settings::TrimSettings;

/// The factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trim {
    logarithm: f64,
    share: Option<f64>,
    used: f64,
}

/// What the trim goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waiting {
    /// Seconds that jobs ran.
    pub run: f64,
    /// Seconds that they waited for a CPU which others had.
    pub wait: f64,
    /// Use of the CPUs, from 0 to 1.
    pub used: f64,
    /// The share of runnable time that waiting should be: [`expected_share`].
    pub expected: f64,
    /// The least that keeps the CPUs used: [`share_that_uses`].
    pub keeps_used: f64,
    /// Whether somebody waits for a slot that CPU time keeps from it.
    pub binds: bool,
    /// Whether no connector has more jobs than its limit.
    pub drained: bool,
}

impl Default for Trim {
    fn default() -> Self {
        Self { logarithm: 0.0, share: None, used: 0.0 }
    }
}

impl Trim {
    /// The factor now.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.logarithm.exp()
    }

    /// Takes what was seen in `seconds` into account.
    pub fn update(&mut self, settings: &TrimSettings, seen: &Waiting, seconds: f64) {
        let runnable = seen.run + seen.wait;
        if !(runnable > 0.0 && runnable.is_finite() && seconds.is_finite()) {
            return;
        }
        if !seen.drained {
            // What is above its limit comes down by itself; what waits meanwhile says nothing.
            return;
        }
        let (share, used) = self.average(settings, seen.wait / runnable, seen.used, seconds);
        let idle = used < settings.full;
        let target = settings.target(seen.expected, idle).max(finite(seen.keeps_used).min(0.95));
        let error = settings.without_noise(target - share, target);
        let allowed = error < 0.0 || (seen.binds && idle);
        // A long interval is one look all the same.
        let seconds = seconds.clamp(0.0, 2.0);
        if allowed {
            let step = settings.gain * error * seconds;
            let (least, most) = (settings.least.max(0.01).ln(), settings.most.min(100.0).ln());
            self.logarithm = (self.logarithm + step).clamp(least.min(0.0), most.max(0.0));
        }
    }

    fn average(
        &mut self,
        settings: &TrimSettings,
        share: f64,
        used: f64,
        seconds: f64,
    ) -> (f64, f64) {
        let used = if used.is_finite() { used.clamp(0.0, 1.0) } else { 1.0 };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let part = 1.0 - (-seconds.clamp(0.0, 60.0) / settings.average_seconds.max(0.1)).exp();
        let (before, used_before) = self.share.map_or((share, used), |mean| (mean, self.used));
        let mean = before + part * (share - before);
        self.share = Some(mean);
        self.used = used_before + part * (used - used_before);
        (mean, self.used)
    }
}

impl TrimSettings {
    /// An error that counts less as far as it may be chance.
    fn without_noise(&self, error: f64, target: f64) -> f64 {
        let (above, below) = (self.noise_above.max(0.0), self.noise_below.max(0.0));
        error - (1.0 - self.noise_counts) * error.clamp(-above * target, below * target)
    }

    fn target(&self, expected: f64, is_idle: bool) -> f64 {
        let target = finite(expected).max(self.least_wait_share);
        (if is_idle { target * self.idle_factor } else { target }).min(self.most_wait_share)
    }
}

/// Share of runnable time that is waiting where `cores` are filled with a mean of as many and
/// `overfill` deviations, of which one is `deviation` cores.
#[must_use]
pub fn expected_share(cores: f64, deviation: f64, overfill: f64) -> f64 {
    let mean = cores + overfill * deviation;
    if mean > 0.0 { deviation * excess(overfill) / mean } else { 0.0 }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Share of runnable time that is waiting, as the plan has it, where jobs that sleep for a part `asleep`
/// of their undisturbed life keep `cores` used to a part `used`.
///
/// Sleepers come from as many as run, so their number is about a Poisson's, with a mean of
/// `used * cores * asleep / (1 - asleep)`; CPUs idle where it exceeds what all threads leave.
#[must_use]
pub fn share_that_uses(cores: f64, asleep: f64, used: f64) -> f64 {
    let running = 1.0 - finite(asleep).clamp(0.0, 0.99);
    let asleep = used * cores * (1.0 - running) / running;
    let most_idle = (1.0 - used) * cores;
    let (mut low, mut high) = (0.0, 3.0);
    for _ in 0..8 {
        let middle = 0.5 * (low + high);
        if asleep.sqrt() * excess(-middle) > most_idle { low = middle } else { high = middle }
    }
    let threads = cores + asleep + high * asleep.sqrt();
    let delay = ((threads * running / cores - 1.0) / running).max(0.0);
    if delay.is_finite() { delay / (1.0 + delay) } else { 0.0 }
}

/// By how much a normally distributed value with a deviation of one and this mean exceeds nothing.
fn excess(mean: f64) -> f64 {
    let density = (-0.5 * mean * mean).exp() / std::f64::consts::TAU.sqrt();
    // Within 2e-4 of the normal distribution's (Bowling et al., "A logistic approximation to the
    // cumulative normal distribution", 2009).
    let below = 1.0 / (1.0 + (-0.070_56 * mean.powi(3) - 1.5976 * mean).exp());
    density + mean * below
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// CPUs that are filled `factor * error` full, seen `delay` seconds late.
    fn settle(error: f64, delay: usize) -> Vec<f64> {
        let settings = TrimSettings::default();
        let mut trim = Trim::default();
        let mut late: VecDeque<f64> = vec![1.0; delay].into();
        let mut factors = Vec::new();
        for _ in 0..120 {
            late.push_back(trim.factor() * error);
            let fill: f64 = late.pop_front().unwrap();
            let run = fill.min(1.0);
            let seen = Waiting {
                run,
                wait: fill - run,
                used: run,
                expected: 0.15,
                keeps_used: 0.0,
                binds: true,
                drained: true,
            };
            trim.update(&settings, &seen, 1.0);
            factors.push(trim.factor());
        }
        factors
    }

    #[test]
    fn it_settles_in_spite_of_a_delay_of_four_seconds_and_more() {
        for delay in [0, 1, 4, 8] {
            for error in [0.7, 1.0, 1.5] {
                let factors = settle(error, delay);
                let last = &factors[90..];
                let most = last.iter().copied().fold(0.0, f64::max);
                let least = last.iter().copied().fold(9.0, f64::min);
                assert!(most - least < 0.05, "delay {delay}, error {error}: {least} to {most}");
                let fill = factors[119] * error;
                assert!((0.97..1.35).contains(&fill), "delay {delay}, error {error}: fills {fill}");
            }
        }
    }

    #[test]
    fn the_fewer_the_cores_the_more_is_waited() {
        // Jobs that compute half of the time, filled to three quarters of a deviation.
        let share = |cores: f64| expected_share(cores, (2.0 * cores * 0.25).sqrt(), 0.75);
        assert!((share(16.0) - 0.14).abs() < 0.01, "{}", share(16.0));
        assert!((share(1.0) - 0.41).abs() < 0.01, "{}", share(1.0));
        assert_eq!(expected_share(16.0, 0.0, 0.75), 0.0);
    }

    #[test]
    fn it_rises_only_where_that_could_help() {
        let settings = TrimSettings::default();
        let quiet = Waiting { run: 1.0, used: 0.5, drained: true, ..Waiting::default() };
        for seen in [quiet, Waiting { used: 0.99, binds: true, ..quiet }] {
            let mut trim = Trim::default();
            trim.update(&settings, &seen, 1.0);
            assert_eq!(trim.factor(), 1.0);
        }
        let mut trim = Trim::default();
        let above = Waiting { run: 1.0, wait: 1.0, used: 1.0, binds: true, ..Waiting::default() };
        trim.update(&settings, &above, 1.0);
        assert_eq!(trim.factor(), 1.0, "what is above its limit comes down by itself");
    }

    proptest! {
        #[test]
        fn the_factor_is_bounded_whatever_is_seen(
            seen in proptest::collection::vec(
                (any::<f64>(), any::<f64>(), any::<f64>(), any::<bool>(), any::<f64>()), 0..50),
        ) {
            let mut trim = Trim::default();
            for (run, wait, used, both, seconds) in seen {
                let seen = Waiting {
                    run,
                    wait,
                    used,
                    expected: wait,
                    keeps_used: run,
                    binds: both,
                    drained: both,
                };
                trim.update(&TrimSettings::default(), &seen, seconds);
                prop_assert!((0.49..1.61).contains(&trim.factor()));
            }
        }
    }
}
