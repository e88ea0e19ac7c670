//! The search: all limits of a single connector, first coarsely, then each one around the best; a
//! compass search for several.

use std::collections::BTreeMap;

use super::{Oracle, Rule};
use crate::model::{LeaseId, Moment};
use crate::simulate::controller::{Agent, Fixed, Ruled};
use crate::simulate::engine::{Patience, run_with_patience};
use crate::simulate::parallel;
use crate::simulate::plant::Plant;

/// The highest limit that is tried where no number of workers bounds it.
const MOST_LIMIT: u32 = 256;
/// Limits under which more jobs are killed than this in a run are not among the best ones.
const HOPELESS_KILLS: u32 = 1000;
/// Limits are searched with the first of the seeds, and the result is then held against all.
const SEARCH_SEEDS: usize = 3;
/// What is so close to the best counts as best, when the lowest good limit is asked for.
const GOOD: f64 = 0.995;
/// Neighbours on the coarse grid differ by this factor, and by one at least.
const COARSE: f64 = 1.15;
/// Steps of the compass search, as factors; the last is one up or down.
const STEPS: [f64; 4] = [1.8, 1.3, 1.1, 1.0];
/// Rounds of the compass search with each step at most.
const ROUNDS: usize = 12;
/// A gain that is worth a move: the logarithm of a factor.
const GAIN: f64 = 2e-4;

/// What a set of limits reached.
#[derive(Clone, Debug)]
struct Reached {
    /// By phase and connector.
    goodput: Vec<Vec<f64>>,
    /// By phase.
    overcommits: Vec<u32>,
}

pub(super) struct Search<'a> {
    plant: &'a Plant,
    seeds: &'a [u64],
    rule: Rule,
    most: Vec<u32>,
    weights: Vec<f64>,
    known: BTreeMap<Vec<u32>, Reached>,
}

impl<'a> Search<'a> {
    pub(super) fn new(plant: &'a Plant, seeds: &'a [u64], rule: Rule) -> Self {
        let profiles = plant.profiles();
        let most = plant.connectors.iter().zip(&profiles).map(|(connector, profile)| {
            let workers = connector.arrival.backlog().unwrap_or(MOST_LIMIT);
            workers.min(profile.max_concurrent_jobs.unwrap_or(u32::MAX)).max(1)
        });
        let weights = profiles.iter().map(|profile| profile.weight);
        Self {
            plant,
            seeds,
            rule,
            most: most.collect(),
            weights: weights.collect(),
            known: BTreeMap::new(),
        }
    }

    pub(super) fn best(mut self) -> Oracle {
        let phases = self.plant.phases.len() + 1;
        let (mut limits, mut least) = (Vec::new(), Vec::new());
        for phase in 0..phases {
            let best = match self.most.as_slice() {
                [most] => self.best_of_one(*most, phase),
                _ => self.compass(phase),
            };
            let best = self.verified(best, phase);
            least.push(self.least(&best, phase));
            limits.push(best);
        }
        Oracle { limits, least, tried: self.known.len() }
    }

    /// Runs those of `candidates` that were not yet.
    fn learn(&mut self, candidates: &[Vec<u32>]) {
        let mut new: Vec<Vec<u32>> =
            candidates.iter().filter(|limits| !self.known.contains_key(*limits)).cloned().collect();
        new.sort();
        new.dedup();
        // A compass search takes many more runs, and its plants are long enough for two.
        let most = if self.most.len() > 1 { SEARCH_SEEDS - 1 } else { SEARCH_SEEDS };
        let seeds = &self.seeds[..self.seeds.len().min(most)];
        let rule = self.rule;
        let reached = parallel::map(&new, |limits| reached(self.plant, limits, seeds, rule));
        self.known.extend(new.into_iter().zip(reached));
    }

    /// The logarithm of the weighted geometric mean of goodputs; nothing is worse than to break the
    /// rule.
    fn score(&self, limits: &[u32], phase: usize) -> f64 {
        let Some(reached) = self.known.get(limits) else { return f64::NEG_INFINITY };
        if self.rule == Rule::NoOvercommit && reached.overcommits[phase] > 0 {
            return f64::NEG_INFINITY;
        }
        let logs = self.weights.iter().zip(&reached.goodput[phase]);
        let sum: f64 = logs.map(|(weight, goodput)| weight * goodput.max(1e-9).ln()).sum();
        sum / self.weights.iter().sum::<f64>()
    }

    /// The best of what is known; of equals the lowest.
    fn best_known(&self, phase: usize) -> Vec<u32> {
        let mut best: Option<(&Vec<u32>, f64)> = None;
        for limits in self.known.keys() {
            let score = self.score(limits, phase);
            if score > best.map_or(f64::NEG_INFINITY, |(_, score)| score + 1e-12) {
                best = Some((limits, score));
            }
        }
        best.map_or_else(|| vec![1; self.most.len()], |(limits, _)| limits.clone())
    }

    fn best_of_one(&mut self, most: u32, phase: usize) -> Vec<u32> {
        let mut coarse = vec![1];
        while let Some(last) = coarse.last().copied().filter(|last| *last < most) {
            coarse.push(scaled(last, COARSE).max(last + 1).min(most));
        }
        self.learn(&coarse.iter().map(|limit| vec![*limit]).collect::<Vec<_>>());
        let best = self.best_known(phase)[0];
        let below = coarse.iter().rev().find(|limit| **limit < best).copied().unwrap_or(1);
        let above = coarse.iter().find(|limit| **limit > best).copied().unwrap_or(best);
        self.learn(&(below..=above).map(|limit| vec![limit]).collect::<Vec<_>>());
        self.best_known(phase)
    }

