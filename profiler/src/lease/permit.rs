//! Places at providers that are held apart from a lease's own.

use std::time::Duration;

use super::ledger::Waiter;
use super::{Effect, Ledger, LedgerError};
use crate::model::{LeaseId, Moment, PermitId, ProviderId, Ticket};

impl Ledger {
    /// Asks for a place at a provider. The answer is among the effects, now or later, once. A
    /// permit that belongs to a lease ends with it.
    ///
    /// # Errors
    ///
    /// The provider or the lease is unknown.
    pub fn request_permit(
        &mut self,
        now: Moment,
        provider: ProviderId,
        lease: Option<LeaseId>,
        max_wait: Option<Duration>,
    ) -> Result<Ticket, LedgerError> {
        let now = self.tell(now);
        if let Some(lease) = lease.filter(|lease| self.table.get(*lease).is_none()) {
            return Err(LedgerError::NoSuchLease(lease));
        }
        let place = self
            .providers
            .get_mut(provider.index())
            .ok_or(LedgerError::NoSuchProvider(provider))?;
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        place.waiting.push_back((ticket, now));
        let expires = max_wait.map(|wait| now + wait);
        self.waiters.insert(ticket, Waiter::Permit { provider, lease, arrived: now, expires });
        self.dispatch();
        if let (Some(expires), true) = (expires, self.waiters.contains_key(&ticket)) {
            self.expiries.insert((expires, ticket));
            if expires <= now {
                self.advance(now);
            }
        }
        Ok(ticket)
    }

    /// A place is given back.
    ///
    /// # Errors
    ///
    /// There is no such permit.
    pub fn release_permit(&mut self, now: Moment, permit: PermitId) -> Result<(), LedgerError> {
        self.tell(now);
        let (provider, _) =
            self.permits.remove(&permit).ok_or(LedgerError::NoSuchPermit(permit))?;
        self.give_back(provider);
        self.dispatch();
        Ok(())
    }

    /// Gives places to those who wait for nothing else, in their order. `kept` is a provider list
    /// whose places are kept for somebody.
    pub(super) fn dispatch_permits(&mut self, kept: &[ProviderId]) {
        for index in 0..self.providers.len() {
            let id = ProviderId(u32::try_from(index).unwrap_or(u32::MAX));
            if kept.contains(&id) {
                continue;
            }
            while let Some(provider) = self.providers.get_mut(index) {
                if provider.waiting.is_empty() || !provider.has_room(self.now) {
                    break;
                }
                let Some((ticket, arrived)) = provider.waiting.pop_front() else { break };
                provider.take(self.now);
                let permit = PermitId(self.next_permit);
                self.next_permit += 1;
                if let Some(waiter) = self.take_waiter(ticket)
                    && let Waiter::Permit { lease, .. } = waiter
                {
                    self.permits.insert(permit, (id, lease));
                    let waited = self.now.since(arrived);
                    self.effects.push(Effect::Permitted { ticket, permit, waited });
                }
            }
        }
    }
}
