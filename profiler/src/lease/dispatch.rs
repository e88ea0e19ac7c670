//! Who gets what is free.
//!
//! Candidates are the heads of the queues, one per connector. Whoever fits and comes first in this
//! order is granted, until nobody fits:
//!
//! 1. who has been passed for longer than the patience, the longest first;
//! 2. the higher class, as the wait has raised it;
//! 3. the connector that holds the least memory for its weight, then the fewest slots;
//! 4. who came first.
//!
//! While somebody of the first kind waits for memory, nobody else gets any; while one waits for
//! providers, nobody else gets a place there. Jobs end, so its turn comes; the next one's after it.

use std::cmp::Ordering;

use super::ledger::Waiter;
use super::queue::{Entry, aged};
use super::{Effect, Grant, Lease, LeaseState, Ledger, Request};
use crate::model::{
    Bytes, ConnectorId, Constraint, Constraints, How, LeaseId, Moment, ProviderId, Ticket,
};

/// A head that can be granted.
#[derive(Clone, Copy)]
struct Candidate {
    connector: ConnectorId,
    ticket: Ticket,
    overdue_since: Option<Moment>,
    class: usize,
    memory_share: f64,
    slot_share: f64,
    arrived: Moment,
}

/// For whom a place is kept.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    connector: ConnectorId,
    ticket: Ticket,
    memory: bool,
}

/// The least need for memory that was found not to fit: greater ones need not be tried.
#[derive(Default)]
struct Short(Option<(Bytes, Bytes)>);

impl Short {
    fn covers(&self, memory: Bytes, deviation: Bytes) -> bool {
        self.0.is_some_and(|(less, surer)| memory >= less && deviation >= surer)
    }

    fn note(&mut self, fits: bool, memory: Bytes, deviation: Bytes) -> bool {
        if !fits && self.0.is_none_or(|(less, _)| memory < less) {
            self.0 = Some((memory, deviation));
        }
        fits
    }
}

impl Candidate {
    fn order(&self, other: &Self) -> Ordering {
        let overdue = match (self.overdue_since, other.overdue_since) {
            (Some(mine), Some(its)) => mine.cmp(&its),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        overdue
            .then(other.class.cmp(&self.class))
            .then(self.memory_share.total_cmp(&other.memory_share))
            .then(self.slot_share.total_cmp(&other.slot_share))
            .then(self.arrived.cmp(&other.arrived))
            .then(self.ticket.cmp(&other.ticket))
    }
}

impl Ledger {
    /// Grants whatever can be granted.
    pub(super) fn dispatch(&mut self) {
        loop {
            let kept = self.kept();
            let kept_providers = kept.map_or(Vec::new(), |kept| self.providers_of(kept.ticket));
            self.dispatch_permits(&kept_providers);
            let Some(best) = self.best(kept, &kept_providers) else { break };
            let Some(waiter) = self.take_waiter(best.ticket) else { break };
            let Waiter::Slot { request, arrived, .. } = waiter else { break };
            if let Some(connector) = self.connectors.get_mut(best.connector.index())
                && connector.blocked.is_some_and(|(ticket, _)| ticket == best.ticket)
            {
                connector.blocked = None;
            }
            let beyond = self.beyond_budget(&request);
            self.grant(best.ticket, request, arrived, beyond);
        }
    }

    /// Memory and floor, if the job goes beyond the budget because nothing managed runs.
    fn beyond_budget(&self, request: &Request) -> Constraints {
        let Some(connector) = self.connectors.get(request.connector.index()) else {
            return Constraints::NONE;
        };
        let (memory, deviation) = connector.need(request.memory);
        if self.table.fits(self.settings.memory, self.budget, memory, deviation) {
            Constraints::NONE
        } else {
            Constraints::NONE.and(Constraint::Memory).and(Constraint::Floor)
        }
    }

    /// The oldest head that was passed for too long and still does not fit.
    pub(super) fn kept(&self) -> Option<Kept> {
        let mut oldest: Option<(Moment, Kept)> = None;
        for (index, connector) in self.connectors.iter().enumerate() {
            let Some((ticket, since)) = connector.blocked else { continue };
            if self.now.since(since) < self.settings.patience {
                continue;
            }
            if oldest.is_some_and(|(earlier, _)| earlier <= since) {
                continue;
            }
            let connector_id = ConnectorId(u32::try_from(index).unwrap_or(u32::MAX));
            let memory = match self.waiters.get(&ticket) {
                Some(Waiter::Slot { request, .. }) => {
                    let (memory, deviation) = connector.need(request.memory);
                    !self.memory_fits(memory, deviation)
                }
                _ => continue,
            };
            oldest = Some((since, Kept { connector: connector_id, ticket, memory }));
        }
        oldest.map(|(_, kept)| kept)
    }

    fn providers_of(&self, ticket: Ticket) -> Vec<ProviderId> {
        match self.waiters.get(&ticket) {
            Some(Waiter::Slot { request, .. }) => request.providers.clone(),
            _ => Vec::new(),
        }
    }

