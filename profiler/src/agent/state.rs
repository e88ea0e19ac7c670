//! Everything that the agent knows, and what follows when something happens.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use profiler_client::protocol::{self as wire, Bounded, WorkerError};
use profiler_common::JobRef;
use tokio::sync::Notify;

use super::connectors::Connectors;
use super::history::History;
use super::job::{BeginError, Holder, Job, Members};
use super::names::Names;
use super::words;
use super::workers::Workers;
use crate::config::Config;
use crate::ipc::{Latest, Line};
use crate::kernel::{Attribution, TagError, monotonic_ns};
use crate::lease::{Effect, Grant, LeaseState, Ledger};
use crate::model::{ConnectorId, HostSample, LeaseId, Moment, Owner, PermitId, Ticket, Usage};

/// What a call that waits is told.
#[derive(Debug)]
pub(super) enum News {
    /// The place in the queue may be another.
    Moved,
    /// The slot, with its job begun; or why there is none.
    Slot(Result<wire::Grant, WorkerError>),
    /// The place at a provider, or why there is none.
    Permit(Result<(PermitId, Duration), WorkerError>),
}

/// A request that the ledger has not answered yet.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) connector: ConnectorId,
    /// Who runs the job; nothing for a place at a provider.
    pub(super) job: Option<(Members, Holder)>,
    pub(super) news: Latest<News>,
}

/// A job that ended, for the history.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) job: Job,
    pub(super) usage: Usage,
    pub(super) outcome: Option<wire::Outcome>,
}

/// Everything that the agent knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) attribution: Attribution,
    pub(super) ledger: Ledger,
    pub(super) connectors: Connectors,
    pub(super) sources: Names,
    pub(super) jobs: HashMap<LeaseId, Job>,
    pub(super) workers: Workers,
    pub(super) wishes: HashMap<Ticket, Wish>,
    pub(super) leases_of: HashMap<Owner, Vec<LeaseId>>,
    /// Connections that are open.
    pub(super) lines: HashMap<Owner, Line>,
    pub(super) permits_of: HashMap<Owner, Vec<PermitId>>,
    pub(super) providers: Names,
    /// Who is told of every change: calls that watch.
    pub(super) watchers: Vec<Latest<()>>,
    /// What the agent itself costs.
    pub(super) own: wire::OwnCost,
    /// Jobs that ended and are not in the history yet.
    pub(super) ended: Vec<Ended>,
    pub(super) history: History,
    pub(super) config: Config,
    /// Told whenever a call begins to wait: it may have to end before any other.
    pub(super) somebody_waits: Rc<Notify>,
    /// Leases by user.
    held_by: HashMap<u32, u32>,
    /// By job slot.
    lease_at: Vec<Option<LeaseId>>,
}

impl State {
    pub(super) fn new(
        attribution: Attribution,
        ledger: Ledger,
        connectors: Connectors,
        history: History,
        config: Config,
    ) -> Self {
        let slots = attribution.job_capacity() as usize;
        Self {
            attribution,
            ledger,
            connectors,
            sources: Names::default(),
            jobs: HashMap::new(),
            workers: Workers::default(),
            wishes: HashMap::new(),
            leases_of: HashMap::new(),
            lines: HashMap::new(),
            permits_of: HashMap::new(),
            providers: Names::default(),
            watchers: Vec::new(),
            own: wire::OwnCost::default(),
            ended: Vec::new(),
            history,
            config,
            somebody_waits: Rc::default(),
            held_by: HashMap::new(),
            lease_at: vec![None; slots],
        }
    }

    pub(super) fn now() -> Moment {
        Moment(monotonic_ns())
    }

