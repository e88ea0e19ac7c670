//! Controllers: ours, and those that others use, at the defaults that they publish.

mod by_name;
mod fixed;
mod thresholds;

use super::sample::{FinishedJob, HostSample, JobSample};
pub use by_name::{Kind, NAMES, Unknown};
pub use fixed::{Fixed, Schedule};

/// What a controller sees each tick.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Virtual time since the run began, in seconds.
    pub now: f64,
    /// The host since the last tick.
    pub host: &'a HostSample,
    /// Each job that runs or ended since the last tick.
    pub jobs: &'a [JobSample],
    /// Jobs that ended since the last tick.
    pub finished: &'a [FinishedJob],
    /// Requests that wait, by connector.
    pub waiting: &'a [u32],
    /// Slots in use, by connector.
    pub in_use: &'a [u32],
}

/// Something that sets limits.
pub trait Controller {
    /// Looks, and thinks. Limits may change.
    fn tick(&mut self, seen: &Observation<'_>);

    /// The limits, by connector. Those below one count as one.
    fn limits(&self) -> &[u32];

    /// Whether it wants to see samples of jobs. One that does not is faster to simulate.
    fn wants_samples(&self) -> bool {
        true
    }

    /// A server refused a connector's request and asks to stay away for a while.
    fn refused(&mut self, _now: f64, _connector: usize, _retry_after_seconds: f64) {}
}
