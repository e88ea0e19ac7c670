//! What becomes of a job that ended: its connector's statistics, and its place in the history.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use profiler_client::protocol as wire;

use super::job::unix_ms;
use super::state::{Ended, State};
use crate::learn::ConnectorStatistics;
use crate::model::{Bytes, ConnectorId, FinishedJob, SourceId, Usage};
use crate::store::{JobFilter, Learned, Outcome, PastJob, Reader, Statistics, Store};

/// What is known of jobs that ended.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Nothing where none is kept.
    pub(super) store: Option<Store>,
    statistics: HashMap<ConnectorId, ConnectorStatistics>,
    /// Statistics that a former agent left, of connectors that are not known yet.
    left: HashMap<String, ConnectorStatistics>,
}

impl History {
    pub(super) fn new(store: Option<Store>, learned: Vec<Learned>) -> Self {
        let left = learned.into_iter().filter_map(|learned| {
            let statistics = serde_json::from_str(&learned.state).ok();
            if statistics.is_none() {
                tracing::warn!(connector = learned.connector, "statistics that nobody can read");
            }
            Some((learned.connector, statistics?))
        });
        Self { store, statistics: HashMap::new(), left: left.collect() }
    }

    fn of(&mut self, connector: ConnectorId, name: &str) -> &mut ConnectorStatistics {
        let left = &mut self.left;
        self.statistics.entry(connector).or_insert_with(|| left.remove(name).unwrap_or_default())
    }
}

impl State {
    /// Takes in the jobs that ended since the last call.
    pub(super) fn take_in_ended(&mut self) {
        let now = Self::now();
        let Self { ended, history, connectors, sources, .. } = self;
        let sample = &connectors.host.sample;
        let percent = |share: f64| (!sample.interval.is_zero()).then_some(100.0 * share);
        let host = (percent(sample.cpu_share()), percent(sample.memory_share()));
        let mut touched: Vec<ConnectorId> = Vec::new();
        for job in ended.drain(..) {
            let connector = job.job.connector;
            let name = connectors.name(connector);
            let source =
                job.job.holder.source.as_deref().map(|source| SourceId(sources.add(source)));
            history.of(connector, name).add(now, &finished(&job, source));
            if let Some(store) = &history.store {
                store.job_ended(past(job, name.to_owned(), host));
                touched.push(connector);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for connector in touched {
            let limit = self.ledger.state(connector).ok().map(|state| state.limit);
            self.keep_statistics(connector, limit);
        }
    }

    fn keep_statistics(&self, connector: ConnectorId, optimal_concurrency: Option<u32>) {
        let (Some(store), Some(statistics)) =
            (&self.history.store, self.history.statistics.get(&connector))
        else {
            return;
        };
        let name = self.connectors.name(connector);
        let shown = self.statistics(connector);
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
            optimal_concurrency,
            updated_unix_ms: unix_ms(),
        });
        if let Ok(state) = serde_json::to_string(statistics) {
            let (connector, updated_unix_ms) = (name.to_owned(), unix_ms());
            store.learned(Learned { connector, state, updated_unix_ms });
        }
    }

    /// A connector's statistics as the protocol has them.
    pub(super) fn statistics(&self, connector: ConnectorId) -> wire::Statistics {
        let known = self.history.statistics.get(&connector);
        let Some(known) = known.or_else(|| self.history.left.get(self.connectors.name(connector)))
        else {
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

fn wall(usage: &Usage) -> Duration {
    Duration::from_nanos(usage.wall_ns.unwrap_or(0))
}

fn finished(ended: &Ended, source: Option<SourceId>) -> FinishedJob {
    let (job, usage) = (&ended.job, &ended.usage);
    let sum = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
    FinishedJob {
        lease: job.lease,
        connector: job.connector,
        source,
        duration: wall(usage),
        cpu: usage.cpu_ns.map(Duration::from_nanos),
        cpu_cores_peak: job.cpu_cores_peak,
        memory_mean: usage.memory_mean_bytes.map(Bytes),
        memory_peak: usage.memory_peak_bytes.map(Bytes),
        read_bytes: usage.device_read_bytes,
        write_bytes: usage.device_write_bytes,
        net_bytes: sum(usage.net_rx_bytes, usage.net_tx_bytes),
        io_operations: sum(usage.device_read_ops, usage.device_write_ops),
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
        cpu_percent_peak: job.cpu_cores_peak.map(|cores| 100.0 * cores),
        host_cpu_percent: host.0,
        host_memory_percent: host.1,
        usage,
    }
}
