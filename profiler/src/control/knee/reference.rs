//! How fast a job is where nobody is in its way.
//!
//! The fastest speed that was seen is not it: of a few jobs that differ, some are fast by luck, and what is
//! compared with luck seems slowed down ever after. So what may be the same within its error is averaged.

use serde::{Deserialize, Serialize};

use super::window::Point;

/// Speeds that are the same as far as one can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reference {
    /// What jobs did there.
    done: f64,
    /// Job-seconds in which they did.
    seconds: f64,
    /// Relative error of the speed.
    error: f64,
}

impl Reference {
    /// What a job does per second; 0 while nothing is known.
    pub(super) fn speed(&self) -> f64 {
        if self.seconds > 0.0 { self.done / self.seconds } else { 0.0 }
    }

    /// Relative error of a comparison with a speed.
    pub(super) fn error_beside(&self, point: &Point) -> f64 {
        self.error.hypot(point.error)
    }

    /// Takes in what was seen in `seconds` seconds: jobs that are surely faster than before are the first
    /// that nobody was in the way of; what is neither faster nor slower, by `sure` errors and a twentieth
    /// at least, makes the mean more exact.
    pub(super) fn learn(&mut self, point: &Point, seconds: f64, sure: f64) {
        let seen = point.present * seconds;
        let same = (sure * self.error_beside(point)).max(0.05);
        if point.speed > self.speed() * (1.0 + same) {
            *self = Self { done: point.speed * seen, seconds: seen, error: point.error };
        } else if point.speed > self.speed() * (1.0 - same) {
            let errors = (self.error * self.seconds).hypot(point.error * seen);
            self.done += point.speed * seen;
            self.seconds += seen;
            self.error = errors / self.seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::knee::window::point;

    fn after(speeds: &[(f64, f64)]) -> f64 {
        let mut reference = Reference::default();
        speeds.iter().for_each(|(speed, error)| reference.learn(&point(*speed, *error), 1.0, 1.5));
        reference.speed()
    }

    #[test]
    fn luck_is_averaged() {
        let speed = after(&[(1.3, 0.2), (0.9, 0.2), (1.2, 0.2), (0.8, 0.2)]);
        assert!((speed - 1.05).abs() < 0.01, "{speed}");
    }

    #[test]
    fn who_is_surely_faster_replaces_all() {
        assert!((after(&[(1.0, 0.02), (1.0, 0.02), (1.5, 0.05)]) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn who_is_surely_slower_counts_for_nothing() {
        assert!((after(&[(1.0, 0.02), (0.8, 0.05)]) - 1.0).abs() < 1e-9);
    }
}