    fn best(&mut self, kept: Option<Kept>, kept_providers: &[ProviderId]) -> Option<Candidate> {
        if self.drained {
            return None;
        }
        let mut best: Option<Candidate> = None;
        let mut short = Short::default();
        for index in 0..self.connectors.len() {
            let id = ConnectorId(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(candidate) = self.candidate(id, kept, kept_providers, &mut short) else {
                continue;
            };
            if best.is_none_or(|best| candidate.order(&best) == Ordering::Less) {
                best = Some(candidate);
            }
        }
        best
    }

    /// The head of a connector's queue, if it can be granted; else notes since when it could not.
    fn candidate(
        &mut self,
        id: ConnectorId,
        kept: Option<Kept>,
        kept_providers: &[ProviderId],
        short: &mut Short,
    ) -> Option<Candidate> {
        let held = self.table.held(id);
        let connector = self.connectors.get(id.index())?;
        if connector.waiting == 0 || connector.drained || held.leases >= connector.limit().0 {
            return None;
        }
        let (_, head) = connector.queue.head(self.now, self.settings.ageing)?;
        let since = match connector.blocked {
            Some((ticket, since)) if ticket == head.ticket => Some(since),
            _ => None,
        };
        let other = connector.blocked.filter(|_| since.is_none());
        let (memory, deviation) = connector.need(head.memory);
        let weight = connector.weight;
        let passed = kept.is_some_and(|kept| {
            kept.connector != id
                && ((kept.memory && memory.0 > 0)
                    || (head.uses_providers && self.shares_provider(head.ticket, kept_providers)))
        });
        let fits = !passed
            && !short.covers(memory, deviation)
            && short.note(self.memory_fits(memory, deviation), memory, deviation)
            && (!head.uses_providers || self.providers_have_room(head.ticket));
        if !fits {
            // Somebody more urgent at the head does not make who waited there wait anew.
            let waits = other.filter(|(ticket, _)| self.waiters.contains_key(ticket));
            let blocked = waits.unwrap_or((head.ticket, since.unwrap_or(self.now)));
            self.connectors.get_mut(id.index())?.blocked = Some(blocked);
            return None;
        }
        let overdue = |since: &Moment| self.now.since(*since) >= self.settings.patience;
        Some(Candidate {
            connector: id,
            ticket: head.ticket,
            overdue_since: since.filter(overdue),
            class: aged(head.class, self.now.since(head.arrived), self.settings.ageing),
            memory_share: held.memory as f64 / weight,
            slot_share: f64::from(held.leases) / weight,
            arrived: head.arrived,
        })
    }

    fn memory_fits(&self, memory: Bytes, deviation: Bytes) -> bool {
        // One job always may, or a budget below every job would stop all work.
        self.table.is_empty()
            || self.table.fits(self.settings.memory, self.budget, memory, deviation)
    }

    fn providers_have_room(&self, ticket: Ticket) -> bool {
        let Some(Waiter::Slot { request, .. }) = self.waiters.get(&ticket) else { return false };
        self.room_at(&request.providers)
    }

    fn room_at(&self, providers: &[ProviderId]) -> bool {
        providers.iter().all(|id| {
            self.providers.get(id.index()).is_some_and(|provider| provider.has_room(self.now))
        })
    }

    fn shares_provider(&self, ticket: Ticket, with: &[ProviderId]) -> bool {
        match self.waiters.get(&ticket) {
            Some(Waiter::Slot { request, .. }) => {
                request.providers.iter().any(|id| with.contains(id))
            }
            _ => false,
        }
    }

    /// What a request lacks, others in the queue apart.
    pub(super) fn shortages(
        &self,
        id: ConnectorId,
        entry: &Entry,
        providers: &[ProviderId],
    ) -> Constraints {
        let Some(connector) = self.connectors.get(id.index()) else { return Constraints::NONE };
        let mut found = Constraints::NONE;
        let (limit, constraint) = connector.limit();
        if self.table.held(id).leases >= limit {
            found = found.and(constraint);
        }
        if self.drained || connector.drained {
            found = found.and(Constraint::Drained);
        }
        let (memory, deviation) = connector.need(entry.memory);
        let kept = self.kept().filter(|kept| kept.ticket != entry.ticket);
        let kept_memory = kept.is_some_and(|kept| kept.memory && memory.0 > 0);
        if kept_memory || !self.memory_fits(memory, deviation) {
            found = found.and(Constraint::Memory);
        }
        let kept_providers = kept.map_or(Vec::new(), |kept| self.providers_of(kept.ticket));
        let taken = providers.iter().any(|id| kept_providers.contains(id));
        if taken || !self.room_at(providers) {
            found = found.and(Constraint::Provider);
        }
        found
    }

    /// Gives a slot.
    pub(super) fn grant(
        &mut self,
        ticket: Ticket,
        request: Request,
        arrived: Moment,
        exceeds: Constraints,
    ) {
        let Some(connector) = self.connectors.get(request.connector.index()) else { return };
        let (memory, deviation) = connector.need(request.memory);
        match (exceeds.has(Constraint::Memory), exceeds.has(Constraint::Floor)) {
            (true, true) if self.table.is_empty() => self.escapes.memory_by_floor += 1,
            (true, _) => self.escapes.memory_by_timeout += 1,
            (false, _) if !exceeds.is_empty() => self.escapes.slot_by_timeout += 1,
            _ => {}
        }
        for id in &request.providers {
            if let Some(provider) = self.providers.get_mut(id.index()) {
                provider.take(self.now);
            }
        }
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        let connector = request.connector;
        self.table.insert(Lease {
            id: lease,
            connector,
            source: request.source,
            owner: request.owner,
            state: LeaseState::Running,
            granted: self.now,
            memory,
            deviation,
            declared: request.memory,
            providers: request.providers,
            tasks_ended: false,
        });
        let how = if exceeds.is_empty() { How::Granted } else { How::GrantedUnderPressure };
        let waited = self.now.since(arrived);
        self.effects.push(Effect::Granted(Grant {
            ticket,
            lease,
            connector,
            how,
            exceeds,
            waited,
            memory,
        }));
    }
}
