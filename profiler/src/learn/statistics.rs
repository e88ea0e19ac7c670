//! What jobs of a connector used so far.

use serde::{Deserialize, Serialize};

use super::Sketch;
use crate::model::{Bytes, FinishedJob, Moment};

/// Weight of the latest job in a mean.
const ALPHA: f64 = 0.3;

/// An exponential mean that the first figure starts: it is never pulled toward a zero that nobody
/// measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mean(Option<f64>);

/// What jobs of a connector used: means in which the latest job weighs 0.3, peaks, quantiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectorStatistics {
    /// Jobs that ended.
    pub jobs: u64,
    /// How long a job took, in seconds.
    pub duration_seconds: Mean,
    /// Cores that a job kept busy, on average over its life.
    pub cpu_cores: Mean,
    /// The most cores that any job kept busy over a sampling interval.
    pub cpu_cores_peak: Option<f64>,
    /// What a job held, on average over its life, in bytes.
    pub memory_bytes: Mean,
    /// What a job held at its peak, in bytes.
    pub memory_peak_mean_bytes: Mean,
    /// The most that any job held.
    pub memory_peak_bytes: Option<Bytes>,
    /// Bytes that a job read from block devices.
    pub read_bytes: Mean,
    /// Bytes that a job wrote to block devices.
    pub write_bytes: Mean,
    /// Bytes that a job exchanged with other hosts.
    pub net_bytes: Mean,
    /// Reads and writes of a job at block devices.
    pub io_operations: Mean,
    /// Durations in seconds.
    pub durations: Sketch,
    /// Peaks of memory in bytes.
    pub memory_peaks: Sketch,
    /// When the last job ended.
    pub updated: Option<Moment>,
}

impl Mean {
    /// Takes a figure in; what is no finite number is left out.
    pub fn add(&mut self, figure: f64) {
        if figure.is_finite() {
            self.0 = Some(self.0.map_or(figure, |mean| mean + ALPHA * (figure - mean)));
        }
    }

    /// The mean; `None` before the first figure.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        self.0
    }
}

impl ConnectorStatistics {
    /// Takes a job in that has ended. What is unknown of it changes nothing.
    pub fn add(&mut self, now: Moment, job: &FinishedJob) {
        self.jobs = self.jobs.saturating_add(1);
        self.updated = Some(now);
        let seconds = job.duration.as_secs_f64();
        self.duration_seconds.add(seconds);
        self.durations.add(seconds);
        if let Some(cpu) = job.cpu.filter(|_| seconds > 0.0) {
            self.cpu_cores.add(cpu.as_secs_f64() / seconds);
        }
        if let Some(peak) = job.cpu_cores_peak.filter(|peak| peak.is_finite()) {
            self.cpu_cores_peak = Some(self.cpu_cores_peak.map_or(peak, |most| most.max(peak)));
        }
        if let Some(mean) = job.memory_mean {
            self.memory_bytes.add(mean.as_f64());
        }
        if let Some(peak) = job.memory_peak {
            self.memory_peak_mean_bytes.add(peak.as_f64());
            self.memory_peaks.add(peak.as_f64());
            self.memory_peak_bytes = self.memory_peak_bytes.max(Some(peak));
        }
        let counted = [
            (&mut self.read_bytes, job.read_bytes),
            (&mut self.write_bytes, job.write_bytes),
            (&mut self.net_bytes, job.net_bytes),
            (&mut self.io_operations, job.io_operations),
        ];
        for (mean, figure) in counted {
            if let Some(figure) = figure {
                mean.add(figure as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job(seconds: u64, memory: Option<u64>) -> FinishedJob {
        FinishedJob {
            duration: Duration::from_secs(seconds),
            cpu: Some(Duration::from_secs(seconds) / 2),
            memory_peak: memory.map(Bytes),
            ..FinishedJob::default()
        }
    }

    #[test]
    fn the_first_job_is_the_mean_and_the_next_weigh_three_tenths() {
        let mut statistics = ConnectorStatistics::default();
        assert_eq!(statistics.duration_seconds.get(), None);
        statistics.add(Moment(1), &job(10, None));
        assert_eq!(statistics.duration_seconds.get(), Some(10.0));
        statistics.add(Moment(2), &job(20, None));
        assert_eq!(statistics.duration_seconds.get(), Some(13.0));
        assert_eq!(statistics.cpu_cores.get(), Some(0.5));
        assert_eq!((statistics.jobs, statistics.updated), (2, Some(Moment(2))));
    }

    #[test]
    fn what_is_unknown_pulls_no_mean_down() {
        let mut statistics = ConnectorStatistics::default();
        statistics.add(Moment(1), &job(1, Some(1000)));
        statistics.add(Moment(2), &job(1, None));
        assert_eq!(statistics.memory_peak_mean_bytes.get(), Some(1000.0));
        assert_eq!(statistics.memory_peak_bytes, Some(Bytes(1000)));
        assert_eq!(statistics.read_bytes.get(), None);
    }

    #[test]
    fn a_job_without_duration_has_no_cores() {
        let mut statistics = ConnectorStatistics::default();
        statistics.add(Moment(1), &job(0, None));
        assert_eq!(statistics.cpu_cores.get(), None);
        statistics.duration_seconds.add(f64::NAN);
        assert_eq!(statistics.duration_seconds.get(), Some(0.0));
    }

    #[test]
    fn they_are_the_same_after_a_restart() {
        let mut statistics = ConnectorStatistics::default();
        (1..50).for_each(|n| statistics.add(Moment(n), &job(n, Some(n * 100))));
        let text = serde_json::to_string(&statistics).unwrap();
        assert_eq!(serde_json::from_str::<ConnectorStatistics>(&text).unwrap(), statistics);
    }
}
