//! The ledger's state and its configuration; how connectors, providers and former leases come in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::provider::Provider;
use super::queue::Queue;
use super::table::{Table, bounded};
use super::{Effect, Escapes, Lease, MemoryRule, ProviderSettings, Request};
use crate::model::{
    Bytes, ConnectorId, Constraint, LeaseId, Moment, PermitId, Priority, ProviderId, Ticket,
};

/// The ledger's constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A waiting request's class rises by one per this. 30 s: about as long as a person waits for
    /// background work before asking; with three classes nobody is behind the urgent for more
    /// than a minute.
    pub ageing: Duration,
    /// How long the head of a queue that has a slot may be passed by others while it waits for
    /// memory or a provider; then its place is kept free. 20 s: long enough to fill gaps with
    /// small jobs, short enough that a large one starts.
    pub patience: Duration,
    /// How sure to be that memory suffices.
    pub memory: MemoryRule,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ageing: Duration::from_secs(30),
            patience: Duration::from_secs(20),
            memory: MemoryRule::default(),
        }
    }
}

/// Why a call meant nothing. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// There is no such connector.
    #[error("no connector has the number {}", .0.0)]
    NoSuchConnector(ConnectorId),
    /// There is no such lease, or no longer.
    #[error("no lease has the number {}", .0.0)]
    NoSuchLease(LeaseId),
    /// No request with this ticket waits: it was answered, or never was.
    #[error("no request has the ticket {}", .0.0)]
    NoSuchTicket(Ticket),
    /// There is no such provider.
    #[error("no provider has the number {}", .0.0)]
    NoSuchProvider(ProviderId),
    /// There is no such permit, or no longer.
    #[error("no permit has the number {}", .0.0)]
    NoSuchPermit(PermitId),
    /// A lease that is to be restored has a number that is taken.
    #[error("the lease {} is there already", .0.0)]
    LeaseIsThere(LeaseId),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Connector {
    pub(super) weight: f64,
    pub(super) planned: u32,
    pub(super) planned_by: Constraint,
    pub(super) by_hand: Option<(u32, Moment)>,
    pub(super) drained: bool,
    pub(super) memory: Bytes,
    pub(super) deviation: Bytes,
    pub(super) queue: Queue,
    pub(super) waiting: u32,
    /// The head and since when it has waited for what is shared though there is a slot for it.
    pub(super) blocked: Option<(Ticket, Moment)>,
    pub(super) moved: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Waiter {
    Slot {
        request: Request,
        arrived: Moment,
        expires: Option<Moment>,
    },
    Permit {
        provider: ProviderId,
        lease: Option<LeaseId>,
        arrived: Moment,
        expires: Option<Moment>,
    },
}

/// Who holds what and who waits for it. See the module's promises.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    pub(super) settings: Settings,
    pub(super) now: Moment,
    pub(super) connectors: Vec<Connector>,
    pub(super) providers: Vec<Provider>,
    pub(super) table: Table,
    pub(super) permits: BTreeMap<PermitId, (ProviderId, Option<LeaseId>)>,
    pub(super) waiters: BTreeMap<Ticket, Waiter>,
    pub(super) expiries: BTreeSet<(Moment, Ticket)>,
    pub(super) budget: Bytes,
    pub(super) drained: bool,
    pub(super) next_lease: u64,
    pub(super) next_ticket: u64,
    pub(super) next_permit: u64,
    pub(super) escapes: Escapes,
    pub(super) clock_went_back: u64,
    pub(super) effects: Vec<Effect>,
}

impl Ledger {
    /// An empty one. `next_lease` is the first number for a lease that was never used before.
    #[must_use]
    pub fn new(settings: Settings, next_lease: LeaseId) -> Self {
        Self {
            settings,
            now: Moment(0),
            connectors: Vec::new(),
            providers: Vec::new(),
            table: Table::default(),
            permits: BTreeMap::new(),
            waiters: BTreeMap::new(),
            expiries: BTreeSet::new(),
            budget: Bytes(u64::MAX),
            drained: false,
            next_lease: next_lease.0,
            next_ticket: 0,
            next_permit: 0,
            escapes: Escapes::default(),
            clock_went_back: 0,
            effects: Vec::new(),
        }
    }

