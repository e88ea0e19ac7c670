//! What is kept: jobs that ended, what was learned from them, what was decided, who changed what.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use profiler_client::protocol as wire;

use serde::Serialize;

use super::job::unix_ms;
use super::samples::wall;
use super::state::{Ended, State};
use super::tasks::Caller;
use crate::control;
use crate::model::{ConnectorId, Moment, Usage};
use crate::store::{
    AuditEntry, Decision, JobFilter, Learned, Outcome, PastJob, Reader, Statistics, Store,
};

/// What was learned of a connector is written at most so often: it takes a few KiB of text.
const KEEP_LEARNED: Duration = Duration::from_secs(1);

/// What is kept of the past.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Nothing where none is kept.
    pub(super) store: Option<Store>,
    /// What a former agent learned of connectors that are not known yet.
    left: HashMap<String, Box<control::Learned>>,
    /// Connectors of which jobs ended since that was written last, and when that was.
    touched: BTreeSet<ConnectorId>,
    kept_at: Moment,
    /// How much of each connector's demand had been seen when it was written last.
    kept: HashMap<ConnectorId, f64>,
}

impl History {
    pub(super) fn new(store: Option<Store>, learned: Vec<Learned>) -> Self {
        let left = learned.into_iter().filter_map(|learned| {
            let known = serde_json::from_str(&learned.state);
            if let Err(error) = &known {
                let connector = &learned.connector;
                tracing::warn!(connector, %error, "what was learned of it cannot be read");
            }
            Some((learned.connector, known.ok()?))
        });
        Self { store, left: left.collect(), ..Self::default() }
    }

    /// What a former agent learned of a connector, once.
    pub(super) fn take_learned(&mut self, name: &str) -> Option<Box<control::Learned>> {
        self.left.remove(name)
    }
}

impl State {
    /// Takes in the jobs that ended since the last call.
    pub(super) fn take_in_ended(&mut self) {
        while self.take_in_some() {}
        let now = Self::now();
        if now.since(self.history.kept_at) >= KEEP_LEARNED {
            self.history.kept_at = now;
            for connector in std::mem::take(&mut self.history.touched) {
                self.keep_learned(connector);
            }
        }
    }

    /// Takes in some of them, in less time than a call should wait; whether there are more.
    pub(super) fn take_in_some(&mut self) -> bool {
        const AT_ONCE: usize = 32;
        let percent = |share: f64| (!self.host.interval.is_zero()).then_some(100.0 * share);
        let host = (percent(self.host.cpu_share()), percent(self.host.memory_share()));
        for job in self.ended.drain(..AT_ONCE.min(self.ended.len())) {
            let connector = job.job.connector;
            if let Some(store) = &self.history.store {
                store.job_ended(past(job, self.connectors.name(connector).to_owned(), host));
                self.history.touched.insert(connector);
            }
        }
        !self.ended.is_empty()
    }

    /// Keeps what was learned of all connectors, jobs that still run included.
    pub(super) fn keep_all_learned(&mut self) {
        let connectors: Vec<ConnectorId> = self.connectors.iter().map(|(id, _)| id).collect();
        connectors.into_iter().for_each(|connector| self.keep_learned(connector));
    }

    fn keep_learned(&mut self, connector: ConnectorId) {
        let (Some(store), Ok(learned)) =
            (&self.history.store, self.control.core().learned(connector))
        else {
            return;
        };
        // Each second of a job counts up, and so does each job's end.
        let seen = learned.demand.seen() + learned.statistics.jobs as f64;
        if self.history.kept.insert(connector, seen) == Some(seen) {
            return;
        }
        let name = self.connectors.name(connector);
        let shown = self.statistics(connector);
        let limit = self.control.core().limit(connector).ok().map(|(limit, _)| limit);
        store.statistics(Statistics {
            connector: name.to_owned(),
            jobs: shown.jobs,
            duration_seconds: shown.duration_seconds,
            duration_p50_seconds: shown.duration_p50_seconds,
            duration_p95_seconds: shown.duration_p95_seconds,
            cpu_cores: shown.cpu_cores,
            cpu_cores_peak: shown.cpu_cores_peak,
            memory_bytes: shown.memory_bytes,
            memory_peak_bytes: shown.memory_peak_bytes,
            read_bytes: shown.read_bytes,
            write_bytes: shown.write_bytes,
            io_operations: shown.io_operations,
            optimal_concurrency: limit,
            updated_unix_ms: unix_ms(),
        });
        if let Ok(state) = serde_json::to_string(&learned) {
            let (connector, updated_unix_ms) = (name.to_owned(), unix_ms());
            store.learned(Learned { connector, state, updated_unix_ms });
        }
    }