    /// Carries out what the ledger decided. What concerns `mine` is returned instead of told.
    pub(super) fn carry_out(&mut self, mine: Option<(Ticket, Wish)>) -> Option<News> {
        let (my_ticket, mut my_wish) = mine.map_or((None, None), |(t, w)| (Some(t), Some(w)));
        let mut answer = None;
        loop {
            let effects: Vec<Effect> = self.ledger.effects().collect();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                let Some((ticket, news)) = self.news_of(effect, my_ticket, &mut my_wish) else {
                    continue;
                };
                if Some(ticket) == my_ticket {
                    answer = Some(news);
                } else if let Some(wish) = self.wishes.remove(&ticket) {
                    wish.news.put(news);
                }
            }
        }
        if let (Some(ticket), Some(wish), None) = (my_ticket, my_wish, &answer) {
            self.wishes.insert(ticket, wish);
            self.somebody_waits.notify_one();
        }
        answer
    }

    fn news_of(
        &mut self,
        effect: Effect,
        my_ticket: Option<Ticket>,
        my_wish: &mut Option<Wish>,
    ) -> Option<(Ticket, News)> {
        match effect {
            Effect::Granted(grant) => {
                let is_mine = Some(grant.ticket) == my_ticket;
                let wish =
                    if is_mine { my_wish.as_mut() } else { self.wishes.get_mut(&grant.ticket) };
                let job = wish.and_then(|wish| wish.job.take());
                Some((grant.ticket, News::Slot(self.begin(&grant, job))))
            }
            Effect::NotGranted { ticket, constraints, waited, .. } => {
                let constraints = words::constraints(constraints);
                let waited_ms = words::ms(waited);
                let error = WorkerError::NotGranted { constraints, waited_ms, estimate_ms: None };
                Some((ticket, News::Slot(Err(error))))
            }
            Effect::Permitted { ticket, permit, waited } => {
                Some((ticket, News::Permit(Ok((permit, waited)))))
            }
            Effect::NotPermitted { ticket, waited } => {
                let constraints = vec![wire::Constraint::Provider];
                let waited_ms = words::ms(waited);
                let error = WorkerError::NotGranted { constraints, waited_ms, estimate_ms: None };
                Some((ticket, News::Permit(Err(error))))
            }
            Effect::QueueMoved(connector) => {
                for wish in self.wishes.values().filter(|wish| wish.connector == connector) {
                    wish.news.put(News::Moved);
                }
                None
            }
            Effect::OverrideEnded(connector) => {
                tracing::info!(
                    connector = self.connectors.name(connector),
                    "limit set by hand ended"
                );
                None
            }
        }
    }

    /// Begins the job of a lease that was just granted. Where that cannot be, the lease is given back.
    fn begin(
        &mut self,
        grant: &Grant,
        job: Option<(Members, Holder)>,
    ) -> Result<wire::Grant, WorkerError> {
        let owner = self.ledger.lease(grant.lease).map(|lease| lease.owner);
        if let (Some((members, holder)), Some(owner)) = (&job, owner) {
            self.end_forgotten(*members, holder.into(), owner);
        }
        let begun = job.ok_or(WorkerError::Draining {}).and_then(|(members, holder)| {
            let Self { attribution, workers, .. } = self;
            Job::begin(attribution, workers, grant.lease, grant.connector, members, holder)
                .map_err(|error| self.refusal(&error, members))
        });
        let mut job = match begun {
            Ok(job) => job,
            Err(error) => {
                // It is there: it was granted just now.
                let _ = self.ledger.release(Self::now(), grant.lease);
                return Err(error);
            }
        };
        job.waited_ms = words::ms(grant.waited);
        let name = self.connectors.name(grant.connector);
        job.keep(&mut self.attribution, (name, grant.memory.0));
        self.enter(job);
        Ok(wire::Grant {
            lease: wire::LeaseId(grant.lease.0),
            connector: name_of(&self.connectors, grant.connector),
            how: words::how(grant.how),
            exceeds: words::constraints(grant.exceeds),
            waited_ms: words::ms(grant.waited),
            memory_bytes: grant.memory.0,
            hint: self.hint(Some(grant.connector)),
        })
    }

    /// Advice for jobs of a connector, or of the host.
    pub(super) fn hint(&self, connector: Option<ConnectorId>) -> wire::Advice {
        let jobs = match connector {
            Some(connector) => self.ledger.state(connector).map_or(0, |state| state.in_use),
            None => u32::try_from(self.jobs.len()).unwrap_or(u32::MAX),
        };
        self.connectors.hint(connector, jobs)
    }

    /// Takes up a job, one that just began or one from before a restart.
    pub(super) fn enter(&mut self, job: Job) {
        if let Some(place) = self.lease_at.get_mut(job.job.slot() as usize) {
            *place = Some(job.lease);
        }
        if let Some(lease) = self.ledger.lease(job.lease) {
            self.leases_of.entry(lease.owner).or_default().push(job.lease);
        }
        *self.held_by.entry(job.holder.uid).or_default() += 1;
        self.jobs.insert(job.lease, job);
    }

    /// How many leases a user has.
    pub(super) fn leases_of_user(&self, uid: u32) -> u32 {
        self.held_by.get(&uid).copied().unwrap_or(0)
    }

    fn refusal(&self, error: &BeginError, members: Members) -> WorkerError {
        let (tid, pid) = match members {
            Members::Thread { tid } => (Some(tid), None),
            Members::Process { pid } | Members::Tree { pid } | Members::Children { pid } => {
                (None, Some(pid))
            }
        };
        match error {
            BeginError::Full(_) => WorkerError::TooMany {
                what: Bounded::Leases,
                limit: self.attribution.job_capacity().into(),
            },
            BeginError::Tasks(TagError::Taken) => {
                WorkerError::TaskIsTaken { tid: tid.or(pid).unwrap_or(0) }
            }
            BeginError::Tasks(error) => {
                tracing::debug!(%error, ?members, "cannot count a job's tasks");
                WorkerError::NoSuchTask { tid, pid }
            }
        }
    }

    /// Ends a job whose lease is or will be given back, and gives its record.
    pub(super) fn end(&mut self, lease: LeaseId, outcome: Option<wire::Outcome>) -> Option<Usage> {
        let job = self.jobs.remove(&lease)?;
        if let Some(held) = self.held_by.get_mut(&job.holder.uid) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held_by.remove(&job.holder.uid);
            }
        }
        if let Some(place) = self.lease_at.get_mut(job.job.slot() as usize) {
            *place = None;
        }
        if let Some(owner) = self.ledger.lease(lease).map(|lease| lease.owner)
            && let Some(leases) = self.leases_of.get_mut(&owner)
        {
            leases.retain(|other| *other != lease);
        }
        let (usage, job) = job.end(&mut self.attribution, &mut self.workers);
        self.ended.push(Ended { job, usage: usage.clone(), outcome });
        Some(usage)
    }

    /// Gives a lease back and its job's record.
    pub(super) fn release(
        &mut self,
        lease: LeaseId,
        outcome: Option<wire::Outcome>,
    ) -> Option<Usage> {
        let usage = self.end(lease, outcome)?;
        let released = self.ledger.release(Self::now(), lease);
        debug_assert!(released.is_ok(), "a job without a lease");
        self.carry_out(None);
        Some(usage)
    }

    /// Gives a place at a provider back, if it is this owner's.
    pub(super) fn release_permit(&mut self, owner: Owner, permit: PermitId) -> bool {
        let Some(permits) = self.permits_of.get_mut(&owner) else { return false };
        let Some(at) = permits.iter().position(|own| *own == permit) else { return false };
        permits.swap_remove(at);
        // One that belonged to a lease ended with it.
        let _ = self.ledger.release_permit(Self::now(), permit);
        self.carry_out(None);
        true
    }

    /// A connection is gone. Its leases end with their last task.
    pub(super) fn disconnected(&mut self, owner: Owner) {
        self.lines.remove(&owner);
        for permit in self.permits_of.remove(&owner).unwrap_or_default() {
            // One that belonged to a lease ended with it.
            let _ = self.ledger.release_permit(Self::now(), permit);
        }
        for lease in self.leases_of.remove(&owner).unwrap_or_default() {
            let has_tasks =
                self.jobs.get(&lease).is_some_and(|job| job.has_tasks(&self.attribution));
            if has_tasks {
                let orphaned = self.ledger.orphan(Self::now(), lease);
                debug_assert!(orphaned.is_ok(), "a job without a lease");
            } else {
                self.release(lease, None);
            }
        }
        self.carry_out(None);
    }

    /// Whether a lease's connection is gone, if only this very moment.
    pub(super) fn is_cut_off(&self, lease: LeaseId) -> bool {
        self.ledger.lease(lease).is_some_and(|lease| {
            lease.state == LeaseState::Orphaned
                || self.lines.get(&lease.owner).is_some_and(|line| line.is_cut())
        })
    }

    /// Takes in the ends of tasks: a lease whose worker is gone ends with its last task.
    pub(super) fn tasks_ended(&mut self) {
        let mut jobs: Vec<u64> = Vec::new();
        self.attribution.drain_ended(|event| {
            if jobs.last() != Some(&event.job) {
                jobs.push(event.job);
            }
        });
        for job in jobs {
            let job = JobRef(job);
            let lease = self.lease_at.get(job.slot() as usize).copied().flatten();
            let Some(lease) = lease.filter(|lease| {
                self.jobs
                    .get(lease)
                    .is_some_and(|found| found.job == job && !found.has_tasks(&self.attribution))
            }) else {
                continue;
            };
            let is_orphan =
                self.ledger.lease(lease).is_some_and(|lease| lease.state == LeaseState::Orphaned);
            if is_orphan {
                self.release(lease, None);
            } else {
                // It is there: its job is.
                let _ = self.ledger.tasks_ended(Self::now(), lease);
            }
        }
        self.carry_out(None);
    }

    /// Has everybody who watches look again.
    pub(super) fn tell_watchers(&mut self) {
        self.watchers.retain(|watcher| !watcher.is_abandoned());
        self.watchers.iter().for_each(|watcher| watcher.put(()));
    }

    /// Looks at all jobs and at the host, and computes limits anew.
    pub(super) fn look(&mut self, sample: HostSample) {
        if let Some(level) = self.connectors.host.look(Self::now(), sample) {
            let share = |share: f64| format!("{:.0} %", 100.0 * share);
            let sample = &self.connectors.host.sample;
            let (cpu, memory) = (share(sample.cpu_share()), share(sample.memory_share()));
            tracing::info!(?level, cpu, memory, "the host's level changed");
        }
        let snapshot = self.attribution.snapshot();
        let mut cpu_ns: HashMap<u64, u64> = HashMap::new();
        for job in &snapshot.jobs {
            *cpu_ns.entry(job.job.0).or_default() += job.ended.counters.cpu_ns;
        }
        for task in &snapshot.tasks {
            *cpu_ns.entry(task.job.0).or_default() += task.spent.counters.cpu_ns;
        }
        let now = Moment(snapshot.taken_ns);
        for job in self.jobs.values_mut() {
            job.look(cpu_ns.get(&job.job.0).copied().unwrap_or(0), now);
        }
        self.workers.sweep(&self.attribution);
        self.take_in_ended();
        self.connectors.plan(&mut self.ledger);
        self.advance();
        self.tell_watchers();
    }

    /// A line in the log, for whoever looks back later.
    pub(super) fn say_summary(&self) {
        let sample = &self.connectors.host.sample;
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let busiest = sample.devices.iter().filter_map(|device| device.busy).reduce(f64::max);
        tracing::info!(
            cpu = percent(sample.cpu_share()),
            memory = percent(sample.memory_share()),
            disk = busiest.map(percent),
            leases = self.jobs.len(),
            waiting = self.ledger.waiting(),
            "host",
        );
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
            let state = self.ledger.state(id).ok()?;
            let connector = self.connectors.name(id).to_owned();
            let level = words::level(self.level(Some(&connector)));
            let (limit, in_use, waiting) = (state.limit, state.in_use, state.waiting);
            Some(wire::ConnectorState { connector, level, limit, in_use, waiting })
        };
        wire::WatchState {
            level: words::level(self.level(None)),
            connectors: wanted.into_iter().filter_map(state_of).collect(),
        }
    }

    /// Lets time pass in the ledger.
    pub(super) fn advance(&mut self) {
        self.ledger.advance(Self::now());
        self.carry_out(None);
    }
}

fn name_of(connectors: &Connectors, connector: ConnectorId) -> String {
    connectors.name(connector).to_owned()
}
