//! What was seen at a number of jobs, and what that says of one more.

use serde::{Deserialize, Serialize};

use crate::learn::{Transfer, Work};
use crate::model::Constraint;

/// What a connector's jobs may be waiting for, and by what their speed there is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Measure {
    /// Block devices, by what they moved.
    Disk,
    /// Sockets, by what went over them.
    Network,
    /// Something that moves nothing, by the CPU time of jobs.
    Cpu,
}

impl Measure {
    /// What most of the waiting was for that moved something; `None` if nothing was moved. What it
    /// was found to be before stays so unless the other is twice as much.
    pub(super) fn of(work: &Work, before: Option<Self>) -> Option<Self> {
        let seconds = |transfer: &Transfer| {
            (transfer.bytes >= 1.0 && transfer.seconds > 0.0).then_some(transfer.seconds)
        };
        match (seconds(&work.disk), seconds(&work.network)) {
            (Some(disk), Some(network)) => {
                let bias = match before {
                    Some(Self::Disk) => 2.0,
                    Some(Self::Network) => 0.5,
                    _ => 1.0,
                };
                Some(if disk * bias >= network { Self::Disk } else { Self::Network })
            }
            (Some(_), None) => Some(Self::Disk),
            (None, Some(_)) => Some(Self::Network),
            (None, None) => None,
        }
    }

    pub(super) fn constraint(self) -> Constraint {
        match self {
            Self::Disk => Constraint::Disk,
            Self::Network | Self::Cpu => Constraint::Network,
        }
    }
}

/// Work over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    work: Work,
    pub(super) seconds: f64,
    /// CPU-seconds that were used of those that there were.
    used: f64,
}

impl Window {
    pub(super) fn add(&mut self, work: &Work, seconds: f64, used: f64) {
        self.work.fade_and_add(1.0, work);
        self.seconds += seconds;
        self.used += used * seconds;
    }

    /// Halves all sums: the means stay, what comes weighs more.
    pub(super) fn halve(&mut self) {
        self.work.fade_and_add(0.5, &Work::default());
        self.seconds *= 0.5;
        self.used *= 0.5;
    }

    /// Use of the CPUs.
    pub(super) fn used(&self) -> f64 {
        if self.seconds > 0.0 { self.used / self.seconds } else { 0.0 }
    }

    /// What was seen; `None` if nobody was at the resource.
    pub(super) fn point(&self, measure: Measure) -> Option<Point> {
        let work = &self.work;
        if self.seconds <= 0.0 {
            return None;
        }
        let jobs = work.jobs / self.seconds;
        let (there, speed, error) = match measure {
            Measure::Cpu => (work.free, work.cores()?, cpu_error(work)),
            Measure::Disk => with_speed(&work.disk)?,
            Measure::Network => with_speed(&work.network)?,
        };
        let elsewhere = match measure {
            Measure::Cpu => 0.0,
            _ => (work.free - there).max(0.0) / there,
        };
        let present = there / self.seconds;
        (speed > 0.0).then_some(Point { jobs, present, elsewhere, speed, error })
    }
}

fn with_speed(transfer: &Transfer) -> Option<(f64, f64, f64)> {
    transfer.speed().map(|(speed, error)| (transfer.seconds, speed, error))
}

fn cpu_error(work: &Work) -> f64 {
    // Samples of one job in neighbouring seconds are alike: a quarter of them count.
    let looks = (0.25 * work.free).max(1e-9);
    // As good as infinite, and a number that can be written down.
    work.cores().map_or(f64::MAX, |cores| work.variance().sqrt() / cores / looks.sqrt())
}

/// What was seen at a number of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    /// Jobs that ran.
    pub(super) jobs: f64,
    /// Jobs at the resource.
    pub(super) present: f64,
    /// Seconds that a job is elsewhere for each second at the resource.
    elsewhere: f64,
    /// What each of those does per second.
    pub(super) speed: f64,
    /// Relative error of that.
    pub(super) error: f64,
}

impl Point {
    /// What all of them do per second.
    pub(super) fn rate(&self) -> f64 {
        self.present * self.speed
    }

    /// How many jobs it takes for `present` of them to be at the resource, where each is as fast as
    /// `alone`. They are elsewhere as long as they are, and there as long as they take (the
    /// operational law of interactive systems: Denning and Buzen, "The operational analysis of
    /// queueing network models", 1978).
    pub(super) fn jobs_for(&self, present: f64, alone: f64) -> f64 {
        present * (1.0 + self.elsewhere * (alone / self.speed).max(1.0))
    }
}

/// What each job more at the resource adds to the rate, as a part of what one does.
pub(super) struct Value {
    pub(super) mean: f64,
    error: f64,
}

impl Value {
    /// As a part of what each does where there are more.
    pub(super) fn between(before: &Point, after: &Point) -> Self {
        Self::of(before, after, before.speed.min(after.speed))
    }

    /// As a part of `speed`.
    pub(super) fn of(before: &Point, after: &Point, speed: f64) -> Self {
        let unit = (after.present - before.present) * speed;
        if unit.abs() < 1e-12 {
            return Self { mean: 0.0, error: 0.0 };
        }
        let errors = (before.rate() * before.error).hypot(after.rate() * after.error);
        Self { mean: (after.rate() - before.rate()) / unit, error: errors / unit.abs() }
    }

    /// As much as it may well be.
    pub(super) fn most(&self) -> f64 {
        self.mean + self.error
    }
}

/// What one job at the resource was seen to do.
#[cfg(test)]
pub(super) fn point(speed: f64, error: f64) -> Point {
    Point { jobs: 1.0, present: 1.0, elsewhere: 0.0, speed, error }
}