    /// Keeps why a limit changed.
    pub(super) fn keep_decision(&self, decision: &control::Decision) {
        let connector = self.connectors.name(decision.connector);
        let control::Decision { from, to, constraint, shadow, .. } = *decision;
        tracing::debug!(connector, from, to, ?constraint, shadow, "limit");
        let Some(store) = &self.history.store else { return };
        let would = if shadow { "would be " } else { "" };
        store.decided(Decision {
            unix_ms: unix_ms(),
            connector: Some(connector.to_owned()),
            decision: format!("limit {would}{from} -> {to}"),
            facts: serde_json::to_string(decision).unwrap_or_default(),
        });
    }

    /// Keeps what an operator did.
    pub(super) fn keep_action<T: Serialize>(
        &self,
        caller: &Caller,
        action: &str,
        subject: Option<&str>,
        facts: &T,
    ) {
        let Some(store) = &self.history.store else { return };
        store.audit(AuditEntry {
            unix_ms: unix_ms(),
            uid: caller.uid,
            pid: caller.pid,
            action: action.to_owned(),
            subject: subject.map(str::to_owned),
            facts: serde_json::to_string(facts).unwrap_or_default(),
        });
    }

    /// A connector's statistics as the protocol has them.
    pub(super) fn statistics(&self, connector: ConnectorId) -> wire::Statistics {
        let Ok(known) = self.control.core().statistics(connector) else {
            return wire::Statistics::default();
        };
        wire::Statistics {
            jobs: known.jobs,
            duration_seconds: known.duration_seconds.get(),
            cpu_cores: known.cpu_cores.get(),
            cpu_cores_peak: known.cpu_cores_peak,
            memory_bytes: known.memory_bytes.get(),
            memory_peak_bytes: known.memory_peak_bytes.map(|bytes| bytes.0),
            read_bytes: known.read_bytes.get(),
            write_bytes: known.write_bytes.get(),
            io_operations: known.io_operations.get(),
            duration_p50_seconds: known.durations.quantile(0.5),
            duration_p95_seconds: known.durations.quantile(0.95),
            updated_unix_ms: known.updated.map(|updated| {
                let ago = Self::now().since(updated);
                unix_ms().saturating_sub(super::words::ms(ago))
            }),
        }
    }

    /// Where jobs that ended are found, those included that ended just now.
    pub(super) fn history_file(&mut self) -> Result<PathBuf, wire::ControlError> {
        self.take_in_ended();
        let store = self.history.store.as_ref().map(|store| store.file().to_owned());
        store.ok_or_else(|| wire::ControlError::NoHistory { why: "it is switched off".to_owned() })
    }
}

/// Jobs that ended, as the history has them. Takes as long as the disk does.
pub(super) fn past_jobs(file: &Path, filter: &JobFilter) -> PastJobs {
    let jobs = Reader::open(file).and_then(|reader| reader.jobs(filter));
    let jobs = jobs.map_err(|error| wire::ControlError::NoHistory { why: error.to_string() })?;
    Ok(wire::PastJobs { jobs: jobs.into_iter().map(shown).collect() })
}

/// Jobs that ended, or why nobody can tell.
pub(super) type PastJobs = Result<wire::PastJobs<Usage>, wire::ControlError>;

fn shown(job: PastJob) -> wire::PastJob<Usage> {
    wire::PastJob {
        lease: wire::LeaseId(job.lease),
        connector: job.connector,
        source: job.source,
        label: job.label,
        outcome: job.outcome.map(|outcome| outcome.as_str().to_owned()),
        uid: job.uid,
        began_unix_ms: job.began_unix_ms,
        duration_ms: job.duration_ms,
        waited_ms: job.waited_ms,
        usage: job.usage,
    }
}

fn past(ended: Ended, connector: String, host: (Option<f64>, Option<f64>)) -> PastJob {
    let Ended { job, usage, outcome } = ended;
    let duration = wall(&usage);
    let mean = usage.cpu_ns.filter(|_| !duration.is_zero());
    PastJob {
        lease: job.lease.0,
        connector,
        source: job.holder.source.map(String::from),
        label: job.holder.label.map(String::from),
        outcome: outcome.map(|outcome| match outcome {
            wire::Outcome::Succeeded => Outcome::Succeeded,
            wire::Outcome::Failed => Outcome::Failed,
            wire::Outcome::Cancelled => Outcome::Cancelled,
        }),
        uid: job.holder.uid,
        pid: job.holder.pid,
        began_unix_ms: job.began_unix_ms,
        duration_ms: super::words::ms(duration),
        waited_ms: job.waited_ms,
        cpu_percent_mean: mean.map(|cpu| 100.0 * cpu as f64 / duration.as_nanos() as f64),
        cpu_percent_peak: job.cpu_peak.or_mean(&usage).map(|cores| 100.0 * cores),
        host_cpu_percent: host.0,
        host_memory_percent: host.1,
        usage,
    }
}
