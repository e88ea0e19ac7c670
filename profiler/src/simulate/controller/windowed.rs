//! Limits from what jobs took: controllers of the field that look at durations.
//!
//! They see jobs that ended, and nothing of what made them slow. Each connector has a limiter of
//! its own, as each client has in the libraries that they come from. Times are those of jobs, so a
//! window of so many samples is as long as so many jobs take.

use super::thresholds::{Every, caps, preferred};
use super::{Controller, Observation, set_limits};
use crate::lease::Ledger;
use crate::simulate::plant::Plant;

/// One connector's limiter: takes what a job took, in seconds, and how many were in flight; gives
/// the limit.
pub(super) trait Limiter {
    fn sample(&mut self, seconds: f64, in_flight: f64) -> f64;
}

/// Limiters for all connectors of a plant.
#[derive(Clone, Debug)]
pub(super) struct Windowed<L> {
    limiters: Vec<L>,
    caps: Vec<u32>,
    limits: Vec<u32>,
}

impl<L: Limiter> Windowed<L> {
    /// `build` makes a limiter that begins with a limit.
    pub(super) fn new(plant: &Plant, build: impl Fn(f64) -> L) -> Self {
        let profiles = plant.profiles();
        let limits = preferred(&profiles);
        let limiters = limits.iter().map(|limit| build(f64::from(*limit))).collect();
        Self { limiters, caps: caps(&profiles), limits }
    }
}

impl<L: Limiter> Controller for Windowed<L> {
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &self.limits);
    }

    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger) {
        for job in seen.finished {
            let connector = job.connector.index();
            let in_flight = f64::from(seen.in_use[connector]);
            let limit = self.limiters[connector].sample(job.duration.as_secs_f64(), in_flight);
            #[allow(clippy::cast_sign_loss, reason = "limiters keep it at one at least")]
            let limit = limit.floor() as u32;
            self.limits[connector] = limit.clamp(1, self.caps[connector]);
        }
        set_limits(ledger, &self.limits);
    }

    fn wants_samples(&self) -> bool {
        true
    }
}

/// Gradient2 of Netflix's concurrency-limits, `Gradient2Limit.java` (2018): the limit follows the
/// ratio of the long-term to the short-term latency. Its defaults: `longWindow` 600 samples,
/// `smoothing` 0.2, `queueSize` 4, `rttTolerance` 1.5, `minLimit` 20 (here 1, as for all others),
/// `maxConcurrency` 200.
#[derive(Clone, Debug)]
pub(super) struct Gradient2 {
    limit: f64,
    long: f64,
    samples: u32,
}

impl Gradient2 {
    const LONG_WINDOW: f64 = 600.0;
    /// The average of the first samples is a plain mean: `ExpAvgMeasurement(longWindow, 10)`.
    const WARM_UP: u32 = 10;
    const SMOOTHING: f64 = 0.2;
    const QUEUE: f64 = 4.0;
    const TOLERANCE: f64 = 1.5;
    const MOST: f64 = 200.0;

    pub(super) const fn new(limit: f64) -> Self {
        Self { limit, long: 0.0, samples: 0 }
    }
}

impl Limiter for Gradient2 {
    fn sample(&mut self, seconds: f64, in_flight: f64) -> f64 {
        self.samples += 1;
        if self.samples <= Self::WARM_UP {
            self.long += (seconds - self.long) / f64::from(self.samples);
        } else {
            self.long += (seconds - self.long) * 2.0 / (Self::LONG_WINDOW + 1.0);
        }
        // A long-term latency that stays far above is let down faster.
        if self.long / seconds > 2.0 {
            self.long *= 0.95;
        }
        if in_flight < self.limit / 2.0 {
            return self.limit;
        }
        let gradient = (Self::TOLERANCE * self.long / seconds).clamp(0.5, 1.0);
        let new = self.limit * gradient + Self::QUEUE;
        let smoothed = self.limit * (1.0 - Self::SMOOTHING) + new * Self::SMOOTHING;
        self.limit = smoothed.clamp(1.0, Self::MOST);
        self.limit
    }
}

/// Vegas of Netflix's concurrency-limits, `VegasLimit.java` (2018), after Brakmo and Peterson 1995:
/// the queue is estimated from the shortest latency. Its defaults: alpha `3 log10(limit)`, beta
/// `6 log10(limit)`, threshold `log10(limit)`, increase and decrease `log10(limit)`, a new shortest
/// latency is looked for every `30 * limit` samples, `maxConcurrency` 1000.
#[derive(Clone, Debug)]
pub(super) struct Vegas {
    limit: f64,
    shortest: f64,
    samples: f64,
}

impl Vegas {
    const PROBE: f64 = 30.0;
    const MOST: f64 = 1000.0;

    pub(super) const fn new(limit: f64) -> Self {
        Self { limit, shortest: 0.0, samples: 0.0 }
    }
}

