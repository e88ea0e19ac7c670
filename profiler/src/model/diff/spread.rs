//! How far a ratio may be off, judged from the runs alone.
//!
//! Of two sets of runs each run of B is divided by each run of A. In the sorted list of these
//! ratios, the one at place k and the one at place k from the end enclose the true ratio with a
//! chance that depends on nothing but k and the sizes of the sets: that of the rank-sum test
//! (Wilcoxon, Mann and Whitney). How figures are distributed need not be known.

use serde::Serialize;

/// An interval that leaves the true ratio out this seldom is good enough; a narrower one that does
/// so too is taken.
const GOOD: f64 = 0.05;
/// An interval that leaves it out more often says nothing: two and two runs are too few.
pub(super) const TOLERABLE: f64 = 0.1;

/// Where the ratio of two sets lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// No less than this.
    pub low: f64,
    /// No more than this.
    pub high: f64,
    /// How often an interval made in this way leaves the true ratio out: 0.1 is 10 times in 100.
    pub miss: f64,
}

/// The spread of the ratios of every run in `b` to every run in `a`; both have at least one.
#[must_use]
pub(super) fn spread(a: &[f64], b: &[f64]) -> Spread {
    let mut ratios: Vec<f64> =
        b.iter().flat_map(|b| a.iter().map(move |a| super::ratio(*a, *b))).collect();
    ratios.sort_by(f64::total_cmp);
    let (skipped, miss) = skipped(a.len(), b.len());
    let (low, high) = (ratios.get(skipped), ratios.iter().rev().nth(skipped));
    Spread { low: low.copied().unwrap_or(0.0), high: high.copied().unwrap_or(f64::INFINITY), miss }
}

/// How many of the ratios to skip at each end, and how often the true ratio is then left out.
fn skipped(a: usize, b: usize) -> (usize, f64) {
    let ways = ways(a, b);
    let all: f64 = ways.iter().sum();
    let mut seen = 0.0;
    let mut found = None;
    for (skipped, number) in ways.iter().enumerate() {
        seen += number;
        let miss = (2.0 * seen / all).min(1.0);
        if found.is_some() && miss > GOOD {
            break;
        }
        found = Some((skipped, miss));
    }
    found.unwrap_or((0, 1.0))
}

/// In how many of the orders that `a` and `b` runs can come in, exactly u pairs have the run of B
/// before that of A; by u.
fn ways(a: usize, b: usize) -> Vec<f64> {
    let most = a * b;
    // by_parts[j][u]: ways to write u as a sum of j numbers, none above the size looked at.
    let mut by_parts = vec![vec![0.0; most + 1]; a + 1];
    by_parts[0][0] = 1.0;
    for size in 1..=b {
        for parts in 1..=a {
            for sum in size..=most {
                by_parts[parts][sum] += by_parts[parts - 1][sum - size];
            }
        }
    }
    (0..=most).map(|sum| by_parts.iter().map(|sums| sums[sum]).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_counted_once() {
        assert_eq!(ways(1, 1), [1.0, 1.0]);
        assert_eq!(ways(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ways(3, 3).iter().sum::<f64>(), 20.0);
        assert_eq!(ways(5, 4).iter().sum::<f64>(), 126.0);
        assert_eq!(ways(5, 4), ways(4, 5));
    }

    /// The critical values are those that tables of the rank-sum test give for 5 % on both sides.
    #[test]
    fn as_many_are_skipped_as_tables_of_the_test_say() {
        let critical = [(4, 4, 0), (5, 5, 2), (6, 6, 5), (8, 8, 13), (10, 10, 23), (20, 20, 127)];
        for (a, b, largest) in critical {
            let (skipped, miss) = skipped(a, b);
            assert_eq!(skipped, largest, "{a} and {b} runs");
            assert!(miss <= GOOD);
        }
    }

    #[test]
    fn few_runs_leave_the_truth_out_as_often_as_chance_says() {
        assert_eq!(skipped(3, 3), (0, 0.1));
        assert_eq!(skipped(2, 2), (0, 2.0 / 6.0));
        assert_eq!(skipped(1, 1), (0, 1.0));
    }

    #[test]
    fn the_spread_is_that_of_the_pairs() {
        let spread = spread(&[10.0, 20.0, 40.0], &[20.0, 30.0, 40.0]);
        assert_eq!((spread.low, spread.high), (0.5, 4.0));
    }
}
