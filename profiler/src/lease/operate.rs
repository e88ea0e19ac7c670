//! What can happen to the ledger: requests, ends, workers that go and come back, and time.

use std::time::Duration;

use super::ledger::{Waiter, class};
use super::queue::Entry;
use super::{Effect, LeaseState, Ledger, LedgerError, Request};
use crate::model::{ConnectorId, Constraint, LeaseId, Moment, Owner, ProviderId, Ticket};

impl Ledger {
    /// Asks for a slot. The answer is among the effects, now or later, once.
    ///
    /// # Errors
    ///
    /// The connector or a provider is unknown.
    pub fn request(&mut self, now: Moment, mut request: Request) -> Result<Ticket, LedgerError> {
        let now = self.tell(now);
        self.known(request.connector)?;
        self.check_providers(&request.providers)?;
        request.providers.sort_unstable();
        request.providers.dedup();
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let entry = Entry {
            ticket,
            arrived: now,
            class: request.priority,
            memory: request.memory,
            uses_providers: !request.providers.is_empty(),
        };
        let connector = self.known_mut(request.connector)?;
        connector.queue.push(entry);
        connector.waiting += 1;
        let expires = request.max_wait.map(|wait| now + wait);
        self.waiters.insert(ticket, Waiter::Slot { request, arrived: now, expires });
        self.dispatch();
        // Only who has to wait is entered among those whose wait can end.
        if let (Some(expires), true) = (expires, self.waiters.contains_key(&ticket)) {
            if expires <= now {
                self.time_out(ticket);
                self.dispatch();
            } else {
                self.expiries.insert((expires, ticket));
            }
        }
        Ok(ticket)
    }

    /// A request is no longer wanted. It gets no answer.
    ///
    /// # Errors
    ///
    /// It was answered already, or never was.
    pub fn cancel(&mut self, now: Moment, ticket: Ticket) -> Result<(), LedgerError> {
        self.tell(now);
        self.take_waiter(ticket).ok_or(LedgerError::NoSuchTicket(ticket))?;
        self.dispatch();
        Ok(())
    }