    /// Hooke and Jeeves' pattern of moves along each axis, with steps that shrink; then exchanges
    /// between two connectors.
    fn compass(&mut self, phase: usize) -> Vec<u32> {
        let equal = |limit: u32| self.most.iter().map(|most| limit.min(*most)).collect::<Vec<_>>();
        let starts: Vec<Vec<u32>> = [1, 4, 12, 32].into_iter().map(equal).collect();
        self.learn(&starts);
        let mut best = self.best_known(phase);
        for step in STEPS {
            for _ in 0..ROUNDS {
                let before = self.score(&best, phase);
                for connector in 0..self.most.len() {
                    let moves =
                        [self.moved(&best, connector, step), self.moved(&best, connector, -step)];
                    best = self.better(best, &moves, phase);
                }
                if self.score(&best, phase) < before + GAIN {
                    break;
                }
            }
        }
        for step in [1.15, 1.0] {
            for _ in 0..ROUNDS {
                let before = self.score(&best, phase);
                let exchanges = self.exchanges(&best, step);
                best = self.better(best, &exchanges, phase);
                if self.score(&best, phase) < before + GAIN {
                    break;
                }
            }
        }
        best
    }

    /// `limits` with one of them a step higher, or lower for a negative step.
    fn moved(&self, limits: &[u32], connector: usize, step: f64) -> Vec<u32> {
        let mut limits = limits.to_vec();
        let limit = limits[connector];
        let new = if step > 0.0 {
            scaled(limit, step).max(limit + 1)
        } else {
            scaled(limit, -1.0 / step).min(limit.saturating_sub(1))
        };
        limits[connector] = new.clamp(1, self.most[connector]);
        limits
    }

    fn exchanges(&self, limits: &[u32], step: f64) -> Vec<Vec<u32>> {
        let connectors = self.most.len();
        let pairs = (0..connectors).flat_map(|up| (0..connectors).map(move |down| (up, down)));
        pairs
            .filter(|(up, down)| up != down)
            .map(|(up, down)| self.moved(&self.moved(limits, up, step), down, -step))
            .collect()
    }

    fn better(&mut self, best: Vec<u32>, candidates: &[Vec<u32>], phase: usize) -> Vec<u32> {
        self.learn(candidates);
        let score = |limits: &Vec<u32>| self.score(limits, phase);
        let winner = candidates.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
        match winner {
            Some(winner) if score(winner) > score(&best) + GAIN => winner.clone(),
            _ => best,
        }
    }

    /// The best limits that keep the rule with every seed, where `best` keeps it with some.
    fn verified(&mut self, mut best: Vec<u32>, phase: usize) -> Vec<u32> {
        if self.rule == Rule::Free {
            return best;
        }
        while best.iter().any(|limit| *limit > 1) {
            let runs = parallel::map(self.seeds, |seed| {
                reached(self.plant, &best, std::slice::from_ref(seed), self.rule).overcommits[phase]
            });
            if runs.iter().all(|overcommits| *overcommits == 0) {
                return best;
            }
            if let Some(known) = self.known.get_mut(&best) {
                known.overcommits[phase] += 1;
            }
            let next = self.best_known(phase);
            best = if next == best { vec![1; best.len()] } else { next };
        }
        best
    }

    fn least(&self, best: &[u32], phase: usize) -> Vec<u32> {
        if best.len() > 1 {
            return best.to_vec();
        }
        let enough = self.score(best, phase) + GOOD.ln();
        let mut good = self.known.keys().filter(|limits| self.score(limits, phase) >= enough);
        good.next().map_or_else(|| best.to_vec(), Clone::clone)
    }
}

/// `limit` times `factor`, rounded.
#[allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "saturates, and is small"
)]
fn scaled(limit: u32, factor: f64) -> u32 {
    (f64::from(limit) * factor).round() as u32
}

/// The means over the seeds.
fn reached(plant: &Plant, limits: &[u32], seeds: &[u64], rule: Rule) -> Reached {
    let phases = plant.phases.len() + 1;
    let mut sum =
        Reached { goodput: vec![vec![0.0; limits.len()]; phases], overcommits: vec![0; phases] };
    for seed in seeds {
        let build = |_: Moment, next: LeaseId| -> Box<dyn Agent> {
            Box::new(Ruled::new(plant, next, Fixed::new(limits.to_vec())))
        };
        // Where one overcommitment is too many, and no other phase could be better, it is the end.
        let no_overcommit = rule == Rule::NoOvercommit && phases == 1;
        let patience = Patience { no_overcommit, most_kills: Some(HOPELESS_KILLS) };
        let figures = run_with_patience(plant, *seed, &build, patience);
        if no_overcommit && figures.overcommits() > 0 {
            sum.overcommits[0] += figures.overcommits();
            return sum;
        }
        for (phase, figures) in figures.phases.iter().enumerate() {
            sum.overcommits[phase] += figures.overcommits;
            for (connector, work) in figures.work.iter().enumerate() {
                let seconds = figures.seconds * seeds.len() as f64;
                sum.goodput[phase][connector] += work / seconds;
            }
        }
    }
    sum
}
