//! What a job will hold at its peak: one that has not begun, and one that runs.
//!
//! A new job is expected to be like those that ended. While hardly any ended, the profile is taken
//! at several times its word, since an error in it is the same for all jobs and no margin for chance
//! covers that. A running job is expected to be like those that ended and had at least the peak
//! that it has now; and to stay as it is once it was flat for longer than any job that grew again.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Moment};

/// How memory is learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Jobs whose peaks are remembered. 64: enough for a deviation within 10 %.
    pub remembered: usize,
    /// The profile is taken at this times its word until a job has ended. 4: profiles are wrong by
    /// up to so much.
    pub distrust: f64,
    /// Deviation of a job as a part of that. 0.15: where a profile is wrong by all of it, jobs differ as
    /// they do elsewhere, and the first ones overcommitted the host. With 0.2 a mix of five starved.
    pub distrusted_spread: f64,
    /// Jobs that must have ended before their spread alone is believed. 4, whose spread is taken for
    /// half as much again.
    pub believed: usize,
    /// Deviation of a new job as a part of its expected peak until then. 0.35.
    pub unknown_spread: f64,
    /// The least deviation as a part of the peak. 0.02: no two runs are quite alike.
    pub least_spread: f64,
    /// A job larger than any before is expected to grow by this part yet. 0.25.
    pub beyond: f64,
    /// Growth that counts. 0.02: allocators' noise is less.
    pub growth: f64,
    /// A job is done growing when it was flat for this times the longest plateau that was followed
    /// by growth. 1.5.
    pub flat: f64,
    /// ... and for at least so long. 2 s: several samples.
    pub flat_least: Duration,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            remembered: 64,
            distrust: 4.0,
            distrusted_spread: 0.15,
            believed: 4,
            unknown_spread: 0.35,
            least_spread: 0.02,
            beyond: 0.25,
            growth: 0.02,
            flat: 1.5,
            flat_least: Duration::from_secs(2),
        }
    }
}

/// An expected peak, and how uncertain it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The mean.
    pub peak: Bytes,
    /// The standard deviation.
    pub deviation: Bytes,
}

/// A running job's memory so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    peak: Bytes,
    /// The peak that growth is counted from.
    mark: Bytes,
    grew: Option<Moment>,
    longest_plateau: Duration,
}

impl Growth {
    /// Takes a sample in.
    pub fn learn(&mut self, settings: &MemorySettings, now: Moment, held: Bytes) {
        self.peak = self.peak.max(held);
        let grown = self.peak.as_f64() > self.mark.as_f64() * (1.0 + settings.growth);
        match self.grew {
            Some(grew) if grown => {
                self.longest_plateau = self.longest_plateau.max(now.since(grew));
                (self.mark, self.grew) = (self.peak, Some(now));
            }
            None => (self.mark, self.grew) = (self.peak, Some(now)),
            Some(_) => {}
        }
    }

    /// The most that it held so far.
    #[must_use]
    pub fn peak(&self) -> Bytes {
        self.peak
    }

    fn flat(&self, now: Moment) -> Duration {
        self.grew.map_or(Duration::ZERO, |grew| now.since(grew))
    }
}

/// What is known of the peaks of a connector's jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
// What an earlier version wrote down lacks what it did not know.
#[serde(default)]
pub struct Peaks {
    latest: VecDeque<Bytes>,
    sorted: Vec<Bytes>,
    plateau: Duration,
    ended: u64,
    /// Jobs that ended without anybody knowing what they held.
    unmeasured: u64,
}

impl Peaks {
    /// A job ended that held this much at its peak.
    pub fn learn(&mut self, settings: &MemorySettings, peak: Bytes, growth: Option<&Growth>) {
        self.latest.push_back(peak);
        while self.latest.len() > settings.remembered.max(1) {
            self.latest.pop_front();
        }
        self.sorted = self.latest.iter().copied().collect();
        self.sorted.sort_unstable();
        self.ended = self.ended.saturating_add(1);
        if let Some(growth) = growth {
            // Rare plateaus fade slowly, in as many jobs as are remembered.
            let faded = self.plateau.mul_f64(1.0 - 1.0 / settings.remembered.max(2) as f64);
            self.plateau = faded.max(growth.longest_plateau);
        }
    }

    /// A job ended and nobody knows what it held: there is nothing but the profile to go by.
    pub fn ended_unmeasured(&mut self) {
        self.unmeasured = self.unmeasured.saturating_add(1);
    }

    /// Jobs that ended and whose peak is known.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// What a job is expected to hold that has not begun. `running_mean` is what those that run
    /// hold on average: the first to end are the smallest.
    #[must_use]
    pub fn new_job(
        &self,
        settings: &MemorySettings,
        declared: Bytes,
        running_mean: Option<f64>,
    ) -> Expected {
        let running = running_mean.unwrap_or(0.0);
        if self.sorted.is_empty() {
            // Where nothing is measured, waiting for a measurement is of no use.
            let (word, spread) = if self.unmeasured > 0 {
                (1.0, 0.0)
            } else {
                (settings.distrust.max(1.0), settings.distrusted_spread)
            };
            let peak = (declared.as_f64() * word).max(running * 1.5);
            return settings.expected(peak, peak * spread);
        }
        let (mean, deviation) = moments(&self.sorted);
        if self.sorted.len() < settings.believed {
            let greatest = self.sorted.last().map_or(0.0, |peak| peak.as_f64());
            let peak = greatest.max(running) * 1.1;
            return settings.expected(peak, deviation.max(peak * settings.unknown_spread));
        }
        // A deviation from few is itself uncertain.
        let inflated = deviation * (1.0 + 1.0 / (self.sorted.len() as f64).sqrt());
        settings.expected(mean.max(running), inflated)
    }

