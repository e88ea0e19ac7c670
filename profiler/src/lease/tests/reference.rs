//! A naive ledger that knows only what it was told: it counts by going through lists.
//!
//! It takes the same operations and then each effect, and checks that the effect was due. It shares
//! no code with the ledger.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Constraints, LeaseId, OnTimeout, PermitId};

#[derive(Clone, Debug)]
pub(super) struct Job {
    connector: usize,
    memory: u64,
    providers: Vec<usize>,
    orphaned: bool,
    tasks_ended: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Wait {
    request: Request,
    arrived: u64,
}

#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) now: u64,
    pub(super) limits: Vec<u32>,
    pub(super) drained: Vec<bool>,
    pub(super) all_drained: bool,
    pub(super) budget: u64,
    pub(super) caps: Vec<u32>,
    pub(super) jobs: BTreeMap<LeaseId, Job>,
    pub(super) permits: BTreeMap<PermitId, (usize, Option<LeaseId>)>,
    pub(super) waits: BTreeMap<Ticket, Wait>,
    pub(super) permit_waits: BTreeMap<Ticket, (usize, Option<LeaseId>)>,
    pub(super) escapes: Escapes,
}

impl Reference {
    pub(super) fn asks(&mut self, ticket: Ticket, request: Request) {
        assert!(self.waits.insert(ticket, Wait { request, arrived: self.now }).is_none());
    }

    pub(super) fn asks_permit(&mut self, ticket: Ticket, of: usize, lease: Option<LeaseId>) {
        assert!(self.permit_waits.insert(ticket, (of, lease)).is_none());
    }

    pub(super) fn cancels(&mut self, ticket: Ticket) -> bool {
        self.waits.remove(&ticket).is_some() || self.permit_waits.remove(&ticket).is_some()
    }

    pub(super) fn releases(&mut self, lease: LeaseId) -> bool {
        self.permits.retain(|_, (_, of)| *of != Some(lease));
        self.jobs.remove(&lease).is_some()
    }

    pub(super) fn releases_permit(&mut self, permit: PermitId) -> bool {
        self.permits.remove(&permit).is_some()
    }

    pub(super) fn orphans(&mut self, lease: LeaseId) -> bool {
        let Some(job) = self.jobs.get_mut(&lease) else { return false };
        job.orphaned = true;
        if job.tasks_ended {
            self.releases(lease);
        }
        true
    }

    pub(super) fn tasks_end(&mut self, lease: LeaseId) -> bool {
        let Some(job) = self.jobs.get_mut(&lease) else { return false };
        job.tasks_ended = true;
        if job.orphaned {
            self.releases(lease);
        }
        true
    }

    pub(super) fn set_memory(&mut self, lease: LeaseId, memory: u64) -> bool {
        self.jobs.get_mut(&lease).map(|job| job.memory = memory).is_some()
    }

    pub(super) fn nth_lease(&self, n: usize) -> Option<LeaseId> {
        self.jobs.keys().nth(n % self.jobs.len().max(1)).copied()
    }

    pub(super) fn nth_ticket(&self, n: usize) -> Option<Ticket> {
        let all: Vec<_> = self.waits.keys().chain(self.permit_waits.keys()).collect();
        all.get(n % all.len().max(1)).copied().copied()
    }

    pub(super) fn nth_permit(&self, n: usize) -> Option<PermitId> {
        self.permits.keys().nth(n % self.permits.len().max(1)).copied()
    }

    fn in_use(&self, connector: usize) -> usize {
        self.jobs.values().filter(|job| job.connector == connector).count()
    }

    fn at_provider(&self, provider: usize) -> usize {
        let jobs = self.jobs.values().filter(|job| job.providers.contains(&provider)).count();
        jobs + self.permits.values().filter(|(of, _)| *of == provider).count()
    }

    fn memory(&self) -> u64 {
        self.jobs.values().map(|job| job.memory).sum()
    }

    fn class(&self, wait: &Wait) -> u64 {
        (wait.request.priority as u64 + (self.now - wait.arrived) / 30_000).min(2)
    }

    fn has_slot(&self, connector: usize) -> bool {
        self.in_use(connector) < self.limits[connector].max(1) as usize
            && !self.drained[connector]
            && !self.all_drained
    }

    fn fits(&self, request: &Request) -> bool {
        let memory = request.memory.map_or(0, |memory| memory.0);
        let room = |provider: &ProviderId| {
            self.at_provider(provider.index()) < self.caps[provider.index()] as usize
        };
        (self.jobs.is_empty() || memory == 0 || self.memory() + memory <= self.budget)
            && request.providers.iter().all(room)
    }

