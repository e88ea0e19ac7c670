//! Quantiles of positive figures in a fixed, small space.
//!
//! Buckets whose bounds grow by a tenth of a power of two (7.2 %), as in `DDSketch` (Masson, Rim,
//! Lee: "DDSketch", VLDB 2019) with a fixed range: a quantile is off by at most 3.6 %. What is
//! below or above the range counts as its end. Older figures fade by halving all counts whenever
//! their sum passes [`Sketch::MEMORY`].

use serde::{Deserialize, Serialize};

/// Buckets per factor of two.
const FINENESS: f64 = 10.0;
/// The lowest bucket holds all up to 2^LOWEST.
const LOWEST: f64 = -10.0;
/// Enough for 2^-10 to 2^50: from a millisecond to a petabyte.
const BUCKETS: usize = 601;

/// Counts of figures by magnitude.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, f64)>", into = "Vec<(u16, f64)>")]
pub struct Sketch {
    // From the first bucket to the last that has any; few are in use, so few are kept.
    first: usize,
    counts: Vec<f64>,
    sum: f64,
}

impl Sketch {
    /// How many of the latest figures weigh more than half of all.
    pub const MEMORY: f64 = 1000.0;

    fn bucket(figure: f64) -> usize {
        let place = ((figure.log2() - LOWEST) * FINENESS).ceil();
        #[allow(clippy::cast_sign_loss, reason = "clamped to the buckets")]
        let place = place.clamp(0.0, (BUCKETS - 1) as f64) as usize;
        place
    }

    fn middle(bucket: usize) -> f64 {
        ((bucket as f64 - 0.5) / FINENESS + LOWEST).exp2()
    }

    /// Counts a figure; what is not a positive number counts as the least.
    pub fn add(&mut self, figure: f64) {
        let bucket = if figure > 0.0 { Self::bucket(figure) } else { 0 };
        self.count(bucket, 1.0);
        if self.sum > Self::MEMORY {
            self.sum = 0.0;
            for count in &mut self.counts {
                *count /= 2.0;
                self.sum += *count;
            }
        }
    }

    fn count(&mut self, bucket: usize, count: f64) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = self.first - bucket;
            self.counts.splice(0..0, std::iter::repeat_n(0.0, missing));
            self.first = bucket;
        }
        let place = bucket - self.first;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0.0);
        }
        if let Some(slot) = self.counts.get_mut(place) {
            *slot += count;
            self.sum += count;
        }
    }

    /// How many figures it stands for, the older ones counting less.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.sum
    }

    /// The figure below which this share of all is; `None` if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share.clamp(0.0, 1.0) * self.sum;
        let mut seen = 0.0;
        let mut last = None;
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            last = Some(Self::middle(self.first + place));
            seen += count;
            if seen >= rank {
                break;
            }
        }
        last
    }
}

impl From<Vec<(u16, f64)>> for Sketch {
    /// What is no count of a bucket is left out.
    fn from(list: Vec<(u16, f64)>) -> Self {
        let mut sketch = Self::default();
        let valid = list.into_iter().filter(|(bucket, count)| {
            usize::from(*bucket) < BUCKETS && *count > 0.0 && *count <= Self::MEMORY
        });
        for (bucket, count) in valid {
            sketch.count(usize::from(bucket), count);
        }
        sketch
    }
}

impl From<Sketch> for Vec<(u16, f64)> {
    fn from(sketch: Sketch) -> Self {
        let first = sketch.first;
        let counts = sketch.counts.into_iter().enumerate().filter(|(_, count)| *count > 0.0);
        counts
            .filter_map(|(place, count)| Some((u16::try_from(first + place).ok()?, count)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_within_four_percent_of_the_exact_one(
            mut figures in proptest::collection::vec(0.01f64..1e12, 1..500),
            share in 0.0f64..1.0,
        ) {
            let mut sketch = Sketch::default();
            for figure in &figures {
                sketch.add(*figure);
            }
            figures.sort_by(f64::total_cmp);
            let rank = share * figures.len() as f64;
            let exact = *figures.iter().zip(1..).find(|(_, n)| f64::from(*n) >= rank).unwrap().0;
            let found = sketch.quantile(share).unwrap();
            prop_assert!((found / exact - 1.0).abs() < 0.04, "{} for {}", found, exact);
        }

        #[test]
        fn any_figure_is_taken(figure in any::<f64>()) {
            let mut sketch = Sketch::default();
            sketch.add(figure);
            prop_assert!(sketch.quantile(0.5).unwrap().is_finite());
        }
    }

    #[test]
    fn the_past_fades() {
        let mut sketch = Sketch::default();
        (0..5000).for_each(|_| sketch.add(1.0));
        (0..3000).for_each(|_| sketch.add(100.0));
        assert!(sketch.quantile(0.2).unwrap() > 90.0);
        assert!(sketch.weight() <= Sketch::MEMORY + 1.0);
    }

    #[test]
    fn it_is_the_same_after_a_restart() {
        let mut sketch = Sketch::default();
        [3.0, 8.0, 1e9, 0.0].iter().for_each(|figure| sketch.add(*figure));
        let text = serde_json::to_string(&sketch).unwrap();
        assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), sketch);
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}
