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
//! of weighted shares, which no number of slots could do as exactly. It counts in shares only as far as
//! it is short: by as little as makes what all would hold fit, and not at all where that fits anyway.
//! Who holds much of what nobody else lacks need not have fewer CPUs for it.

#[cfg(test)]
mod tests;

use super::trim::{expected_share, share_that_uses};
use crate::lease::MemoryRule;
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
    pub memory: f64,
    /// Deviation of that.
    pub memory_deviation: f64,
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
    /// Cores of the host, beside which shares of its memory are held.
    pub host_cores: f64,
    /// How sure to be that memory suffices.
    pub memory: MemoryRule,
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
/// Bisections of how much memory counts: to a hundredth.
const MEMORY_STEPS: u32 = 7;

/// Fills the host. One share per claim, in their order.
#[must_use]
pub fn fill(claims: &[Claim], capacity: &Capacity) -> Vec<Share> {
    let filling = Filling { claims, capacity };
    let uncounted = filling.water(0.0, 0.0, f64::INFINITY);
    if filling.fits_memory(&uncounted) {
        return filling.shares(&uncounted);
    }
    let mut water = filling.water(1.0, uncounted.level, f64::INFINITY);
    if !filling.fits_memory(&water) {
        return filling.shares(&water);
    }
    // The more memory counts, the higher is the level.
    let mut below = uncounted;
    for _ in 0..MEMORY_STEPS {
        let counts = 0.5 * (below.memory_counts + water.memory_counts);
        let between = filling.water(counts, below.level, water.level);
        if filling.fits_memory(&between) { water = between } else { below = between }
    }
    filling.shares(&water)
}

/// How high shares rise, and how much memory counts in them, from 0 to 1.
struct Water {
    level: f64,
    memory_counts: f64,
}

/// Claims on a capacity.
struct Filling<'a> {
    claims: &'a [Claim],
    capacity: &'a Capacity,
}

impl Filling<'_> {
    /// Jobs of each claim.
    fn jobs(&self, water: &Water) -> impl Iterator<Item = (&Claim, f64)> {
        let (level, host_cores) = (water.level, self.capacity.host_cores);
        let memory = water.memory_counts * host_cores;
        self.claims.iter().map(move |claim| (claim, claim.at(level, memory)))
    }

    fn total(&self, water: &Water, of: impl Fn(&Claim) -> f64) -> f64 {
        self.jobs(water).map(|(claim, jobs)| jobs * of(claim)).sum()
    }

    /// The highest level that the CPUs allow, between two.
    fn water(&self, memory_counts: f64, low: f64, high: f64) -> Water {
        let memory = memory_counts * self.capacity.host_cores;
        let tops = self.claims.iter().map(|claim| claim.level_of_most(memory));
        // Where every claim has its most.
        let top = tops.fold(0.0, f64::max);
        let at = |level: f64| Water { level, memory_counts };
        if self.fits_cpus(&at(top)) {
            return at(top);
        }
        let (mut low, mut high) = (low.min(top), high.min(top));
        // By ratio where the range is wide: levels of small and large jobs differ by magnitudes.
        for _ in 0..STEPS {
            if high < 1e-12 || (low > 0.0 && high / low < 1.0001) {
                break;
            }
            let middle = if low > 0.0 { (low * high).sqrt() } else { high / 16.0 };
            if self.fits_cpus(&at(middle)) { low = middle } else { high = middle }
        }
        at(low)
    }

    fn fits_cpus(&self, water: &Water) -> bool {
        let asleep = self.total(water, |claim| claim.asleep * claim.cores);
        let delay = self.capacity.delay(
            self.total(water, |claim| claim.variance).sqrt(),
            asleep / self.total(water, |claim| claim.cores),
        );
        self.total(water, |claim| claim.contended(delay)) <= self.capacity.cores.max(0.0)
    }

    fn fits_memory(&self, water: &Water) -> bool {
        let rule = self.capacity.memory;
        let variance = self.total(water, |claim| claim.memory_deviation.powi(2));
        let greatest = self.claims.iter().map(|claim| claim.memory_deviation).fold(0.0, f64::max);
        let margin = (rule.total * variance.sqrt()).max(rule.single * greatest);
        self.total(water, |claim| claim.memory) + margin <= 1.0
    }

    fn shares(&self, water: &Water) -> Vec<Share> {
        let shares = self.jobs(water).map(|(claim, jobs)| {
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
    /// of weight, so that CPUs count as one per core, and all of the memory as `memory` cores.
    fn share(&self, memory: f64) -> f64 {
        self.cores.max(memory * self.memory).max(1e-6) / self.weight.max(1e-6)
    }

    fn at(&self, level: f64, memory: f64) -> f64 {
        // Not by division: rounded, a claim that has its most would seem to lack CPUs.
        if level >= self.level_of_most(memory) {
            return self.most.max(1.0);
        }
        (level / self.share(memory)).clamp(1.0, self.most.max(1.0))
    }

    fn level_of_most(&self, memory: f64) -> f64 {
        self.most.max(1.0) * self.share(memory)
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
