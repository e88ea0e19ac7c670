//! What would serve a connector better than what its profile says, with the evidence.

use serde::{Deserialize, Serialize};

use super::connector::Connector;
use super::core::Core;
use crate::lease::LedgerError;
use crate::model::units::{bytes, count, percent};
use crate::model::{ConnectorId, Constraint};

/// Declared and measured figures that differ by less than this factor are left alone. 1.5: what
/// jobs need differs as much from day to day.
const APART: f64 = 1.5;

/// Job-seconds that must have been seen. 30: by then the declared figure weighs nothing any more.
const ENOUGH_SECONDS: f64 = 30.0;

/// Jobs that must have ended for their memory to say something. 6, as for admission.
const ENOUGH_JOBS: u64 = 6;

/// Use of the CPUs below which a cap keeps work from being done. 0.7.
const IDLE: f64 = 0.7;

/// A change that would serve better, and what says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// What to do.
    pub advice: String,
    /// What was seen.
    pub evidence: String,
}

impl Core {
    /// What would serve a connector better. Empty while too little is known, or nothing would.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn recommendations(&self, id: ConnectorId) -> Result<Vec<Recommendation>, LedgerError> {
        let connector = self.connector(id)?;
        let state = self.ledger.state(id)?;
        let mut found: Vec<Recommendation> =
            [connector.cores_apart(), connector.memory_apart()].into_iter().flatten().collect();
        let used = self.host.cpu_share();
        if let (Constraint::Cap, Some(cap)) =
            (state.constraint, connector.profile.max_concurrent_jobs)
            && state.limit >= cap
            && state.waiting > 0
            && used < IDLE
        {
            found.push(Recommendation {
                advice: format!("a max_concurrent_jobs above {cap}"),
                evidence: format!(
                    "{} wait while the CPUs are {} used",
                    state.waiting,
                    percent(used)
                ),
            });
        }
        if let (Constraint::Disk | Constraint::Network, Some(knee)) =
            (state.constraint, connector.knee.jobs())
        {
            let what = match state.constraint {
                Constraint::Disk => "disk",
                _ => "network or server",
            };
            found.push(Recommendation {
                advice: "no more slots: they would add nothing".to_owned(),
                evidence: format!(
                    "its jobs neither run nor want a CPU {} of their time, and beyond {knee:.0} at a \
                     time the {what} gives hardly more",
                    percent(connector.demand.idle())
                ),
            });
        }
        Ok(found)
    }
}

impl Connector {
    fn cores_apart(&self) -> Option<Recommendation> {
        let (declares, uses) = (self.profile.avg_cpu_cores, self.demand.cores());
        let seen = self.demand.seen();
        (seen >= ENOUGH_SECONDS && are_apart(declares, uses)).then(|| Recommendation {
            advice: format!("avg_cpu_cores = {uses:.2}"),
            evidence: format!(
                "the profile declares {declares:.2}; over {seen:.0} job-seconds a job kept {uses:.2} \
                 busy"
            ),
        })
    }

    fn memory_apart(&self) -> Option<Recommendation> {
        let statistics = &self.statistics;
        let mean = statistics.memory_peak_mean_bytes.get()? / 1_048_576.0;
        let most = statistics.memory_peak_bytes?;
        let declares = self.profile.avg_memory_mb;
        let ended = self.peaks.ended();
        (ended >= ENOUGH_JOBS && are_apart(declares, mean)).then(|| Recommendation {
            advice: format!("avg_memory_mb = {mean:.0}"),
            evidence: format!(
                "the profile declares {declares:.0}; {} jobs held {mean:.0} at their peak on average, \
                 and {} at most",
                count(ended),
                bytes(most.0)
            ),
        })
    }
}

fn are_apart(one: f64, other: f64) -> bool {
    let ratio = one / other;
    !(1.0 / APART..APART).contains(&ratio)
}