    /// Checks that an effect was due and takes it over.
    pub(super) fn sees(&mut self, effect: &Effect) {
        match effect {
            Effect::Granted(grant) => self.sees_grant(grant),
            Effect::NotGranted { ticket, constraints, waited, .. } => {
                let wait = self.waits.remove(ticket).expect("a request is answered once");
                let most = wait.request.max_wait.expect("only who has a time runs out of it");
                assert!(*waited >= most, "{waited:?} of {most:?}");
                assert!(!constraints.is_empty());
                let passable = match wait.request.on_timeout {
                    OnTimeout::Refuse => false,
                    OnTimeout::Proceed => true,
                    OnTimeout::ProceedIfCompressible => !constraints.has(Constraint::Memory),
                };
                let foreign =
                    constraints.has(Constraint::Drained) || constraints.has(Constraint::Provider);
                assert!(!passable || foreign, "{constraints:?} for {:?}", wait.request.on_timeout);
            }
            Effect::Permitted { ticket, permit, .. } => {
                let (provider, lease) =
                    self.permit_waits.remove(ticket).expect("a request is answered once");
                assert!(self.at_provider(provider) < self.caps[provider] as usize);
                assert!(self.permits.insert(*permit, (provider, lease)).is_none());
            }
            Effect::NotPermitted { ticket, .. } => {
                self.permit_waits.remove(ticket).expect("a request is answered once");
            }
            Effect::QueueMoved(_) | Effect::OverrideEnded(_) => {}
        }
    }

    fn sees_grant(&mut self, grant: &Grant) {
        let wait = self.waits.remove(&grant.ticket).expect("a request is answered once");
        let connector = wait.request.connector.index();
        assert_eq!(grant.connector, wait.request.connector);
        if grant.exceeds.is_empty() {
            assert!(self.has_slot(connector), "beyond the limit of {connector}");
            assert!(self.fits(&wait.request), "beyond the budget or a provider's cap");
            let mine = self.class(&wait);
            let passed = self.waits.iter().find(|(ticket, other)| {
                other.request.connector == wait.request.connector
                    && **ticket < grant.ticket
                    && self.class(other) >= mine
            });
            assert!(passed.is_none(), "{passed:?} was there before {:?}", grant.ticket);
        } else {
            self.count(grant.exceeds, &wait);
        }
        let job = Job {
            connector,
            memory: grant.memory.0,
            providers: wait.request.providers.iter().map(|id| id.index()).collect(),
            orphaned: false,
            tasks_ended: false,
        };
        assert!(self.jobs.insert(grant.lease, job).is_none(), "a slot is given once");
    }

    fn count(&mut self, exceeds: Constraints, wait: &Wait) {
        let memory = exceeds.has(Constraint::Memory);
        if memory && self.jobs.is_empty() {
            self.escapes.memory_by_floor += 1;
            return;
        }
        let most = wait.request.max_wait.expect("only who has a time goes beyond at its end");
        assert!(self.now - wait.arrived >= u64::try_from(most.as_millis()).unwrap());
        assert_ne!(wait.request.on_timeout, OnTimeout::Refuse);
        if memory {
            assert_eq!(wait.request.on_timeout, OnTimeout::Proceed);
            self.escapes.memory_by_timeout += 1;
        } else {
            self.escapes.slot_by_timeout += 1;
        }
    }

    /// After all effects: the ledger says what is counted here, and nobody waits for nothing.
    pub(super) fn agrees(&self, ledger: &Ledger, a_place_is_kept: bool) {
        ledger.audit().unwrap();
        for connector in 0..self.limits.len() {
            let id = ConnectorId(u32::try_from(connector).unwrap());
            let state = ledger.state(id).unwrap();
            assert_eq!(state.in_use as usize, self.in_use(connector));
            let mine = |wait: &&Wait| wait.request.connector == id;
            assert_eq!(state.waiting as usize, self.waits.values().filter(mine).count());
        }
        for provider in 0..self.caps.len() {
            let state = ledger.provider(ProviderId(u32::try_from(provider).unwrap())).unwrap();
            assert_eq!(state.in_use as usize, self.at_provider(provider));
        }
        assert_eq!(ledger.reserved().0, self.memory());
        assert_eq!(ledger.escapes(), self.escapes);
        if !a_place_is_kept {
            self.nobody_waits_for_nothing();
        }
    }

    fn nobody_waits_for_nothing(&self) {
        for connector in 0..self.limits.len() {
            if !self.has_slot(connector) {
                continue;
            }
            let mine =
                self.waits.iter().filter(|(_, wait)| wait.request.connector.index() == connector);
            let head = mine.max_by_key(|(ticket, wait)| (self.class(wait), u64::MAX - ticket.0));
            if let Some((ticket, head)) = head {
                assert!(!self.fits(&head.request), "{ticket:?} fits and waits");
            }
        }
        for (ticket, (provider, _)) in &self.permit_waits {
            let full = self.at_provider(*provider) >= self.caps[*provider] as usize;
            assert!(full, "{ticket:?} waits for a place that is free");
        }
    }
}
