//! Controllers: ours, and those that others use, at the defaults that they publish.
//!
//! All of them set limits in the same [`Ledger`], which queues and admits for all of them alike; an
//! [`Agent`] is a ledger with what sets its limits.

mod agent;
mod by_name;
mod fixed;
mod ours;
mod pid;
mod thresholds;
mod windowed;

use crate::lease::Ledger;
use crate::model::{ConnectorId, Constraint, FinishedJob, HostSample, JobSample, Moment};

pub use agent::{Agent, Begin, Ruled, undeclared};
pub use by_name::{Kind, NAMES, Unknown};
pub use fixed::{Fixed, Schedule};

/// What a controller sees each tick.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When: virtual time since the run began.
    pub now: Moment,
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

impl Observation<'_> {
    /// Seconds since the run began.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.now.since(Moment(0)).as_secs_f64()
    }
}

/// Something that sets limits.
pub trait Controller {
    /// The agent begins. The ledger has the plant's connectors, in their order, and nobody in it.
    fn begin(&mut self, ledger: &mut Ledger);

    /// Looks, thinks, and sets what it wants to be different.
    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger);

    /// Whether it wants to see samples of jobs. One that does not is faster to simulate.
    fn wants_samples(&self) -> bool {
        true
    }
}

/// Sets limits, in the order of connectors. Those below one count as one.
pub fn set_limits(ledger: &mut Ledger, limits: &[u32]) {
    for (connector, limit) in (0..).zip(limits) {
        // A limit for a connector that is not there has no effect.
        let _ = ledger.set_limit(ConnectorId(connector), *limit, Constraint::Cpu);
    }
}
