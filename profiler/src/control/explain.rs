//! Why a limit is what it is, in words and numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::event::{Decision, Reasons};
use super::recommend::Recommendation;
use crate::lease::{LeaseState, LedgerError};
use crate::model::units::{bytes, duration};
use crate::model::{Bytes, ConnectorId, Constraint, LeaseId};

/// Why a limit is what it is, as `Explain` gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The limit in force.
    pub limit: u32,
    /// What binds it.
    pub constraint: Constraint,
    /// The reasons, one a line.
    pub lines: Vec<String>,
    /// What one slot more would need; `None` if there is a free one.
    pub next_slot_needs: Option<String>,
    /// What was learned of its jobs.
    pub learned: BTreeMap<String, f64>,
    /// What the profile declares of the same.
    pub declared: BTreeMap<String, f64>,
    /// What would serve better.
    pub recommendations: Vec<Recommendation>,
}

impl Core {
    /// Why a connector's limit is what it is.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn explain(&self, id: ConnectorId) -> Result<Explanation, LedgerError> {
        let connector = self.connector(id)?;
        let state = self.ledger.state(id)?;
        let mut constraint = state.constraint;
        let mut lines = vec![connector.reasons.line(constraint)];
        let computed = || connector.reasons.line(connector.constraint);
        if self.settings.shadow {
            lines.push(format!(
                "shadow mode: {} would be in force: {}",
                connector.limit,
                computed()
            ));
        } else if state.override_limit.is_some() {
            lines.push(format!("without that it would be {}: {}", connector.limit, computed()));
        }
        let need = connector.need(&self.settings);
        let free = self.ledger.budget().less(self.ledger.reserved()).less(self.ledger.margin());
        let memory_short = need.peak > free && state.in_use < state.limit && state.waiting > 0;
        if memory_short {
            constraint = Constraint::Memory;
            lines.push(self.memory_line(need.peak, free));
        }
        lines.push(format!(
            "{} of {} slots in use, {} waiting, {} reserved for its jobs",
            state.in_use,
            state.limit,
            state.waiting,
            bytes(state.reserved.0)
        ));
        if connector.is_cold(&self.settings) {
            lines.push(format!(
                "{:.1} job-seconds seen of the {:.0} it takes to know its demand: the preferred \
                 concurrency holds",
                connector.demand.seen(),
                self.settings.cold_job_seconds
            ));
        } else if let Some(most) = connector.most_unproven(&self.settings)
            && connector.constraint == Constraint::Cap
        {
            lines.push(format!("no job has ended yet: at most {most:.0} at a time for now"));
        }
        if !connector.profile.adaptive_concurrency {
            lines.push("adaptive_concurrency is off: what is measured changes nothing".to_owned());
        }
        let declares = connector.profile.avg_cpu_cores;
        let uses = connector.demand.cores();
        if !connector.is_cold(&self.settings) && !(0.67..1.5).contains(&(uses / declares)) {
            lines.push(format!("declares {declares:.2} cores, uses {uses:.2}"));
        }
        if let Some(last) = &connector.last {
            let ago = duration(nanoseconds(self.now.since(last.at)));
            lines.push(format!("last changed {ago} ago, {}", last.words()));
        }
        if state.drained {
            lines.push("drained: no new jobs until it is resumed".to_owned());
        }
        let has_free_slot = state.in_use < state.limit && !memory_short && !state.drained;
        Ok(Explanation {
            limit: state.limit,
            constraint,
            next_slot_needs: (!has_free_slot)
                .then(|| connector.reasons.next_slot(constraint, state.limit, need.peak)),
            lines,
            learned: self.learned_figures(id)?,
            declared: self.declared_figures(id)?,
            recommendations: self.recommendations(id)?,
        })
    }

    /// How a job stands: what it holds and keeps busy, beside what is expected of it. `cores` is what
    /// it kept busy lately.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn explain_job(&self, id: LeaseId, cores: Option<f64>) -> Result<Vec<String>, LedgerError> {
        let lease = self.ledger.lease(id).ok_or(LedgerError::NoSuchLease(id))?;
        let connector = self.connector(lease.connector)?;
        let mut lines = Vec::new();
        let declares = connector.profile.avg_cpu_cores;
        let usual = if connector.is_cold(&self.settings) {
            "too little is known of others".to_owned()
        } else {
            format!("others keep {:.2}", connector.demand.cores())
        };
        lines.push(match cores {
            Some(cores) => format!(
                "CPU: it keeps {cores:.2} cores busy, {usual}, and the profile declares {declares:.2}"
            ),
            None => format!("CPU: not looked at yet; {usual}, and the profile declares {declares:.2}"),
        });
        let reserved = format!(
            "{} reserved, give or take {}",
            bytes(lease.memory.0),
            bytes(lease.deviation.0)
        );
        lines.push(match self.growth.get(&id) {
            Some(growth) => {
                format!("memory: it held {} at its peak, {reserved}", bytes(growth.peak().0))
            }
            None => format!("memory: what it holds is not known, {reserved}"),
        });
        if let Some(declared) = lease.declared {
            let held = self.growth.get(&id).map_or(Bytes(0), |growth| growth.peak());
            let beyond = if held > declared { ", and holds more" } else { "" };
            lines.push(format!("its worker said {}{beyond}", bytes(declared.0)));
        }
        if lease.tasks_ended {
            lines.push("no task works for it at present".to_owned());
        }
        if lease.state == LeaseState::Orphaned {
            lines.push("its worker is gone: it ends with its last task".to_owned());
        }
        Ok(lines)
    }

    fn memory_line(&self, need: Bytes, free: Bytes) -> String {
        format!(
            "memory: a job is expected to need {}, and {} are left of a budget of {} ({} reserved, {} \
             kept for what is uncertain, {} held by others)",
            bytes(need.0),
            bytes(free.0),
            bytes(self.ledger.budget().0),
            bytes(self.ledger.reserved().0),
            bytes(self.ledger.margin().0),
            bytes(self.budget.external().0),
        )
    }

    fn learned_figures(&self, id: ConnectorId) -> Result<BTreeMap<String, f64>, LedgerError> {
        let connector = self.connector(id)?;
        let statistics = &connector.statistics;
        let figures = [
            ("cpu_cores", Some(connector.demand.cores()).filter(|_| connector.demand.seen() > 0.0)),
            ("memory_mb", statistics.memory_peak_mean_bytes.get().map(|mean| mean / 1_048_576.0)),
            ("duration_seconds", statistics.duration_seconds.get()),
            ("knee", connector.knee.jobs()),
        ];
        Ok(named(&figures))
    }

    fn declared_figures(&self, id: ConnectorId) -> Result<BTreeMap<String, f64>, LedgerError> {
        let profile = &self.connector(id)?.profile;
        let figures = [
            ("cpu_cores", Some(profile.avg_cpu_cores)),
            ("memory_mb", Some(profile.avg_memory_mb)),
            ("duration_seconds", profile.avg_duration_seconds),
        ];
        Ok(named(&figures))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn named(figures: &[(&str, Option<f64>)]) -> BTreeMap<String, f64> {
    figures.iter().filter_map(|(name, figure)| Some(((*name).to_owned(), (*figure)?))).collect()
}

impl Reasons {
    /// The profile's cap, if it is that and not what is still unknown.
    fn cap_that_binds(&self) -> Option<u32> {
        self.cap.filter(|cap| self.jobs >= f64::from(*cap))
    }

    fn line(&self, constraint: Constraint) -> String {
        let free = (self.cores - self.external_cores).max(0.0);
        match constraint {
            Constraint::Cpu => format!(
                "CPU: a job keeps {:.2} cores busy; {:.1} of {:.1} cores are not used by others and \
                 are filled {:.2} times: room for {:.1} jobs",
                self.cores_per_job, free, self.cores, self.trim, self.jobs
            ),
            Constraint::Cap => match self.cap_that_binds() {
                Some(cap) => format!("the profile allows {cap}; CPUs and the rest would have room"),
                // Each plan has one job at least.
                None if self.jobs < 1.0 => "so many until the first plan is made".to_owned(),
                None => format!("at most {:.0} at a time, whatever there is room for", self.jobs),
            },
            Constraint::Disk | Constraint::Network => format!(
                "{}: beyond {:.0} jobs at a time, more jobs do hardly more",
                if constraint == Constraint::Disk { "disk" } else { "network or server" },
                self.knee.unwrap_or(self.jobs)
            ),
            Constraint::Gpu => format!("{} GPUs are free and cool", self.gpus.unwrap_or(0)),
            Constraint::Floor => format!(
                "nothing is left for it ({:.1} of {:.1} cores are used by others), and one job \
                 always may",
                self.external_cores, self.cores
            ),
            Constraint::Override => "set by hand".to_owned(),
            Constraint::Memory => "memory is short".to_owned(),
            Constraint::Provider => "a provider takes no more".to_owned(),
            Constraint::Queue => "others came first".to_owned(),
            Constraint::Drained => "drained".to_owned(),
        }
    }

    fn next_slot(&self, constraint: Constraint, limit: u32, memory: Bytes) -> String {
        match constraint {
            Constraint::Cpu | Constraint::Floor => {
                let short = (f64::from(limit) + 0.5 - self.jobs).max(0.0) * self.cores_per_job;
                format!("{short:.2} cores more, or a job that needs less")
            }
            Constraint::Cap => match self.cap_that_binds() {
                Some(_) => "a higher max_concurrent_jobs".to_owned(),
                None => "a job that ends, or a higher preferred_concurrency".to_owned(),
            },
            Constraint::Memory => format!("{} of memory free", bytes(memory.0)),
            Constraint::Disk | Constraint::Network => {
                "a faster device or service: more jobs would wait for it".to_owned()
            }
            Constraint::Gpu => "a GPU that is free and cool".to_owned(),
            Constraint::Override => "the end of the limit set by hand".to_owned(),
            Constraint::Provider => "a free place at the provider".to_owned(),
            Constraint::Queue => "others to end".to_owned(),
            Constraint::Drained => "somebody to resume it".to_owned(),
        }
    }
}

impl Decision {
    /// What changed, and why.
    #[must_use]
    pub fn words(&self) -> String {
        let reason = self.reasons.line(self.constraint);
        format!("from {} to {}: {reason}", self.from, self.to)
    }
}