impl Limiter for Vegas {
    fn sample(&mut self, seconds: f64, in_flight: f64) -> f64 {
        self.samples += 1.0;
        if self.samples >= Self::PROBE * self.limit {
            self.samples = 0.0;
            self.shortest = seconds;
            return self.limit;
        }
        if self.shortest <= 0.0 || seconds < self.shortest {
            self.shortest = seconds;
            return self.limit;
        }
        if in_flight * 2.0 < self.limit {
            return self.limit;
        }
        let log = self.limit.log10().floor().max(1.0);
        let queue = (self.limit * (1.0 - self.shortest / seconds)).ceil();
        if queue <= log {
            self.limit += 6.0 * log;
        } else if queue < 3.0 * log {
            self.limit += log;
        } else if queue > 6.0 * log {
            self.limit -= log;
        }
        self.limit = self.limit.clamp(1.0, Self::MOST);
        self.limit
    }
}

/// AIMD on latency, `AIMDLimit.java` of Netflix's concurrency-limits (2018): one more while what is
/// there is used, times the backoff ratio when a job takes longer than the timeout. The ratio is
/// .75 as the comparison wants it (the library's is .9); the library's timeout, 5 s for a request,
/// means nothing for jobs, so it is twice the shortest smoothed duration: what a caller of the
/// library would set for a service that it knows.
#[derive(Clone, Debug)]
pub(super) struct Aimd {
    limit: f64,
    smoothed: f64,
    shortest: f64,
    since_backoff: f64,
}

impl Aimd {
    const BACKOFF: f64 = 0.75;
    const SMOOTHING: f64 = 0.1;
    const TIMEOUT: f64 = 2.0;

    pub(super) const fn new(limit: f64) -> Self {
        Self { limit, smoothed: 0.0, shortest: f64::INFINITY, since_backoff: 0.0 }
    }
}

impl Limiter for Aimd {
    fn sample(&mut self, seconds: f64, in_flight: f64) -> f64 {
        self.smoothed = if self.smoothed > 0.0 {
            self.smoothed + Self::SMOOTHING * (seconds - self.smoothed)
        } else {
            seconds
        };
        self.shortest = self.shortest.min(self.smoothed);
        self.since_backoff += 1.0;
        // Jobs that began before the limit fell say nothing of the limit as it is.
        if self.smoothed > Self::TIMEOUT * self.shortest && self.since_backoff > self.limit {
            self.limit = (self.limit * Self::BACKOFF).max(1.0);
            self.since_backoff = 0.0;
        } else if in_flight * 2.0 >= self.limit {
            // One more for each limit's worth of jobs, as TCP's congestion avoidance.
            self.limit += 1.0 / self.limit;
        }
        self.limit
    }
}

/// One more while jobs wait little for a CPU, one less while they wait much: the run queue as the
/// gauge, once a second, with the threshold that is used for pressure.
#[derive(Clone, Debug)]
pub(super) struct RunQueue {
    caps: Vec<u32>,
    limits: Vec<u32>,
    every: Every,
    waited: Vec<(f64, f64)>,
}

impl RunQueue {
    /// Share of the time in which threads want a CPU that they wait for one.
    const MOST: f64 = 0.1;

    pub(super) fn new(plant: &Plant) -> Self {
        let profiles = plant.profiles();
        let limits = preferred(&profiles);
        let waited = vec![(0.0, 0.0); limits.len()];
        Self { caps: caps(&profiles), limits, every: Every::SECOND, waited }
    }
}

impl Controller for RunQueue {
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &self.limits);
    }

    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger) {
        for job in seen.jobs {
            let (waited, wanted) = &mut self.waited[job.connector.index()];
            let wait = job.run_queue.map_or(0.0, |queue| queue.total.as_secs_f64());
            *waited += wait;
            *wanted += wait + job.cpu.as_secs_f64();
        }
        if !self.every.is_due(seen.seconds()) {
            return;
        }
        for (connector, limit) in self.limits.iter_mut().enumerate() {
            let (waited, wanted) = std::mem::take(&mut self.waited[connector]);
            let is_crowded = wanted > 0.0 && waited / wanted > Self::MOST;
            if is_crowded {
                *limit = limit.saturating_sub(1).max(1);
            } else if seen.waiting[connector] > 0 {
                *limit = (*limit + 1).min(self.caps[connector]);
            }
        }
        set_limits(ledger, &self.limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vegas_stays_where_its_queue_is_estimated_between_alpha_and_beta() {
        let mut vegas = Vegas::new(20.0);
        vegas.sample(1.0, 20.0);
        // 20 * (1 - 1 / 1.25) = 4: between 3 and 6.
        assert_eq!(vegas.sample(1.25, 20.0), 20.0);
        assert_eq!(vegas.sample(1.05, 20.0), 26.0);
        assert_eq!(vegas.sample(2.0, 20.0), 25.0);
    }

    #[test]
    fn gradient2_grows_by_its_queue_while_latency_stays() {
        let mut gradient = Gradient2::new(20.0);
        let limit = gradient.sample(1.0, 20.0);
        assert!((limit - 20.8).abs() < 1e-9);
    }

    #[test]
    fn aimd_halves_the_distance_only_once_a_window() {
        let mut aimd = Aimd::new(4.0);
        aimd.sample(1.0, 4.0);
        let grown = aimd.sample(1.0, 4.0);
        assert!(grown > 4.0 && grown < 4.6);
        let limits: Vec<f64> = (0..30).map(|_| aimd.sample(10.0, 4.0)).collect();
        let falls = limits.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!((2..=8).contains(&falls), "{falls}");
    }
}
