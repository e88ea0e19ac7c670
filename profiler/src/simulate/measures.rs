//! How good a run was, against what the oracle reached with the same random numbers.

use serde::Serialize;

use super::figures::{Figures, TICK_SECONDS};
use super::oracle::Oracle;
use super::plant::Plant;

/// How good a run was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// The seed.
    pub seed: u64,
    /// Goodput over the oracle's: 1 is as good.
    pub goodput: f64,
    /// By phase.
    pub phases: Vec<PhaseMeasures>,
    /// Times at which memory began to be overcommitted.
    pub overcommits: u32,
    /// How long it was.
    pub overcommitted_seconds: f64,
    /// Jobs that were killed for want of memory.
    pub kills: u32,
    /// Jobs that crashed.
    pub crashes: u32,
    /// Requests that a server refused.
    pub refused: u32,
    /// Seconds that connectors were starved, added up.
    pub starved_seconds: f64,
    /// Jain's index of fairness over what each connector got of what the oracle gave it.
    pub jain: f64,
    /// How long requests waited for their slot: the median.
    pub wait_p50_seconds: f64,
    /// The longest wait but for one in a hundred.
    pub wait_p99_seconds: f64,
    /// Jobs completed, by connector.
    pub jobs: Vec<u32>,
}

/// How good a phase was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseMeasures {
    /// What it is called.
    pub name: String,
    /// Goodput over the oracle's.
    pub goodput: f64,
    /// By connector.
    pub connectors: Vec<f64>,
    /// After how many seconds as many might run as in the end, or about so; the worst connector's.
    pub settling_seconds: f64,
    /// The most jobs that ran, over the oracle's limit, once there were not more than that.
    pub overshoot: f64,
    /// Coefficient of variation of the limit in the last third; the worst connector's.
    pub oscillation: f64,
}

/// A number of jobs is close to the final one within this part of it, or within one.
const CLOSE: f64 = 0.15;
/// It stays there if it is there in this part of the ticks ...
const STAYS: f64 = 0.9;
/// ... of this time.
const STAYS_SECONDS: f64 = 15.0;

impl Measures {
    /// Holds `figures` against what `oracle` reached, `best`, with the same seed.
    #[must_use]
    pub fn new(
        plant: &Plant,
        seed: u64,
        figures: &Figures,
        oracle: &Oracle,
        best: &Figures,
    ) -> Self {
        let connectors = 0..plant.connectors.len();
        let ratios: Vec<f64> = connectors
            .map(|connector| ratio(figures.work(connector), best.work(connector)))
            .collect();
        let mut waits: Vec<f32> = figures.waits.iter().flatten().copied().collect();
        waits.sort_by(f32::total_cmp);
        let jobs =
            |connector: usize| figures.phases.iter().map(|phase| phase.jobs[connector]).sum();
        Self {
            seed,
            goodput: weighted_mean(plant, &ratios),
            phases: phases(plant, figures, oracle, best),
            overcommits: figures.overcommits(),
            overcommitted_seconds: figures.overcommitted_seconds,
            kills: figures.kills,
            crashes: figures.crashes,
            refused: figures.refused,
            starved_seconds: figures.starved_seconds.iter().sum(),
            jain: jain(&ratios),
            wait_p50_seconds: quantile(&waits, 0.5),
            wait_p99_seconds: quantile(&waits, 0.99),
            jobs: (0..plant.connectors.len()).map(jobs).collect(),
        }
    }

    /// The longest settling of any phase.
    #[must_use]
    pub fn settling_seconds(&self) -> f64 {
        self.phases.iter().map(|phase| phase.settling_seconds).fold(0.0, f64::max)
    }

    /// The highest overshoot of any phase.
    #[must_use]
    pub fn overshoot(&self) -> f64 {
        self.phases.iter().map(|phase| phase.overshoot).fold(0.0, f64::max)
    }

    /// The strongest oscillation of any phase.
    #[must_use]
    pub fn oscillation(&self) -> f64 {
        self.phases.iter().map(|phase| phase.oscillation).fold(0.0, f64::max)
    }

    /// The goodput of the worst phase.
    #[must_use]
    pub fn worst_phase(&self) -> f64 {
        self.phases.iter().map(|phase| phase.goodput).fold(f64::INFINITY, f64::min)
    }
}

fn phases(plant: &Plant, figures: &Figures, oracle: &Oracle, best: &Figures) -> Vec<PhaseMeasures> {
    let starts = plant.phase_starts();
    let names = plant.phase_names();
    let mut measures = Vec::new();
    for (phase, (name, start)) in names.iter().zip(&starts).enumerate() {
        let end = starts.get(phase + 1).copied().unwrap_or(f64::INFINITY);
        let ticks = |row: &usize| {
            let at = *row as f64 * TICK_SECONDS;
            at >= *start && at < end
        };
        let rows: Vec<usize> = (0..figures.limits.len()).filter(ticks).collect();
        let both = figures.phases[phase].work.iter().zip(&best.phases[phase].work);
        let connectors: Vec<f64> = both.map(|(own, best)| ratio(*own, *best)).collect();
        let limits = |connector: usize| -> Vec<f64> {
            rows.iter().map(|row| f64::from(figures.limits[*row][connector])).collect()
        };
        let allowed = |connector: usize| -> Vec<f64> {
            rows.iter().map(|row| f64::from(figures.allowed(*row, connector))).collect()
        };
        let in_use = |connector: usize| -> Vec<f64> {
            rows.iter().map(|row| f64::from(figures.in_use[*row][connector])).collect()
        };
        let each = || 0..plant.connectors.len();
        let target = |connector: usize| f64::from(oracle.least[phase][connector]);
        measures.push(PhaseMeasures {
            name: (*name).to_owned(),
            goodput: weighted_mean(plant, &connectors),
            connectors,
            settling_seconds: each().map(|c| settling(&allowed(c))).fold(0.0, f64::max),
            overshoot: each().map(|c| overshoot(&in_use(c), target(c))).fold(0.0, f64::max),
            oscillation: each().map(|c| oscillation(&limits(c))).fold(0.0, f64::max),
        });
    }
    measures
}

