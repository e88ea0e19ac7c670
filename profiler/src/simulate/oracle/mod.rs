//! What the best limits that never change within a phase would have reached: found by trying them,
//! on the very runs that a controller is judged by.
//!
//! Goodput is useful work per second: the seconds that a job takes alone, of jobs that were completed
//! or still run at the end; what was killed or crashed counts nothing. With several connectors the
//! best limits are those with the greatest weighted geometric mean of the connectors' goodputs:
//! proportional fairness (Kelly 1997), which needs no exchange rate between connectors and never pays
//! for one with the whole of another.
//!
//! A limit that overcommits memory for a moment may do more than one that never does; so there are
//! two oracles, and plants with memory are judged by the one without overcommitment.

mod search;

use super::controller::{Ruled, Schedule};
use super::engine::run;
use super::figures::Figures;
use super::parallel;
use super::plant::Plant;
use search::Search;

/// What limits an oracle may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Any.
    Free,
    /// Those under which memory is never overcommitted, with any of the seeds.
    NoOvercommit,
}

/// The best limits, by phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Oracle {
    /// The best ones.
    pub limits: Vec<Vec<u32>>,
    /// The lowest ones that reach 99.5 % of that, where there is one connector: many limits may be
    /// as good, and an overshoot is one over the lowest.
    pub least: Vec<Vec<u32>>,
    /// Limits that were tried.
    pub tried: usize,
}

impl Oracle {
    /// Searches the best limits of `plant` for runs with `seeds`.
    #[must_use]
    pub fn search(plant: &Plant, seeds: &[u64], rule: Rule) -> Self {
        Search::new(plant, seeds, rule).best()
    }

    /// What the oracle's limits reach with a seed.
    #[must_use]
    pub fn run(&self, plant: &Plant, seed: u64) -> Figures {
        run(plant, seed, &|_, next| {
            let schedule = Schedule::new(plant.phase_starts(), self.limits.clone());
            Box::new(Ruled::new(plant, next, schedule))
        })
    }

    /// What the oracle's limits reach with each of the seeds.
    #[must_use]
    pub fn runs(&self, plant: &Plant, seeds: &[u64]) -> Vec<Figures> {
        parallel::map(seeds, |seed| self.run(plant, *seed))
    }
}
