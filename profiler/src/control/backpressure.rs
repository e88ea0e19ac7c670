//! How close to its limits the host is, and each connector by its own threshold.
//!
//! A level rises at once and falls only below a lower mark that holds for a while: who is told of
//! levels is not told of each crossing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Level, Moment};

/// Marks and times of the levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackpressureSettings {
    /// Share of CPU time in use from which on the host's level is high. 0.85: the rest is for
    /// who sits in front of it.
    pub cpu: f64,
    /// Share of memory in use from which on the host's level is high. 0.8: what is left has to
    /// last for the caches of all.
    pub memory: f64,
    /// From so much below the mark on the level is elevated. 0.1: a warning before it counts.
    pub elevated_below: f64,
    /// Share of the way from the mark to full from which on the level is critical.
    pub critical_above: f64,
    /// A level falls when the share is so much below its mark. 0.05: several times the noise of a
    /// share over one second.
    pub hysteresis: f64,
    /// ... for so long.
    pub calm: Duration,
}

impl Default for BackpressureSettings {
    fn default() -> Self {
        Self {
            cpu: 0.85,
            memory: 0.8,
            elevated_below: 0.1,
            critical_above: 0.75,
            hysteresis: 0.05,
            calm: Duration::from_secs(3),
        }
    }
}

/// A level over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Backpressure {
    level: Level,
    calm_since: Option<Moment>,
}

impl Backpressure {
    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Takes shares in use, each with its mark, and gives the level if it changed. Shares that are
    /// no numbers are left out.
    pub fn update(
        &mut self,
        now: Moment,
        settings: &BackpressureSettings,
        shares: &[(f64, f64)],
    ) -> Option<Level> {
        let with = |slack: f64| {
            let levels = shares.iter().map(|(share, mark)| settings.level(share + slack, *mark));
            levels.max().unwrap_or_default()
        };
        let (risen, fallen) = (with(0.0), with(settings.hysteresis));
        if risen > self.level {
            *self = Self { level: risen, calm_since: None };
            return Some(risen);
        }
        if fallen >= self.level {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.since(since) < settings.calm {
            return None;
        }
        *self = Self { level: fallen, calm_since: None };
        Some(fallen)
    }
}

impl BackpressureSettings {
    fn level(&self, share: f64, mark: f64) -> Level {
        if share.is_nan() {
            Level::Normal
        } else if share >= mark + (1.0 - mark) * self.critical_above {
            Level::Critical
        } else if share >= mark {
            Level::High
        } else if share >= mark - self.elevated_below {
            Level::Elevated
        } else {
            Level::Normal
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn levels(shares: &[(u64, f64)]) -> Vec<Level> {
        let settings = BackpressureSettings::default();
        let mut state = Backpressure::default();
        let at = |second: u64| Moment(second * 1_000_000_000);
        let told = shares.iter().map(|(second, share)| {
            state.update(at(*second), &settings, &[(*share, 0.85)]);
            state.level()
        });
        told.collect()
    }

    #[test]
    fn a_level_rises_at_once_and_falls_after_a_calm_time() {
        use Level::{Critical, Elevated, High, Normal};
        let told = levels(&[
            (0, 0.5),
            (1, 0.76),
            (2, 0.86),
            (3, 0.97),
            (4, 0.84),
            (5, 0.7),
            (6, 0.7),
            (7, 0.7),
            (20, 0.6),
            (23, 0.6),
        ]);
        let expected =
            [Normal, Elevated, High, Critical, Critical, Critical, Critical, Elevated, Elevated];
        assert_eq!(told[..9], expected);
        assert_eq!(told[9], Normal);
    }

    #[test]
    fn noise_around_a_mark_is_one_change() {
        let noisy: Vec<_> = (0..100).map(|n| (n, if n % 2 == 0 { 0.84 } else { 0.86 })).collect();
        let told = levels(&noisy);
        assert!(told[1..].iter().all(|level| *level == Level::High));
    }

    proptest! {
        #[test]
        fn any_share_gives_a_level(share in any::<f64>(), mark in any::<f64>()) {
            let mut state = Backpressure::default();
            state.update(Moment(0), &BackpressureSettings::default(), &[(share, mark)]);
            prop_assert!(state.level() <= Level::Critical);
        }
    }
}
