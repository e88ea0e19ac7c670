//! How many jobs of each connector fit, shared fairly: weighted dominant-resource filling.
//!
//! Each claim rises with the water: at level `l` it has `clamp(l * weight / share, floor, most)`
//! jobs, `share` being the part of the host that one job takes (Ghodsi et al., "Dominant Resource
//! Fairness", NSDI 2011). The level is as high as the CPUs allow. Claims are few and the demand is
//! monotonic in the level, so it is found by bisection.
//!
//! The CPUs allow what keeps them busy while jobs wait for them as long as the trim will have it. A job
//! that waits lives longer, and wants less of the CPUs in each second of its life: with `w` seconds of
//! waiting for each second of running, one that runs for a part `r` of its undisturbed life keeps
//! `1 / (1 + r * w)` of its cores busy (a closed queueing network: Denning and Buzen, "The operational
//! analysis of queueing network models", 1978). Were that left out, the plan and the trim would disagree
//! by a tenth on 16 cores, and the trim would take half a minute to correct it.
//!
//! Memory bounds no claim here: the ledger admits each job by its own expected peak, in the order
//! of weighted shares, which no number of slots could do as exactly.

use super::trim::{expected_share, share_that_uses};
use crate::model::Constraint;

/// What a connector wants of the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Share relative to others, positive.
    pub weight: f64,
    /// Cores per job, positive.
    pub cores: f64,
    /// Variance of that.
    pub variance: f64,
    /// Share of its undisturbed life that a job's threads run, from 0 to 1.
    pub running: f64,
    /// Share of it that they wait for nothing that others could slow down, from 0 to `1 - running`.
    pub asleep: f64,
    /// Part of the memory budget that a job takes.
    pub memory_share: f64,
    /// The most jobs that it can have, at least 1.
    pub most: f64,
    /// What that is for.
    pub most_by: Constraint,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Cores that managed jobs may use, after the trim.
    pub cores: f64,
    /// Deviations of the total demand that jobs wait for as if it were filled so far beyond.
    pub overfill: f64,
    /// The part of the CPUs that jobs are to use at least.
    pub used: f64,
    /// The greatest share of runnable time that may be waiting, below 1.
    pub most_wait_share: f64,
}

/// What a connector gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Jobs, at least 1; not yet whole.
    pub jobs: f64,
    /// What binds.
    pub constraint: Constraint,
}

/// Bisections of the level: 2^-30 of the range is less than a thousandth of a job.
const STEPS: u32 = 30;

/// Fills the host. One share per claim, in their order.
#[must_use]
pub fn fill(claims: &[Claim], capacity: &Capacity) -> Vec<Share> {
    let at = |level: f64| claims.iter().map(move |claim| claim.at(level));
    let fits = |level: f64| {
        let total = |of: &dyn Fn(&Claim) -> f64| -> f64 {
            claims.iter().zip(at(level)).map(|(claim, jobs)| jobs * of(claim)).sum()
        };
        let delay = capacity.delay(
            total(&|claim| claim.variance).sqrt(),
            total(&|claim| claim.asleep * claim.cores) / total(&|claim| claim.cores),
        );
        total(&|claim| claim.contended(delay)) <= capacity.cores.max(0.0)
    };
    // Where every claim has its most.
    let top = claims.iter().map(Claim::level_of_most).fold(0.0, f64::max);
    let mut level = top;
    if !fits(top) {
        let (mut low, mut high) = (0.0, top);
        // By ratio where the range is wide: levels of small and large jobs differ by magnitudes.
        for _ in 0..STEPS {
            let middle = if low > 0.0 { (low * high).sqrt() } else { high / 16.0 };
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
            if high < 1e-12 || (low > 0.0 && high / low < 1.0001) {
                break;
            }
        }
        level = low;
    }
    let shares = claims.iter().zip(at(level)).map(|(claim, jobs)| {
        let constraint = if jobs >= claim.most {
            claim.most_by
        } else if jobs <= 1.0 {
            Constraint::Floor
        } else {
            Constraint::Cpu
        };
        Share { jobs, constraint }
    });
    shares.collect()
}

impl Capacity {
    /// Seconds that a thread waits for a CPU per second that it runs, where the demand of all jobs
    /// together has this deviation and they sleep for this part of their lives.
    fn delay(&self, deviation: f64, asleep: f64) -> f64 {
        let cores = self.cores.max(0.0);
        let share = expected_share(cores, deviation, self.overfill).min(self.most_wait_share);
        let share = share.max(share_that_uses(cores, asleep, self.used)).clamp(0.0, 0.95);
        share / (1.0 - share)
    }
}

impl Claim {
    /// Cores that a job keeps busy where each second of running costs `delay` seconds of waiting.
    fn contended(&self, delay: f64) -> f64 {
        self.cores / (1.0 + self.running * delay)
    }

