//! Looking at the host and at all jobs at each turn of the clock: what the controller learns of them,
//! and what goes to whoever watches, to history and to the log.

use std::collections::HashMap;
use std::time::Duration;

use profiler_client::protocol as wire;
use profiler_common::Spent;

use super::job::Job;
use super::samples::{CpuPeak, EndedSamples, Seen, spent};
use super::state::State;
use super::words;
use crate::control::Event;
use crate::model::{ConnectorId, HostSample, Level, Moment, Owner};

impl State {
    /// Looks at all jobs and at the host, and has limits computed.
    pub(super) fn look(&mut self, host: HostSample) {
        let snapshot = self.attribution.snapshot();
        let known = self.attribution.known();
        let mut live: HashMap<u64, Spent> = HashMap::new();
        for task in &snapshot.tasks {
            live.entry(task.job.0).or_default().add(&task.spent);
        }
        let now = Moment(snapshot.taken_ns);
        let mut samples = self.ended_samples.take(self.jobs.len());
        for figures in &snapshot.jobs {
            let slot = figures.job.slot() as usize;
            let Some(lease) = self.lease_at.get(slot).copied().flatten() else { continue };
            let Some(job) = self.jobs.get_mut(&lease).filter(|job| job.job == figures.job) else {
                continue;
            };
            let mut spent = figures.ended;
            live.get(&figures.job.0).into_iter().for_each(|live| spent.add(live));
            samples.extend(job.sample(now, &spent, &figures.held, figures.tasks_live, &known));
        }
        self.host.clone_from(&host);
        // In an order of their own, whatever slots the jobs have.
        samples.sort_by_key(|sample| sample.lease);
        self.tell(Event::Sample { host, jobs: samples });
        self.tidy_up();
    }

    /// Where nobody wants to know what the host and its jobs do, limits stay as they are.
    pub(super) fn look_away(&mut self) {
        self.ended_samples = EndedSamples::default();
        self.tidy_up();
    }

    /// What is to be done now and then.
    fn tidy_up(&mut self) {
        self.control.hand_over();
        self.workers.sweep(&self.attribution);
        self.take_in_ended();
        self.tell_watchers();
    }

    /// Has limits computed from how the host stands, before anything was measured.
    pub(super) fn look_for_the_first_time(&mut self, host: HostSample) {
        if self.config.monitoring.enabled {
            self.host = HostSample { interval: Duration::ZERO, ..host };
            let host = self.host.clone();
            self.tell(Event::Sample { host, jobs: Vec::new() });
        }
    }

    /// A job that was counted before this agent began: what it used until now was told already.
    pub(super) fn look_first(&self, job: &mut Job) {
        if let Some((figures, live)) = self.attribution.job(job.job) {
            let (at, spent) = (Self::now(), spent(&figures, &live));
            job.cpu_peak = CpuPeak::new(at, spent.counters.cpu_ns);
            job.seen = Seen { at, spent };
        }
    }

    /// A line in the log about a level that is another one now.
    pub(super) fn say_level(&self, connector: Option<ConnectorId>, level: Level) {
        let share = |share: f64| format!("{:.0} %", 100.0 * share);
        let (cpu, memory) = (share(self.host.cpu_share()), share(self.host.memory_share()));
        match connector {
            None => tracing::info!(?level, cpu, memory, "the host's level changed"),
            Some(connector) => {
                let connector = self.connectors.name(connector);
                tracing::debug!(connector, ?level, cpu, memory, "a connector's level changed");
            }
        }
    }

    /// A line in the log, for whoever looks back later.
    pub(super) fn say_summary(&self) {
        let sample = &self.host;
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let busiest = sample.devices.iter().filter_map(|device| device.busy).reduce(f64::max);
        tracing::info!(
            cpu = percent(sample.cpu_share()),
            memory = percent(sample.memory_share()),
            disk = busiest.map(percent),
            leases = self.jobs.len(),
            waiting = self.ledger().waiting(),
            "host",
        );
    }

    /// Has everybody who watches look again.
    pub(super) fn tell_watchers(&mut self) {
        self.watchers.retain(|watcher| !watcher.is_abandoned());
        self.watchers.iter().for_each(|watcher| watcher.put(()));
    }

    /// What somebody who watches a connector, or all of which they have leases, is told.
    pub(super) fn watched(&self, owner: Owner, name: Option<&str>) -> wire::WatchState {
        let mut wanted: Vec<ConnectorId> = match name {
            Some(name) => self.connectors.find(name).into_iter().collect(),
            None => {
                let leases = self.leases_of.get(&owner).into_iter().flatten();
                leases.filter_map(|lease| Some(self.jobs.get(lease)?.connector)).collect()
            }
        };
        wanted.sort_unstable();
        wanted.dedup();
        let state_of = |id: ConnectorId| {
            let state = self.ledger().state(id).ok()?;
            let connector = self.connectors.name(id).to_owned();
            let level = words::level(self.level(Some(id)));
            let (limit, in_use, waiting) = (state.limit, state.in_use, state.waiting);
            Some(wire::ConnectorState { connector, level, limit, in_use, waiting })
        };
        wire::WatchState {
            level: words::level(self.level(None)),
            connectors: wanted.into_iter().filter_map(state_of).collect(),
        }
    }

    /// The host's level, or a connector's.
    pub(super) fn level(&self, connector: Option<ConnectorId>) -> Level {
        let core = self.control.core();
        core.level(connector).or_else(|_| core.level(None)).unwrap_or_default()
    }
}
