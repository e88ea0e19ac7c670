//! A trial: one plant under one controller with several seeds, held against the oracle.

use serde::Serialize;

use super::controller::Kind;
use super::engine::run;
use super::figures::Figures;
use super::measures::Measures;
use super::oracle::{Oracle, Rule};
use super::parallel;
use super::plant::Plant;

/// The oracles of a plant, and what they reach with each seed.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The one that runs are judged by: without overcommitting, where memory plays a part.
    pub oracle: Oracle,
    /// Its runs, by seed.
    pub runs: Vec<Figures>,
    /// The one that may overcommit, where it was asked for and memory plays a part.
    pub free: Option<(Oracle, Vec<Figures>)>,
}

impl Reference {
    /// Searches the oracle, and the free one too if asked.
    #[must_use]
    pub fn search(plant: &Plant, seeds: &[u64], with_free: bool) -> Self {
        let rule = if plant.has_memory() { Rule::NoOvercommit } else { Rule::Free };
        let oracle = Oracle::search(plant, seeds, rule);
        let free = (with_free && rule == Rule::NoOvercommit).then(|| {
            let free = Oracle::search(plant, seeds, Rule::Free);
            let runs = free.runs(plant, seeds);
            (free, runs)
        });
        Self { runs: oracle.runs(plant, seeds), oracle, free }
    }
}

/// A plant under a controller.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The plant's name.
    pub plant: String,
    /// The controller's.
    pub controller: String,
    /// By phase, the oracle's limits.
    pub oracle: Vec<Vec<u32>>,
    /// By seed.
    pub runs: Vec<Measures>,
}

impl Trial {
    /// Runs `plant` under the controller `kind` with each of `seeds`, those of the reference.
    #[must_use]
    pub fn run(plant: &Plant, seeds: &[u64], kind: &Kind, reference: &Reference) -> Self {
        let with_best: Vec<(u64, &Figures)> = seeds.iter().copied().zip(&reference.runs).collect();
        let runs = parallel::map(&with_best, |(seed, best)| {
            let figures = run(plant, *seed, &|now, next| kind.begin(plant, now, next));
            Measures::new(plant, *seed, &figures, &reference.oracle, best)
        });
        Self {
            plant: plant.name.clone(),
            controller: kind.to_string(),
            oracle: reference.oracle.limits.clone(),
            runs,
        }
    }

    /// The mean of a figure over the seeds.
    #[must_use]
    pub fn mean(&self, figure: impl Fn(&Measures) -> f64) -> f64 {
        self.runs.iter().map(figure).sum::<f64>() / self.runs.len().max(1) as f64
    }

    /// The lowest of a figure over the seeds.
    #[must_use]
    pub fn lowest(&self, figure: impl Fn(&Measures) -> f64) -> f64 {
        self.runs.iter().map(figure).fold(f64::INFINITY, f64::min)
    }

    /// The highest of a figure over the seeds.
    #[must_use]
    pub fn highest(&self, figure: impl Fn(&Measures) -> f64) -> f64 {
        self.runs.iter().map(figure).fold(f64::NEG_INFINITY, f64::max)
    }
}