    /// What a running job is expected to hold at its peak.
    #[must_use]
    pub fn running_job(
        &self,
        settings: &MemorySettings,
        now: Moment,
        growth: &Growth,
        reserved: Expected,
    ) -> Expected {
        let so_far = growth.peak;
        if self.sorted.len() < settings.believed {
            // Too little is known to take anything of its reservation back.
            let beyond = so_far.as_f64() * (1.0 + settings.beyond);
            let peak = reserved.peak.as_f64().max(beyond);
            return settings.expected(peak, reserved.deviation.as_f64().min(peak));
        }
        let flat_for = self.plateau.mul_f64(settings.flat).max(settings.flat_least);
        if growth.flat(now) > flat_for {
            return settings.expected(so_far.as_f64(), 0.0);
        }
        let larger = self.sorted.partition_point(|peak| *peak < so_far);
        let rest = self.sorted.get(larger..).unwrap_or_default();
        if rest.len() < 2 {
            let peak = so_far.as_f64() * (1.0 + settings.beyond);
            return settings.expected(peak, so_far.as_f64() * settings.beyond);
        }
        let (mean, deviation) = moments(rest);
        settings.expected(mean, deviation)
    }
}

impl MemorySettings {
    fn expected(&self, peak: f64, deviation: f64) -> Expected {
        let deviation = deviation.max(peak * self.least_spread);
        Expected { peak: Bytes::from_f64(peak), deviation: Bytes::from_f64(deviation) }
    }
}

fn moments(peaks: &[Bytes]) -> (f64, f64) {
    let count = peaks.len().max(1) as f64;
    let mean = peaks.iter().map(|peak| peak.as_f64()).sum::<f64>() / count;
    let squares = peaks.iter().map(|peak| (peak.as_f64() - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1_048_576.0;

    fn at(second: u64) -> Moment {
        Moment(second * 1_000_000_000)
    }

    fn mib(mib: f64) -> Bytes {
        Bytes::from_mb(mib)
    }

    fn known(peaks: &[f64]) -> Peaks {
        let mut known = Peaks::default();
        for peak in peaks {
            known.learn(&MemorySettings::default(), mib(*peak), None);
        }
        known
    }

    #[test]
    fn a_profile_is_distrusted_until_jobs_have_ended() {
        let settings = MemorySettings::default();
        let unknown = Peaks::default().new_job(&settings, mib(100.0), None);
        assert_eq!((unknown.peak, unknown.deviation), (mib(400.0), mib(60.0)));
        let few = known(&[100.0]).new_job(&settings, mib(1000.0), None);
        assert!(few.peak < mib(120.0) && few.deviation > mib(30.0));
        let many = known(&[100.0; 20]).new_job(&settings, mib(1000.0), None);
        assert_eq!(many.peak, mib(100.0));
        assert!(many.deviation < mib(3.0));
    }

    #[test]
    fn where_nothing_is_measured_the_profile_is_all_there_is() {
        let settings = MemorySettings::default();
        let mut peaks = Peaks::default();
        peaks.ended_unmeasured();
        let expected = peaks.new_job(&settings, mib(100.0), None);
        assert_eq!((expected.peak, expected.deviation), (mib(100.0), mib(2.0)));
    }

    #[test]
    fn the_first_to_end_do_not_speak_for_those_that_still_grow() {
        let settings = MemorySettings::default();
        let expected = known(&[10.0; 8]).new_job(&settings, mib(10.0), Some(300.0 * MIB));
        assert!(expected.peak >= mib(299.0));
    }

    #[test]
    fn a_running_job_is_like_those_that_were_as_large() {
        let settings = MemorySettings::default();
        let peaks = known(&[100.0, 100.0, 100.0, 100.0, 300.0, 300.0, 300.0, 300.0]);
        let mut growth = Growth::default();
        growth.learn(&settings, at(0), mib(50.0));
        let reserved = Expected::default();
        let small = peaks.running_job(&settings, at(1), &growth, reserved);
        assert!(small.peak > mib(190.0) && small.peak < mib(210.0));
        growth.learn(&settings, at(1), mib(150.0));
        assert_eq!(peaks.running_job(&settings, at(1), &growth, reserved).peak, mib(300.0));
        growth.learn(&settings, at(2), mib(400.0));
        let beyond = peaks.running_job(&settings, at(2), &growth, reserved);
        assert_eq!(beyond.peak, mib(500.0));
    }

    #[test]
    fn a_job_that_is_flat_for_longer_than_any_plateau_is_done_growing() {
        let settings = MemorySettings::default();
        let mut peaks = known(&[100.0; 8]);
        let mut stepwise = Growth::default();
        for (second, held) in [(0, 10.0), (10, 50.0), (11, 100.0)] {
            stepwise.learn(&settings, at(second), mib(held));
        }
        peaks.learn(&settings, mib(100.0), Some(&stepwise));
        let mut growth = Growth::default();
        growth.learn(&settings, at(0), mib(50.0));
        let reserved = Expected::default();
        assert!(peaks.running_job(&settings, at(12), &growth, reserved).peak > mib(99.0));
        assert_eq!(peaks.running_job(&settings, at(17), &growth, reserved).peak, mib(50.0));
    }

    #[test]
    fn a_reservation_is_not_taken_back_before_enough_is_known() {
        let settings = MemorySettings::default();
        let mut growth = Growth::default();
        growth.learn(&settings, at(0), mib(10.0));
        let reserved = Expected { peak: mib(400.0), deviation: mib(8.0) };
        let expected = Peaks::default().running_job(&settings, at(60), &growth, reserved);
        assert_eq!(expected.peak, mib(400.0));
    }
}
