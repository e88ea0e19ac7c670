//! Everything that the agent knows: who holds which lease, and how that begins and ends.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use profiler_client::protocol::{self as wire, WorkerError};
use profiler_common::JobRef;
use tokio::sync::Notify;

use super::connectors::Connectors;
use super::controller::Controller;
use super::effects::Wish;
use super::history::History;
use super::job::Job;
use super::names::Names;
use super::samples::EndedSamples;
use super::words;
use super::workers::Workers;
use crate::config::Config;
use crate::control::{Effect, Event};
use crate::ipc::{Latest, Line};
use crate::kernel::{Attribution, monotonic_ns};
use crate::lease::{LeaseState, Ledger};
use crate::model::{ConnectorId, HostSample, LeaseId, Moment, Owner, PermitId, Ticket, Usage};

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
    pub(super) effects: Vec<Effect>,
    /// By job slot.
    pub(super) lease_at: Vec<Option<LeaseId>>,
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