    /// A connector more, with one slot until its limit is set.
    pub fn add_connector(&mut self) -> ConnectorId {
        let id = ConnectorId(u32::try_from(self.connectors.len()).unwrap_or(u32::MAX));
        self.table.add_connector();
        self.connectors.push(Connector {
            weight: 1.0,
            planned: 1,
            planned_by: Constraint::Floor,
            by_hand: None,
            drained: false,
            memory: Bytes(0),
            deviation: Bytes(0),
            queue: Queue::default(),
            waiting: 0,
            blocked: None,
            moved: false,
        });
        id
    }

    /// A provider more.
    pub fn add_provider(&mut self, now: Moment, settings: ProviderSettings) -> ProviderId {
        let now = self.tell(now);
        let id = ProviderId(u32::try_from(self.providers.len()).unwrap_or(u32::MAX));
        self.providers.push(Provider::new(now, settings));
        id
    }

    /// Takes up a lease from before a restart. Limits do not matter: it is held already.
    ///
    /// # Errors
    ///
    /// One with its number is there, or its connector or one of its providers is unknown.
    pub fn restore(&mut self, mut lease: Lease) -> Result<(), LedgerError> {
        self.known(lease.connector)?;
        self.check_providers(&lease.providers)?;
        if self.table.get(lease.id).is_some() {
            return Err(LedgerError::LeaseIsThere(lease.id));
        }
        lease.memory = bounded(lease.memory);
        lease.deviation = bounded(lease.deviation);
        for id in &lease.providers {
            if let Some(provider) = self.providers.get_mut(id.index()) {
                provider.take_back();
            }
        }
        self.next_lease = self.next_lease.max(lease.id.0.saturating_add(1));
        self.table.insert(lease);
        Ok(())
    }

    /// Takes note of the time. A clock that goes back is counted and stands still instead.
    pub(super) fn tell(&mut self, now: Moment) -> Moment {
        if now < self.now {
            self.clock_went_back += 1;
        }
        self.now = self.now.max(now);
        self.now
    }

    pub(super) fn known(&self, connector: ConnectorId) -> Result<&Connector, LedgerError> {
        self.connectors.get(connector.index()).ok_or(LedgerError::NoSuchConnector(connector))
    }

    pub(super) fn known_mut(
        &mut self,
        connector: ConnectorId,
    ) -> Result<&mut Connector, LedgerError> {
        self.connectors.get_mut(connector.index()).ok_or(LedgerError::NoSuchConnector(connector))
    }

    /// What happened since this was asked last, in order.
    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        for (index, connector) in self.connectors.iter_mut().enumerate() {
            if std::mem::take(&mut connector.moved) {
                let id = ConnectorId(u32::try_from(index).unwrap_or(u32::MAX));
                self.effects.push(Effect::QueueMoved(id));
            }
        }
        self.effects.drain(..)
    }

    pub(super) fn check_providers(&self, providers: &[ProviderId]) -> Result<(), LedgerError> {
        match providers.iter().find(|id| id.index() >= self.providers.len()) {
            Some(id) => Err(LedgerError::NoSuchProvider(*id)),
            None => Ok(()),
        }
    }
}

impl Connector {
    /// How many slots there are now, and what binds that.
    pub(super) fn limit(&self) -> (u32, Constraint) {
        match self.by_hand {
            Some((limit, _)) => (limit, Constraint::Override),
            None => (self.planned, self.planned_by),
        }
    }

    /// What a job needs that says nothing of it itself, or what it says.
    pub(super) fn need(&self, stated: Option<Bytes>) -> (Bytes, Bytes) {
        match stated {
            // Its worker knows better than the others' spread does.
            Some(memory) => (bounded(memory), Bytes(0)),
            None => (self.memory, self.deviation),
        }
    }
}

impl Waiter {
    pub(super) fn expires(&self) -> Option<Moment> {
        match self {
            Self::Slot { expires, .. } | Self::Permit { expires, .. } => *expires,
        }
    }
}

/// The class that a request was made with, for its queue.
pub(super) fn class(waiter: &Waiter) -> Option<(ConnectorId, Priority)> {
    match waiter {
        Waiter::Slot { request, .. } => Some((request.connector, request.priority)),
        Waiter::Permit { .. } => None,
    }
}