    /// A job is over: its slot, memory, places and permits are free.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn release(&mut self, now: Moment, lease: LeaseId) -> Result<(), LedgerError> {
        self.tell(now);
        self.end(lease)?;
        self.dispatch();
        Ok(())
    }

    /// A lease's worker is gone. The lease stays charged while tasks run, and ends otherwise.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn orphan(&mut self, now: Moment, lease: LeaseId) -> Result<(), LedgerError> {
        self.tell(now);
        let ended = self.table.annotate(lease, |state, _, tasks_ended| {
            *state = LeaseState::Orphaned;
            *tasks_ended
        });
        if ended.ok_or(LedgerError::NoSuchLease(lease))? {
            self.end(lease)?;
            self.dispatch();
        }
        Ok(())
    }

    /// The last task of a job ended. An orphan's lease ends with it; a connected worker may bring
    /// another task, or release.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn tasks_ended(&mut self, now: Moment, lease: LeaseId) -> Result<(), LedgerError> {
        self.tell(now);
        let orphaned = self.table.annotate(lease, |state, _, tasks_ended| {
            *tasks_ended = true;
            *state == LeaseState::Orphaned
        });
        if orphaned.ok_or(LedgerError::NoSuchLease(lease))? {
            self.end(lease)?;
            self.dispatch();
        }
        Ok(())
    }

    /// A job has a task again.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn tasks_began(&mut self, lease: LeaseId) -> Result<(), LedgerError> {
        let begun = self.table.annotate(lease, |_, _, tasks_ended| *tasks_ended = false);
        begun.ok_or(LedgerError::NoSuchLease(lease))
    }

    /// A worker is back for a lease that it had.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn adopt(&mut self, lease: LeaseId, owner: Owner) -> Result<(), LedgerError> {
        let adopted = self.table.annotate(lease, |state, of, _| {
            *state = LeaseState::Running;
            *of = owner;
        });
        adopted.ok_or(LedgerError::NoSuchLease(lease))
    }

    /// A provider said "too many requests", and perhaps when to come back.
    ///
    /// # Errors
    ///
    /// There is no such provider.
    pub fn throttled(
        &mut self,
        now: Moment,
        id: ProviderId,
        retry_after: Option<Duration>,
    ) -> Result<(), LedgerError> {
        let now = self.tell(now);
        let provider = self.providers.get_mut(id.index()).ok_or(LedgerError::NoSuchProvider(id))?;
        provider.throttled(now, retry_after);
        Ok(())
    }

    /// Lets time pass: waits and overrides end, providers open, and what fits is granted.
    pub fn advance(&mut self, now: Moment) {
        let now = self.tell(now);
        for index in 0..self.connectors.len() {
            let Some(connector) = self.connectors.get_mut(index) else { continue };
            if connector.by_hand.is_some_and(|(_, ends)| ends <= now) {
                connector.by_hand = None;
                let id = ConnectorId(u32::try_from(index).unwrap_or(u32::MAX));
                self.effects.push(Effect::OverrideEnded(id));
            }
        }
        // Who can have a slot gets it, even at the very end of the wait.
        self.dispatch();
        while let Some((expires, ticket)) = self.expiries.first().copied() {
            if expires > now {
                break;
            }
            self.expiries.remove(&(expires, ticket));
            self.time_out(ticket);
            // Whom it stood before may fit.
            self.dispatch();
        }
    }

    /// When [`Ledger::advance`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let expiry = self.expiries.first().map(|(expires, _)| *expires);
        let by_hand = self.connectors.iter().filter_map(|connector| connector.by_hand);
        let overrides = by_hand.map(|(_, ends)| ends).min();
        let providers = if self.waiters.is_empty() {
            None
        } else {
            self.providers.iter().filter_map(|provider| provider.next_change(self.now)).min()
        };
        [expiry, overrides, providers].into_iter().flatten().min()
    }

    fn end(&mut self, id: LeaseId) -> Result<(), LedgerError> {
        let lease = self.table.remove(id).ok_or(LedgerError::NoSuchLease(id))?;
        for provider in &lease.providers {
            self.give_back(*provider);
        }
        // Few permits are held at a time, and most leases hold none.
        let held: Vec<_> = self.permits.iter().filter(|(_, (_, of))| *of == Some(id)).collect();
        let held: Vec<_> =
            held.into_iter().map(|(permit, (provider, _))| (*permit, *provider)).collect();
        for (permit, provider) in held {
            self.permits.remove(&permit);
            self.give_back(provider);
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, provider: ProviderId) {
        if let Some(provider) = self.providers.get_mut(provider.index()) {
            provider.give_back();
        }
    }

    /// Removes a request from everywhere.
    pub(super) fn take_waiter(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        if let Some(expires) = waiter.expires() {
            self.expiries.remove(&(expires, ticket));
        }
        if let Some((id, priority)) = class(&waiter)
            && let Some(connector) = self.connectors.get_mut(id.index())
        {
            connector.queue.remove(ticket, priority);
            connector.waiting -= 1;
            connector.moved |= connector.waiting > 0;
        }
        if let Waiter::Permit { provider, .. } = &waiter
            && let Some(provider) = self.providers.get_mut(provider.index())
        {
            provider.waiting.retain(|(waiting, _)| *waiting != ticket);
        }
        Some(waiter)
    }

    fn time_out(&mut self, ticket: Ticket) {
        let constraints = self.constraints(ticket);
        let Some(waiter) = self.take_waiter(ticket) else { return };
        match (waiter, constraints) {
            (Waiter::Slot { request, arrived, .. }, Ok(constraints)) => {
                if request.goes_on_beyond(constraints) {
                    self.grant(ticket, request, arrived, constraints);
                } else {
                    let waited = self.now.since(arrived);
                    let connector = request.connector;
                    self.effects.push(Effect::NotGranted {
                        ticket,
                        connector,
                        constraints,
                        waited,
                    });
                }
            }
            (waiter, _) => {
                if let Waiter::Permit { arrived, .. } = waiter {
                    let waited = self.now.since(arrived);
                    self.effects.push(Effect::NotPermitted { ticket, waited });
                }
            }
        }
    }
}

impl Request {
    /// Whether its job is to begin at the end of its wait, whatever stands in the way.
    fn goes_on_beyond(&self, constraints: crate::model::Constraints) -> bool {
        use crate::model::OnTimeout::{Proceed, ProceedIfCompressible, Refuse};
        // What an operator drained, and a service that is not ours, are not ours to pass.
        if constraints.has(Constraint::Drained) || constraints.has(Constraint::Provider) {
            return false;
        }
        match self.on_timeout {
            Refuse => false,
            Proceed => true,
            // Memory of a GPU is memory.
            ProceedIfCompressible => {
                !constraints.has(Constraint::Memory) && !constraints.has(Constraint::Gpu)
            }
        }
    }
}
