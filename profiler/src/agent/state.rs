//! Everything that the agent knows, and what follows when something happens.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use profiler_client::protocol::{self as wire, Bounded, WorkerError};
use profiler_common::{JobRef, Spent};
use tokio::sync::Notify;

use super::connectors::Connectors;
use super::controller::Controller;
use super::history::History;
use super::job::{BeginError, Holder, Job, Members};
use super::names::Names;
use super::samples::{EndedSamples, Seen, spent};
use super::words;
use super::workers::Workers;
use crate::config::Config;
use crate::control::{Effect, Event};
use crate::ipc::{Latest, Line};
use crate::kernel::{Attribution, TagError, monotonic_ns};
use crate::lease::{self, Grant, LeaseState, Ledger};
use crate::model::{
    ConnectorId, HostSample, LeaseId, Level, Moment, Owner, PermitId, Ticket, Usage,
};

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
    pub(super) control: Controller,
    /// The host as it was read last.
    pub(super) host: HostSample,
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
    pub(super) ended: VecDeque<Ended>,
    /// Told whenever one more ended.
    pub(super) somebody_ended: Rc<Notify>,
    pub(super) history: History,
    pub(super) config: Config,
    /// What jobs did that ended since the last look.
    pub(super) ended_samples: EndedSamples,
    /// Told whenever a call begins to wait: it may have to end before any other.
    pub(super) somebody_waits: Rc<Notify>,
    /// Leases by user.
    held_by: HashMap<u32, u32>,
    /// Empty, and kept for its room.
    effects: Vec<Effect>,
    /// By job slot.
    lease_at: Vec<Option<LeaseId>>,
}

impl State {
    pub(super) fn new(
        attribution: Attribution,
        control: Controller,
        history: History,
        config: Config,
    ) -> Self {
        let slots = attribution.job_capacity() as usize;
        Self {
            attribution,
            control,
            host: HostSample::default(),
            connectors: Connectors::new(config.connectors.clone()),
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
            ended: VecDeque::new(),
            somebody_ended: Rc::default(),
            history,
            config,
            somebody_waits: Rc::default(),
            ended_samples: EndedSamples::default(),
            held_by: HashMap::new(),
            effects: Vec::new(),
            lease_at: vec![None; slots],
        }
    }

    pub(super) fn now() -> Moment {
        Moment(monotonic_ns())
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.control.ledger()
    }

    /// Tells the controller something about what is known to be there, and does what follows.
    pub(super) fn tell(&mut self, event: Event) {
        self.control.tell_known(Self::now(), event);
        self.carry_out(None);
    }

