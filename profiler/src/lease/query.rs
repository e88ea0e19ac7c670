//! What the ledger can tell. Nothing here changes anything.

use serde::{Deserialize, Serialize};

use super::ledger::Waiter;
use super::queue::Entry;
use super::{Escapes, Lease, Ledger, LedgerError, Preflight, ProviderState, Request};
use crate::model::{
    Bytes, ConnectorId, Constraint, Constraints, LeaseId, Moment, PermitId, ProviderId, Ticket,
};

/// How a connector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// How many slots there are: what was planned, or what was set by hand.
    pub limit: u32,
    /// What binds the limit.
    pub constraint: Constraint,
    /// How many leases there are.
    pub in_use: u32,
    /// How many requests wait.
    pub waiting: u32,
    /// Memory reserved for its jobs.
    pub reserved: Bytes,
    /// Whether it takes no new jobs.
    pub drained: bool,
    /// The limit that was set by hand, and until when.
    pub override_limit: Option<(u32, Moment)>,
}

impl Ledger {
    /// All leases, in the order of their numbers.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = &Lease> {
        self.table.iter()
    }

    /// One lease.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.table.get(id)
    }

    /// The permits that are held, with the lease that each belongs to.
    pub fn permits(&self) -> impl Iterator<Item = (PermitId, ProviderId, Option<LeaseId>)> {
        self.permits.iter().map(|(id, (provider, lease))| (*id, *provider, *lease))
    }

    /// How many connectors there are.
    #[must_use]
    pub fn connectors(&self) -> usize {
        self.connectors.len()
    }

    /// How many requests wait, for slots or permits.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Memory reserved for all leases.
    #[must_use]
    pub fn reserved(&self) -> Bytes {
        self.table.memory()
    }

    /// Memory that is kept free besides, because expectations are uncertain.
    #[must_use]
    pub fn margin(&self) -> Bytes {
        self.table.margin(self.settings.memory, Bytes(0))
    }

    /// The memory budget.
    #[must_use]
    pub fn budget(&self) -> Bytes {
        self.budget
    }

    /// How often limits were passed.
    #[must_use]
    pub fn escapes(&self) -> Escapes {
        self.escapes
    }

    /// How often the time that was told was earlier than one before.
    #[must_use]
    pub fn clock_went_back(&self) -> u64 {
        self.clock_went_back
    }

    /// Whether all connectors take no new jobs.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// How a connector stands.
    ///
    /// # Errors
    ///
    /// It is unknown.
    pub fn state(&self, id: ConnectorId) -> Result<ConnectorState, LedgerError> {
        let connector = self.known(id)?;
        let held = self.table.held(id);
        let (limit, constraint) = connector.limit();
        Ok(ConnectorState {
            limit,
            constraint,
            in_use: held.leases,
            waiting: connector.waiting,
            reserved: Bytes(held.memory),
            drained: connector.drained || self.drained,
            override_limit: connector.by_hand,
        })
    }

    /// How a provider stands.
    ///
    /// # Errors
    ///
    /// It is unknown.
    pub fn provider(&self, id: ProviderId) -> Result<ProviderState, LedgerError> {
        let provider = self.providers.get(id.index()).ok_or(LedgerError::NoSuchProvider(id))?;
        Ok(provider.state(self.now))
    }

    /// A waiting request's place in its queue, from 1.
    ///
    /// # Errors
    ///
    /// No such request waits for a slot.
    pub fn position(&self, ticket: Ticket) -> Result<u32, LedgerError> {
        let Some(Waiter::Slot { request, arrived, .. }) = self.waiters.get(&ticket) else {
            return Err(LedgerError::NoSuchTicket(ticket));
        };
        let queue = &self.known(request.connector)?.queue;
        let ahead = queue.ahead(ticket, request.priority, *arrived, self.now, self.settings.ageing);
        Ok(u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// What stands in the way of a waiting request.
    ///
    /// # Errors
    ///
    /// No such request waits for a slot.
    pub fn constraints(&self, ticket: Ticket) -> Result<Constraints, LedgerError> {
        let Some(Waiter::Slot { request, arrived, .. }) = self.waiters.get(&ticket) else {
            return Err(LedgerError::NoSuchTicket(ticket));
        };
        Ok(self.in_the_way(request, ticket, *arrived))
    }

    /// Whether a request like this would be granted at once.
    ///
    /// # Errors
    ///
    /// Its connector or one of its providers is unknown.
    pub fn preflight(&self, request: &Request) -> Result<Preflight, LedgerError> {
        self.known(request.connector)?;
        self.check_providers(&request.providers)?;
        let ticket = Ticket(self.next_ticket);
        let constraints = self.in_the_way(request, ticket, self.now);
        let queue = &self.known(request.connector)?.queue;
        let ahead = queue.ahead(ticket, request.priority, self.now, self.now, self.settings.ageing);
        let admitted = constraints.is_empty();
        let place = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Preflight { admitted, constraints, position: if admitted { 0 } else { place } })
    }

    fn in_the_way(&self, request: &Request, ticket: Ticket, arrived: Moment) -> Constraints {
        let Some(connector) = self.connectors.get(request.connector.index()) else {
            return Constraint::Queue.into();
        };
        let entry = Entry {
            ticket,
            arrived,
            class: request.priority,
            memory: request.memory,
            uses_providers: !request.providers.is_empty(),
        };
        let mut found = self.shortages(request.connector, &entry, &request.providers);
        let step = self.settings.ageing;
        if connector.queue.ahead(ticket, request.priority, arrived, self.now, step) > 0 {
            found = found.and(Constraint::Queue);
        }
        found
    }

    /// Whether the sums and counts are what the table adds up to; says which is not.
    ///
    /// # Errors
    ///
    /// One is not: that would be an error in this module.
    pub fn audit(&self) -> Result<(), String> {
        self.table.audit()?;
        for (index, provider) in self.providers.iter().enumerate() {
            let is = |id: &ProviderId| id.index() == index;
            let leases = self.table.iter().filter(|lease| lease.providers.iter().any(is)).count();
            let permits = self.permits.values().filter(|(id, _)| is(id)).count();
            if leases + permits != provider.in_use as usize {
                return Err(format!("provider {index} has {} in use", provider.in_use));
            }
        }
        let queued: usize = self.connectors.iter().map(|connector| connector.queue.len()).sum();
        let counted: usize =
            self.connectors.iter().map(|connector| connector.waiting as usize).sum();
        let asking: usize = self.providers.iter().map(|provider| provider.waiting.len()).sum();
        if queued != counted || queued + asking != self.waiters.len() {
            return Err(format!("{} wait, {queued} and {asking} in queues", self.waiters.len()));
        }
        Ok(())
    }
}