/// What was reached of what could be; all, where nothing could.
fn ratio(own: f64, best: f64) -> f64 {
    if best > 0.0 { (own / best).max(0.0) } else { 1.0 }
}

/// Geometric, by the connectors' weights.
fn weighted_mean(plant: &Plant, ratios: &[f64]) -> f64 {
    let weights: Vec<f64> = plant.profiles().iter().map(|profile| profile.weight).collect();
    let sum: f64 = weights.iter().zip(ratios).map(|(weight, ratio)| weight * ratio.ln()).sum();
    (sum / weights.iter().sum::<f64>()).exp()
}

/// Jain, Chiu and Hawe 1984: 1 if all are equal, 1/n if one has everything.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) =
        shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    if squares > 0.0 { sum * sum / (shares.len() as f64 * squares) } else { 1.0 }
}

/// Of sorted values; 0 of none.
fn quantile(sorted: &[f32], part: f64) -> f64 {
    #[allow(clippy::cast_sign_loss, reason = "a part of a length")]
    let index = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().map_or(0.0, f64::from)
}

/// Mean and deviation of the last third.
fn last_third(series: &[f64]) -> (f64, f64) {
    let last = &series[series.len() - series.len().div_ceil(3).min(series.len())..];
    let count = last.len().max(1) as f64;
    let mean = last.iter().sum::<f64>() / count;
    let variance = last.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn oscillation(limits: &[f64]) -> f64 {
    let (mean, deviation) = last_third(limits);
    if mean > 0.0 { deviation / mean } else { 0.0 }
}

/// Seconds until a number of jobs is close to the mean of its last third and stays there: settling time
/// as control theory has it, with a band that holds the noise of whole numbers and of trials. It is
/// that of [`Figures::allowed`], since a limit that nobody reaches says nothing.
fn settling(limits: &[f64]) -> f64 {
    let (mean, _) = last_third(limits);
    let is_close = |limit: &f64| (limit - mean).abs() <= (CLOSE * mean).max(1.0);
    let close: Vec<usize> = limits.iter().map(|limit| usize::from(is_close(limit))).collect();
    #[allow(clippy::cast_sign_loss, reason = "a quotient of positive constants")]
    let window = ((STAYS_SECONDS / TICK_SECONDS) as usize).min(close.len()).max(1);
    let needed = STAYS * window as f64;
    let settled = close.windows(window).position(|window| {
        window.first() == Some(&1) && window.iter().sum::<usize>() as f64 >= needed
    });
    settled.unwrap_or(limits.len()) as f64 * TICK_SECONDS
}

/// The most that ran over the oracle's limit, from when it first was at or below that.
fn overshoot(in_use: &[f64], target: f64) -> f64 {
    let begin = in_use.iter().position(|running| *running <= target).unwrap_or(0);
    in_use[begin.min(in_use.len())..].iter().fold(0.0, |most: f64, x| most.max(*x))
        / target.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_settles_when_it_stays() {
        let mut limits = vec![4.0; 40];
        limits.extend(vec![16.0; 400]);
        assert_eq!(settling(&limits), 10.0);
        assert_eq!(settling(&[16.0; 400]), 0.0);
        // A short probe does not unsettle it.
        limits[200..210].fill(21.0);
        assert_eq!(settling(&limits), 10.0);
        let swings: Vec<f64> =
            (0..400).map(|tick| if tick % 80 < 40 { 4.0 } else { 16.0 }).collect();
        assert_eq!(settling(&swings), 100.0);
        assert!(oscillation(&swings) > 0.5 && oscillation(&limits) < 1e-9);
    }

    #[test]
    fn where_memory_holds_jobs_back_it_is_not_the_limit_that_settles() {
        let figures = Figures {
            limits: vec![vec![32], vec![64], vec![64]],
            in_use: vec![vec![9], vec![9], vec![64]],
            waiting: vec![vec![5], vec![0], vec![7]],
            ..Figures::default()
        };
        assert_eq!([0, 1, 2, 3].map(|tick| figures.allowed(tick, 0)), [9, 64, 64, 1]);
    }

    #[test]
    fn an_overshoot_is_judged_once_the_old_jobs_are_gone() {
        assert_eq!(overshoot(&[80.0, 60.0, 20.0, 16.0, 18.0, 16.0], 16.0), 18.0 / 16.0);
        assert_eq!(overshoot(&[32.0, 32.0], 16.0), 2.0);
    }

    #[test]
    fn fairness_is_one_if_all_get_the_same() {
        assert!((jain(&[0.7, 0.7, 0.7]) - 1.0).abs() < 1e-12);
        assert_eq!(jain(&[1.0, 0.0]), 0.5);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let waits: Vec<f32> = (1..=100_u8).map(f32::from).collect();
        assert_eq!((quantile(&waits, 0.5), quantile(&waits, 0.99)), (50.0, 99.0));
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