    /// Carries out what the controller decided. What concerns `mine` is returned instead of told.
    pub(super) fn carry_out(&mut self, mine: Option<(Ticket, Wish)>) -> Option<News> {
        let (my_ticket, mut my_wish) = mine.map_or((None, None), |(t, w)| (Some(t), Some(w)));
        let mut answer = None;
        let mut effects = std::mem::take(&mut self.effects);
        loop {
            self.control.effects_into(&mut effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects.drain(..) {
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
        self.effects = effects;
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
        let effect = match effect {
            Effect::Lease(effect) => effect,
            Effect::Decided(decision) => {
                self.keep_decision(&decision);
                return None;
            }
            Effect::Level { connector, level } => {
                self.say_level(connector, level);
                return None;
            }
        };
        match effect {
            lease::Effect::Granted(grant) => {
                let is_mine = Some(grant.ticket) == my_ticket;
                let wish =
                    if is_mine { my_wish.as_mut() } else { self.wishes.get_mut(&grant.ticket) };
                let job = wish.and_then(|wish| wish.job.take());
                Some((grant.ticket, News::Slot(self.begin(&grant, job))))
            }
            lease::Effect::NotGranted { ticket, connector, constraints, waited } => {
                let estimate = self.estimate(connector, 1).filter(|_| !constraints.is_empty());
                let constraints = words::constraints(constraints);
                let waited_ms = words::ms(waited);
                let error =
                    WorkerError::NotGranted { constraints, waited_ms, estimate_ms: estimate };
                Some((ticket, News::Slot(Err(error))))
            }
            lease::Effect::Permitted { ticket, permit, waited } => {
                Some((ticket, News::Permit(Ok((permit, waited)))))
            }
            lease::Effect::NotPermitted { ticket, waited } => {
                let constraints = vec![wire::Constraint::Provider];
                let waited_ms = words::ms(waited);
                let error = WorkerError::NotGranted { constraints, waited_ms, estimate_ms: None };
                Some((ticket, News::Permit(Err(error))))
            }
            lease::Effect::QueueMoved(connector) => {
                for wish in self.wishes.values().filter(|wish| wish.connector == connector) {
                    wish.news.put(News::Moved);
                }
                None
            }
            lease::Effect::OverrideEnded(connector) => {
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
        let owner = self.ledger().lease(grant.lease).map(|lease| lease.owner);
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
                let event = Event::Release { lease: grant.lease, finished: None };
                self.control.tell_known(Self::now(), event);
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
        // The connector is known: without one, there is always an answer.
        let core = self.control.core();
        words::advice(core.advice(connector).or_else(|_| core.advice(None)).ok())
    }

    /// How long a place in a connector's queue takes, as far as anything is known to tell from.
    pub(super) fn estimate(&self, connector: ConnectorId, position: u32) -> Option<u64> {
        self.control.core().estimate(connector, position).ok().flatten().map(words::ms)
    }

    /// Takes up a job, one that just began or one from before a restart.
    pub(super) fn enter(&mut self, job: Job) {
        if let Some(place) = self.lease_at.get_mut(job.job.slot() as usize) {
            *place = Some(job.lease);
        }
        if let Some(lease) = self.ledger().lease(job.lease) {
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

    /// Gives a lease back and its job's record.
    pub(super) fn release(
        &mut self,
        lease: LeaseId,
        outcome: Option<wire::Outcome>,
    ) -> Option<Usage> {
        let usage = self.end(lease, outcome)?;
        self.carry_out(None);
        Some(usage)
    }

    /// As [`State::release`]. Whom it makes room for is to be carried out.
    pub(super) fn end(&mut self, lease: LeaseId, outcome: Option<wire::Outcome>) -> Option<Usage> {
        let mut job = self.jobs.remove(&lease)?;
        if let Some(held) = self.held_by.get_mut(&job.holder.uid) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held_by.remove(&job.holder.uid);
            }
        }
        if let Some(place) = self.lease_at.get_mut(job.job.slot() as usize) {
            *place = None;
        }
        let held = self.ledger().lease(lease).map(|lease| (lease.owner, lease.source));
        if let Some((owner, _)) = held
            && let Some(leases) = self.leases_of.get_mut(&owner)
        {
            leases.retain(|other| *other != lease);
        }
        let (usage, sample) = job.end(&mut self.attribution, &mut self.workers);
        if let Some(sample) = sample {
            self.ended_samples.push(sample);
        }
        let finished = job.finished(&usage, held.and_then(|(_, source)| source));
        self.ended.push_back(Ended { job, usage: usage.clone(), outcome });
        self.somebody_ended.notify_one();
        self.control.tell_known(Self::now(), Event::Release { lease, finished: Some(finished) });
        Some(usage)
    }

    /// Gives a place at a provider back, if it is this owner's.
    pub(super) fn release_permit(&mut self, owner: Owner, permit: PermitId) -> bool {
        let Some(permits) = self.permits_of.get_mut(&owner) else { return false };
        let Some(at) = permits.iter().position(|own| *own == permit) else { return false };
        permits.swap_remove(at);
        // One that belonged to a lease ended with it.
        let _ = self.control.tell(Self::now(), Event::ReleasePermit(permit));
        self.carry_out(None);
        true
    }

    /// A connection is gone. Its leases end with their last task.
    pub(super) fn disconnected(&mut self, owner: Owner) {
        self.lines.remove(&owner);
        for permit in self.permits_of.remove(&owner).unwrap_or_default() {
            // One that belonged to a lease ended with it.
            let _ = self.control.tell(Self::now(), Event::ReleasePermit(permit));
        }
        for lease in self.leases_of.remove(&owner).unwrap_or_default() {
            let has_tasks =
                self.jobs.get(&lease).is_some_and(|job| job.has_tasks(&self.attribution));
            if has_tasks {
                self.control.tell_known(Self::now(), Event::Orphan(lease));
            } else {
                self.release(lease, None);
            }
        }
        self.carry_out(None);
    }

    /// Whether a lease's connection is gone, if only this very moment.
    pub(super) fn is_cut_off(&self, lease: LeaseId) -> bool {
        self.ledger().lease(lease).is_some_and(|lease| {
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
                self.ledger().lease(lease).is_some_and(|lease| lease.state == LeaseState::Orphaned);
            if is_orphan {
                self.release(lease, None);
            } else {
                self.control.tell_known(Self::now(), Event::TasksEnded(lease));
            }
        }
        self.carry_out(None);
    }

    /// Has everybody who watches look again.
    pub(super) fn tell_watchers(&mut self) {
        self.watchers.retain(|watcher| !watcher.is_abandoned());
        self.watchers.iter().for_each(|watcher| watcher.put(()));
    }

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
            job.seen = Seen { at: Self::now(), spent: spent(&figures, &live) };
        }
    }

    fn say_level(&self, connector: Option<ConnectorId>, level: Level) {
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

    /// The connector of this name, which may be new.
    pub(super) fn connector(&mut self, name: &str) -> Result<ConnectorId, WorkerError> {
        if let Some(found) = self.connectors.find(name) {
            return Ok(found);
        }
        let now = Self::now();
        let Self { connectors, attribution, control, history, .. } = self;
        let id = connectors.add(now, name, attribution, control)?;
        if let Some(learned) = history.take_learned(name) {
            control.tell_known(now, Event::Learned { connector: id, learned });
        }
        Ok(id)
    }
}

fn name_of(connectors: &Connectors, connector: ConnectorId) -> String {
    connectors.name(connector).to_owned()
}
