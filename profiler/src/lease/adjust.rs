//! What is set from outside: needs, shares, limits, the budget, and what an operator wants.

use std::time::Duration;

use super::table::bounded;
use super::{Ledger, LedgerError, ProviderSettings, Settings};
use crate::model::{Bytes, ConnectorId, Constraint, LeaseId, Moment, ProviderId};

impl Ledger {
    /// What a job is now expected to hold at its peak, and how uncertain that is.
    ///
    /// # Errors
    ///
    /// There is no such lease.
    pub fn set_memory(
        &mut self,
        lease: LeaseId,
        memory: Bytes,
        deviation: Bytes,
    ) -> Result<(), LedgerError> {
        let there = self.table.set_memory(lease, memory, deviation);
        if there { Ok(()) } else { Err(LedgerError::NoSuchLease(lease)) }
    }

    /// What jobs of a connector need that say nothing of it, from the next grant on.
    ///
    /// # Errors
    ///
    /// There is no such connector.
    pub fn set_need(
        &mut self,
        id: ConnectorId,
        memory: Bytes,
        deviation: Bytes,
    ) -> Result<(), LedgerError> {
        let connector = self.known_mut(id)?;
        (connector.memory, connector.deviation) = (bounded(memory), bounded(deviation));
        Ok(())
    }

    /// A connector's share of what is scarce; what is no positive number counts as 1.
    ///
    /// # Errors
    ///
    /// There is no such connector.
    pub fn set_weight(&mut self, id: ConnectorId, weight: f64) -> Result<(), LedgerError> {
        let valid = weight.is_finite() && weight > 0.0;
        self.known_mut(id)?.weight = if valid { weight } else { 1.0 };
        Ok(())
    }

    /// A connector's limit, at least 1, and what binds it. In force after [`Ledger::advance`].
    ///
    /// # Errors
    ///
    /// There is no such connector.
    pub fn set_limit(
        &mut self,
        id: ConnectorId,
        limit: u32,
        by: Constraint,
    ) -> Result<(), LedgerError> {
        let connector = self.known_mut(id)?;
        (connector.planned, connector.planned_by) = (limit.max(1), by);
        Ok(())
    }

    /// The memory that leases may hold in all. In force after [`Ledger::advance`].
    pub fn set_budget(&mut self, budget: Bytes) {
        self.budget = budget;
    }

    /// An operator's limit for a time, at least 1; `None` gives it back.
    ///
    /// # Errors
    ///
    /// There is no such connector.
    pub fn set_override(
        &mut self,
        now: Moment,
        id: ConnectorId,
        limit: Option<(u32, Duration)>,
    ) -> Result<(), LedgerError> {
        let now = self.tell(now);
        self.known_mut(id)?.by_hand = limit.map(|(limit, time)| (limit.max(1), now + time));
        self.dispatch();
        Ok(())
    }

    /// No new jobs of one connector, or of all, or new jobs again.
    ///
    /// # Errors
    ///
    /// There is no such connector.
    pub fn drain(
        &mut self,
        now: Moment,
        connector: Option<ConnectorId>,
        drained: bool,
    ) -> Result<(), LedgerError> {
        self.tell(now);
        match connector {
            Some(id) => self.known_mut(id)?.drained = drained,
            None => {
                self.drained = drained;
                // To resume all is to resume each.
                for connector in self.connectors.iter_mut().filter(|_| !drained) {
                    connector.drained = false;
                }
            }
        }
        self.dispatch();
        Ok(())
    }

    /// Other constants hold from now on. In force after [`Ledger::advance`].
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Changes what holds for a provider.
    ///
    /// # Errors
    ///
    /// There is no such provider.
    pub fn set_provider(
        &mut self,
        now: Moment,
        id: ProviderId,
        settings: ProviderSettings,
    ) -> Result<(), LedgerError> {
        let now = self.tell(now);
        let provider = self.providers.get_mut(id.index()).ok_or(LedgerError::NoSuchProvider(id))?;
        provider.configure(now, settings);
        self.dispatch();
        Ok(())
    }
}
