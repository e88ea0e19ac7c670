//! Two sets of runs compared, figure by figure.
//!
//! A verdict is given only where the spread of the runs allows one: never from one run.

mod figures;
mod spread;

use serde::Serialize;

pub use figures::{FIGURES, Figure, Unit};
pub use spread::Spread;

use super::Usage;

/// Most runs in one set; the work grows with the square of both.
pub const MOST_RUNS: usize = 50;

/// One figure in two sets of runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The figure's name in the record.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: Unit,
    /// In the first set; `None` unless every run of it knows the figure.
    pub a: Option<Values>,
    /// In the second set, likewise.
    pub b: Option<Values>,
    /// Median of B by median of A. Infinite if only A's is 0, and 1 if both are.
    pub ratio: Option<f64>,
    /// Where the ratio lies, as far as the runs can tell; `None` with one run on a side.
    pub spread: Option<Spread>,
    /// What can be said.
    pub verdict: Verdict,
}

/// A figure in one set of runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Values {
    /// Half of the runs are no higher, half no lower.
    pub median: f64,
    /// The lowest.
    pub min: u64,
    /// The highest.
    pub max: u64,
}

/// What can be said about a figure of two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// B has more: its whole spread lies above 1.
    More,
    /// B has less: its whole spread lies below 1.
    Less,
    /// The same number in each run of both sets.
    Equal,
    /// The spread includes 1.
    NoDifferenceShown,
    /// One run on a side has no spread.
    OneRun,
    /// So few runs that any order of them may be chance.
    TooFewRuns,
    /// Some run does not know the figure.
    Unknown,
}

/// Compares the figures of two sets of runs, in the record's order.
#[must_use]
pub fn compare(a: &[&Usage], b: &[&Usage]) -> Vec<Comparison> {
    FIGURES.iter().map(|figure| compare_figure(figure, a, b)).collect()
}

impl Comparison {
    /// Whether there is nothing to see: no run knows the figure, or it is 0 in all of them.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let known = [self.a, self.b];
        known.into_iter().flatten().all(|values| values.max == 0)
    }
}

fn compare_figure(figure: &Figure, a: &[&Usage], b: &[&Usage]) -> Comparison {
    let known = |set: &[&Usage]| -> Option<Vec<u64>> {
        let mut values: Vec<u64> =
            set.iter().map(|usage| figure.of(usage)).collect::<Option<_>>()?;
        values.sort_unstable();
        Some(values)
    };
    let (a, b) = (known(a), known(b));
    let sides = [values(a.as_deref()), values(b.as_deref())];
    let mut comparison = Comparison {
        name: figure.name,
        unit: figure.unit,
        a: sides[0],
        b: sides[1],
        ratio: None,
        spread: None,
        verdict: Verdict::Unknown,
    };
    if let ([Some(a_values), Some(b_values)], Some(a), Some(b)) = (sides, a, b) {
        let middle = ratio(a_values.median, b_values.median);
        comparison.ratio = Some(middle);
        comparison.spread = spread_around(middle, &a, &b);
        comparison.verdict = verdict(&a_values, &b_values, comparison.spread);
    }
    comparison
}

/// Of sorted values.
fn values(sorted: Option<&[u64]>) -> Option<Values> {
    let sorted = sorted?;
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let (low, high) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some(Values { median: f64::midpoint(*low as f64, *high as f64), min, max })
}

/// B by A. What is the same, 0 included, has the ratio 1.
fn ratio(a: f64, b: f64) -> f64 {
    if a == b { 1.0 } else { b / a }
}

fn spread_around(middle: f64, a: &[u64], b: &[u64]) -> Option<Spread> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let floats = |values: &[u64]| values.iter().map(|value| *value as f64).collect::<Vec<f64>>();
    let spread = spread::spread(&floats(a), &floats(b));
    // The ratio of the medians is not quite the middle of the ratios of all pairs: what is shown
    // must lie in what is shown around it.
    Some(Spread { low: spread.low.min(middle), high: spread.high.max(middle), ..spread })
}

fn verdict(a: &Values, b: &Values, spread: Option<Spread>) -> Verdict {
    let Some(spread) = spread else { return Verdict::OneRun };
    match spread {
        _ if [a.max, b.min, b.max] == [a.min; 3] => Verdict::Equal,
        Spread { miss, .. } if miss > spread::TOLERABLE => Verdict::TooFewRuns,
        Spread { low, .. } if low > 1.0 => Verdict::More,
        Spread { high, .. } if high < 1.0 => Verdict::Less,
        _ => Verdict::NoDifferenceShown,
    }
}

#[cfg(test)]
mod tests;