    /// The part of the host that a job takes of what it takes most of, as a level has it: per unit
    /// of weight, so that CPUs count as one per core.
    fn share(&self) -> f64 {
        self.cores.max(self.memory_share).max(1e-6) / self.weight.max(1e-6)
    }

    fn at(&self, level: f64) -> f64 {
        // Not by division: rounded, a claim that has its most would seem to lack CPUs.
        if level >= self.level_of_most() {
            return self.most.max(1.0);
        }
        (level / self.share()).clamp(1.0, self.most.max(1.0))
    }

    fn level_of_most(&self) -> f64 {
        self.most.max(1.0) * self.share()
    }
}

/// A whole limit from one that is not: it changes once it is off by three quarters of a job, so that
/// noise around a half changes nothing.
#[must_use]
pub fn whole(jobs: f64, before: u32, most: u32) -> u32 {
    let before_exact = f64::from(before);
    let target =
        if (jobs - before_exact).abs() >= 0.75 { (jobs + 0.5).floor() } else { before_exact };
    #[allow(clippy::cast_sign_loss, reason = "clamped between 1 and a u32")]
    let target = target.clamp(1.0, f64::from(most.max(1))) as u32;
    target
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn claim(cores: f64, weight: f64, most: f64) -> Claim {
        let most_by = Constraint::Cap;
        Claim {
            weight,
            cores,
            variance: 0.0,
            running: 1.0,
            asleep: 0.0,
            memory_share: 0.0,
            most,
            most_by,
        }
    }

    fn capacity(cores: f64) -> Capacity {
        Capacity { cores, overfill: 1.0, used: 0.97, most_wait_share: 0.6 }
    }

    fn jobs(claims: &[Claim], cores: f64) -> Vec<f64> {
        let shares = fill(claims, &capacity(cores));
        shares.iter().map(|share| (share.jobs * 100.0).round() / 100.0).collect()
    }

    #[test]
    fn one_connector_fills_the_host() {
        assert_eq!(jobs(&[claim(0.5, 1.0, 1000.0)], 16.0), [32.0]);
        assert_eq!(jobs(&[claim(0.5, 1.0, 8.0)], 16.0), [8.0]);
    }

    #[test]
    fn cores_are_shared_by_weight_not_jobs() {
        assert_eq!(jobs(&[claim(1.0, 1.0, 1e3), claim(0.25, 1.0, 1e3)], 16.0), [8.0, 32.0]);
        assert_eq!(jobs(&[claim(1.0, 3.0, 1e3), claim(1.0, 1.0, 1e3)], 16.0), [12.0, 4.0]);
    }

    #[test]
    fn what_one_leaves_is_for_the_others() {
        assert_eq!(jobs(&[claim(1.0, 1.0, 2.0), claim(1.0, 1.0, 1e3)], 16.0), [2.0, 14.0]);
    }

    #[test]
    fn who_has_its_most_lacks_nothing_however_it_is_rounded() {
        let claim = claim(28.056757209817626, 651.4896994169541, 56.55789081561055);
        let shares = fill(&[claim], &capacity(2544.0));
        assert_eq!(shares, [Share { jobs: claim.most, constraint: Constraint::Cap }]);
    }

    #[test]
    fn everybody_has_one_even_where_nothing_fits() {
        let shares = fill(&[claim(8.0, 1.0, 9.0); 4], &capacity(0.0));
        assert!(shares.iter().all(|share| share.jobs == 1.0));
        assert!(shares.iter().all(|share| share.constraint == Constraint::Floor));
    }

    /// Share of runnable time that is waiting, and use of the CPUs, where `jobs` jobs want one of
    /// `cores` CPUs for a part of their time: the exact solution of the closed queueing network
    /// (the machine repair problem, which holds for any distribution where CPUs are shared equally).
    fn closed_network(jobs: u32, cores: f64, part: f64) -> (f64, f64) {
        let mut logarithms = vec![0.0_f64];
        for runnable in 1..=jobs {
            let come = f64::from(jobs - runnable + 1) * part / (1.0 - part);
            let leave = f64::from(runnable).min(cores);
            logarithms.push(logarithms[logarithms.len() - 1] + (come / leave).ln());
        }
        let most = logarithms.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = logarithms.iter().map(|value| (value - most).exp()).collect();
        let mean = |of: &dyn Fn(f64) -> f64| -> f64 {
            let sum: f64 =
                weights.iter().enumerate().map(|(n, weight)| of(n as f64) * weight).sum();
            sum / weights.iter().sum::<f64>()
        };
        let runnable = mean(&|n| n);
        (mean(&|n| (n - cores).max(0.0)) / runnable, mean(&|n| n.min(cores)) / cores)
    }

    #[test]
    fn jobs_wait_about_as_long_as_the_trim_will_have_it() {
        for (cores, part) in [
            (1.0, 0.5),
            (2.0, 0.25),
            (4.0, 0.3),
            (16.0, 0.2),
            (16.0, 0.345),
            (16.0, 0.7),
            (64.0, 0.1),
        ] {
            let variance = part * (1.0 - part);
            let uneven =
                Claim { variance, running: part, asleep: 1.0 - part, ..claim(part, 1.0, 1e4) };
            let found = jobs(&[uneven], cores)[0];
            let expected = expected_share(cores, (found * variance).sqrt(), 1.0)
                .max(share_that_uses(cores, 1.0 - part, 0.97));
            #[allow(clippy::cast_sign_loss, reason = "at least one")]
            let (share, used) = closed_network(found.round() as u32, cores, part);
            let seen = format!(
                "{cores} cores, {part}: {found} jobs, {share:.3} of {expected:.3}, {used:.3} used"
            );
            println!("{seen}");
            assert!((share - expected).abs() < 0.14, "{seen}");
            assert!(used > if cores < 2.0 { 0.93 } else { 0.97 }, "{seen}");
        }
    }

    #[test]
    fn a_limit_changes_only_when_the_plan_moves_away_from_it() {
        let path = [4.0, 4.4, 4.74, 4.75, 4.3, 4.26, 4.24, 0.0];
        let mut limit = 4;
        let limits = path.map(|jobs| {
            limit = whole(jobs, limit, 100);
            limit
        });
        assert_eq!(limits, [4, 4, 4, 5, 5, 5, 4, 1]);
        assert_eq!(whole(f64::NAN, 7, 100), 7);
        assert_eq!(whole(f64::INFINITY, 7, 100), 100);
    }

    #[test]
    fn a_plan_for_fifty_connectors_is_quick() {
        let claims: Vec<_> = (1..=50).map(|n| claim(0.01 * f64::from(n), 1.0, 500.0)).collect();
        let capacity = capacity(16.0);
        let timed = (0..200).map(|_| {
            let start = Instant::now();
            assert_eq!(fill(&claims, &capacity).len(), 50);
            start.elapsed()
        });
        let best = timed.min().unwrap();
        println!("a plan for 50 connectors: {best:?}");
        assert!(best < Duration::from_micros(100), "{best:?}");
    }

    proptest! {
        #[test]
        fn shares_fit_are_bounded_and_equal_by_weight(
            claims in proptest::collection::vec(
                (0.001f64..64.0, 0.001f64..1e3, 1f64..4096.0, 0f64..=1.0, 0f64..2.0),
                0..60,
            ),
            cores in 0.0f64..1e4,
        ) {
            let claims: Vec<_> = claims
                .into_iter()
                .map(|(cores, weight, most, running, variance)| Claim {
                    running,
                    asleep: 1.0 - running,
                    variance: variance * cores,
                    ..claim(cores, weight, most)
                })
                .collect();
            let capacity = capacity(cores);
            let shares = fill(&claims, &capacity);
            let both = || claims.iter().zip(&shares);
            let wanted = |jobs: &[f64]| -> f64 {
                let each = || claims.iter().zip(jobs);
                let variance: f64 = each().map(|(claim, jobs)| claim.variance * jobs).sum();
                let busy: f64 = each().map(|(claim, jobs)| claim.cores * jobs).sum();
                let asleep: f64 =
                    each().map(|(claim, jobs)| claim.asleep * claim.cores * jobs).sum();
                let delay = capacity.delay(variance.sqrt(), asleep / busy);
                each().map(|(claim, jobs)| claim.contended(delay) * jobs).sum()
            };
            let used = wanted(&shares.iter().map(|share| share.jobs).collect::<Vec<_>>());
            let floor = wanted(&vec![1.0; claims.len()]);
            prop_assert!(used <= cores.max(floor) * 1.001 + 1e-6, "{} of {}", used, cores);
            let more = wanted(&shares.iter().map(|share| share.jobs * 1.01).collect::<Vec<_>>());
            prop_assert!(more >= used, "more jobs want more: {} and {}", used, more);
            let rest = shares.iter().any(|share| share.constraint == Constraint::Cpu);
            prop_assert!(!rest || more >= cores * 0.999, "{} of {} filled", used, cores);
            for (claim, share) in both() {
                prop_assert!(share.jobs >= 1.0 && share.jobs <= claim.most);
            }
            let free: Vec<_> = both()
                .filter(|(_, share)| share.constraint == Constraint::Cpu)
                .map(|(claim, share)| share.jobs * claim.cores / claim.weight)
                .collect();
            for pair in free.windows(2) {
                prop_assert!((pair[0] / pair[1] - 1.0).abs() < 0.001, "{:?}", free);
            }
        }
    }
}
