//! How many cores a job keeps busy when nobody is in its way.
//!
//! A thread's uncontended demand is `run / (alive - run_queue_wait)`: waiting for a CPU stretches
//! its life and nothing else, so what is left is the same on an idle host and on one that is ten
//! times overcommitted. Over all jobs of a connector, with `w = interval * (1 - wait / life)` the
//! uncontended part of a job's interval, the demand is `sum(cpu) / sum(w)`.
//!
//! The past is forgotten by job-seconds and not by time: a connector with many jobs learns fast, one
//! with a few keeps what it knows. A short memory beside the long one notices a change of kind.

use serde::{Deserialize, Serialize};

use super::Work;

/// How demand is learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DemandSettings {
    /// Job-seconds that the profile counts for. 4: a declared figure is worth as much as a look at
    /// four jobs for a second.
    pub prior_job_seconds: f64,
    /// Job-seconds after which the past weighs 1/e. 150: some fifty independent looks at jobs whose
    /// phases last seconds, so the error of the mean is under 15 % of the spread.
    pub memory_job_seconds: f64,
    /// Job-seconds after which the profile's word weighs 1/e of that. 10: it is to be gone when
    /// the first job ends.
    pub prior_fades: f64,
    /// The past weighs for at least so many seconds of all jobs that run. 60: some ten times what jobs
    /// take that are worth a slot; a change is not waited for, it is noticed.
    pub memory_seconds: f64,
    /// The short memory's job-seconds. 15: reacts in seconds, and is no single job's phase.
    pub short_job_seconds: f64,
    /// ... or so many seconds of all jobs that run, if that is more. 1.5.
    pub short_seconds: f64,
    /// Errors of the short mean by which it must differ from the long one to replace it. 1.5, of errors
    /// that are two or three times too large where jobs come and go within seconds; where it happens
    /// by chance, little is lost but the long memory's steadiness for a while.
    pub change_errors: f64,
    /// ... and by this part of the long one. 0.25: less is corrected by forgetting in time.
    pub change_least: f64,
}

impl Default for DemandSettings {
    fn default() -> Self {
        Self {
            prior_job_seconds: 4.0,
            prior_fades: 10.0,
            memory_job_seconds: 150.0,
            memory_seconds: 60.0,
            short_job_seconds: 15.0,
            short_seconds: 1.5,
            change_errors: 1.5,
            change_least: 0.25,
        }
    }
}

/// A connector's demand for CPU, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    prior: Work,
    long: Work,
    short: Work,
    seen: f64,
    changes: u64,
}

impl Demand {
    /// What a profile declares, before anything was seen.
    #[must_use]
    pub fn declared(settings: &DemandSettings, cores: f64) -> Self {
        let weight = settings.prior_job_seconds;
        // A job that is on or off a CPU has the variance of a coin.
        let spread = (cores * (1.0 - cores)).max(0.0);
        let prior = Work {
            jobs: weight,
            free: weight,
            cpu: weight * cores,
            life: weight,
            cpu_squares: weight * (cores * cores + spread),
            ..Work::default()
        };
        Self { prior, long: Work::default(), short: Work::default(), seen: 0.0, changes: 0 }
    }

    /// Takes in what the jobs of a connector did in a tick; `running` of them did.
    pub fn learn(&mut self, settings: &DemandSettings, tick: &Work, running: f64) {
        if tick.jobs <= 0.0 || tick.free <= 0.0 {
            return;
        }
        self.seen += tick.jobs;
        let faded = (-tick.jobs / settings.prior_fades.max(0.1)).exp();
        self.prior.fade_and_add(faded, &Work::default());
        let memory = settings.memory_job_seconds.max(settings.memory_seconds * running).max(1.0);
        self.long.fade_and_add((-tick.jobs / memory).exp(), tick);
        let short = settings.short_job_seconds.max(settings.short_seconds * running).max(1.0);
        self.short.fade_and_add((-tick.jobs / short).exp(), tick);
        if self.short.jobs > short * 0.5 && self.differs(settings) {
            self.long = self.short;
            self.changes += 1;
        }
    }

    fn differs(&self, settings: &DemandSettings) -> bool {
        let (Some(long), Some(short)) = (self.long.cores(), self.short.cores()) else {
            return false;
        };
        // Samples of one job in neighbouring seconds are alike: a quarter of them count.
        let looks = (self.short.free * 0.25).max(1.0);
        // In a change, the short memory has both kinds in it, and their difference is no noise.
        let error = (self.long.variance() / looks).sqrt();
        let difference = (long - short).abs();
        difference > settings.change_least * long && difference > settings.change_errors * error
    }

    /// Cores that a job keeps busy, uncontended; at least a thousandth.
    #[must_use]
    pub fn cores(&self) -> f64 {
        self.known().cores().unwrap_or(0.0).max(0.001)
    }

    fn known(&self) -> Work {
        let mut known = self.long;
        known.fade_and_add(1.0, &self.prior);
        known
    }

    /// Variance of that over jobs and time; at least what follows from a job being on a whole number
    /// of CPUs in every moment. What changes faster than looks come does not show in them: who
    /// computes for 5 ms and sleeps for 15 does a quarter of the time at each look.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let part = self.cores().fract();
        self.known().variance().max(part * (1.0 - part))
    }

    /// Share of its undisturbed life that a job's threads run, from 0 to 1.
    #[must_use]
    pub fn running(&self) -> f64 {
        self.known().running()
    }

    /// Job-seconds seen, ever.
    #[must_use]
    pub fn seen(&self) -> f64 {
        self.seen
    }

    /// How often the demand was found to have become another.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Share of its life that a job neither runs nor waits for a CPU.
    #[must_use]
    pub fn idle(&self) -> f64 {
        self.long.idle()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{JobSample, RunQueue};

    fn sample(cpu: f64, wait: f64, life: f64) -> JobSample {
        JobSample {
            interval: Duration::from_secs(1),
            cpu: Duration::from_secs_f64(cpu),
            life: Duration::from_secs_f64(life),
            run_queue: Some(RunQueue {
                total: Duration::from_secs_f64(wait),
                ..RunQueue::default()
            }),
            ..JobSample::default()
        }
    }

    fn learned(declared: f64, samples: impl IntoIterator<Item = JobSample>) -> Demand {
        let settings = DemandSettings::default();
        let mut demand = Demand::declared(&settings, declared);
        for sample in samples {
            let mut work = Work::default();
            work.add(&sample);
            demand.learn(&settings, &work, 1.0);
        }
        demand
    }

    #[test]
    fn demand_is_the_same_on_an_idle_and_on_a_crowded_host() {
        // Half a core: alone; and where each core is wanted by three.
        let alone = learned(0.5, vec![sample(0.5, 0.0, 1.0); 1000]);
        let crowded = learned(0.5, vec![sample(0.25, 0.5, 1.0); 1000]);
        for demand in [alone, crowded] {
            assert!((demand.cores() - 0.5).abs() < 1e-6, "{}", demand.cores());
            assert!((demand.running() - 0.5).abs() < 1e-6, "{}", demand.running());
        }
    }

    #[test]
    fn threads_of_a_job_add_up() {
        let demand = learned(0.5, vec![sample(3.0, 1.0, 4.0); 1000]);
        assert!((demand.cores() - 4.0).abs() < 1e-3, "{}", demand.cores());
        assert!((demand.running() - 1.0).abs() < 1e-3, "{}", demand.running());
        let half = learned(0.5, vec![sample(1.0, 2.0, 4.0); 1000]);
        assert!((half.running() - 0.5).abs() < 1e-3, "{}", half.running());
    }

    #[test]
    fn jobs_that_compute_and_sleep_faster_than_looks_come_are_as_uneven_as_a_coin() {
        let quarter = learned(0.25, vec![sample(0.25, 0.0, 1.0); 1000]);
        assert!((quarter.variance() - 0.25 * 0.75).abs() < 1e-3, "{}", quarter.variance());
        let always = learned(1.0, vec![sample(1.0, 0.0, 1.0); 1000]);
        assert!(always.variance() < 1e-3, "{}", always.variance());
        let in_turns = [sample(2.0, 0.0, 2.0), sample(0.0, 0.0, 2.0)];
        let wide = learned(1.0, (0..1000).map(|look| in_turns[look % 2].clone()));
        assert!((wide.variance() - 1.0).abs() < 0.01, "what looks show: {}", wide.variance());
    }

    #[test]
    fn a_profile_wrong_by_four_is_forgotten() {
        for declared in [0.125, 2.0] {
            let demand = learned(declared, vec![sample(0.5, 0.0, 1.0); 60]);
            assert!((demand.cores() - 0.5).abs() < 0.01, "{declared}: {}", demand.cores());
        }
    }

    #[test]
    fn a_change_of_kind_is_noticed_within_seconds() {
        let before = vec![sample(0.2, 0.0, 1.0); 500];
        let after = vec![sample(1.0, 0.0, 1.0); 60];
        let demand = learned(0.2, before.into_iter().chain(after));
        assert!((demand.cores() - 1.0).abs() < 0.15, "{}", demand.cores());
        assert!(demand.changes() >= 1);
    }

    proptest! {
        #[test]
        fn any_sample_leaves_a_demand_that_can_be_planned_with(
            figures in proptest::collection::vec(
                (0u64..u64::MAX / 4, 0u64..u64::MAX / 4, 0u64..u64::MAX / 4, 0u64..u64::MAX / 4),
                0..50,
            ),
        ) {
            let samples = figures.into_iter().map(|(interval, cpu, life, wait)| JobSample {
                interval: Duration::from_nanos(interval),
                cpu: Duration::from_nanos(cpu),
                life: Duration::from_nanos(life),
                run_queue: Some(RunQueue {
                    total: Duration::from_nanos(wait),
                    own: Duration::from_nanos(cpu),
                    ..RunQueue::default()
                }),
                device_bytes: Some(wait),
                ..JobSample::default()
            });
            let demand = learned(0.5, samples);
            prop_assert!(demand.cores().is_finite() && demand.cores() >= 0.001);
            prop_assert!(demand.variance().is_finite() && demand.variance() >= 0.0);
            prop_assert!((0.0..=1.0).contains(&demand.idle()));
        }
    }
}
