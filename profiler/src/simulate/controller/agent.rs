//! What the simulated host talks to: somebody who queues, admits, looks, and changes limits.

use std::time::Duration;

use super::{Controller, Observation};
use crate::lease::{Effect, Grant, Lease, Ledger, ProviderSettings, Request, Settings};
use crate::model::{FinishedJob, LeaseId, Moment, ProviderId, Ticket};
use crate::simulate::plant::Plant;

/// Somebody who queues, admits, looks, and changes limits.
pub trait Agent {
    /// Who holds what.
    fn ledger(&self) -> &Ledger;

    /// A lease from before it began.
    fn restore(&mut self, now: Moment, lease: Lease);

    /// A worker asks for a slot.
    fn request(&mut self, now: Moment, request: Request) -> Option<Ticket>;

    /// A request is no longer wanted. False if it was granted already.
    fn cancel(&mut self, now: Moment, ticket: Ticket) -> bool;

    /// A job is over; what it was, if it looks at that.
    fn release(&mut self, now: Moment, lease: LeaseId, finished: Option<&FinishedJob>);

    /// A service refused a worker.
    fn throttled(&mut self, now: Moment, provider: ProviderId, retry_after: Duration);

    /// It looks, and does what is due.
    fn look(&mut self, seen: &Observation<'_>);

    /// What was granted since this was last asked.
    fn granted(&mut self) -> Vec<Grant>;

    /// Whether it wants to see samples of jobs. One that does not is faster to simulate.
    fn wants_samples(&self) -> bool;

    /// Whether workers tell it when a service refuses them, and wait for their place there.
    fn knows_providers(&self) -> bool;
}

/// How an agent begins: when, and with which number for its first new lease.
pub type Begin<'a> = dyn Fn(Moment, LeaseId) -> Box<dyn Agent> + 'a;

/// What a server bears is not declared: that is to be learned from its refusals.
#[must_use]
pub fn undeclared() -> ProviderSettings {
    ProviderSettings { cap: u32::MAX, ..ProviderSettings::default() }
}

/// The grants among what follows from a call.
pub(super) fn grants(effects: impl Iterator<Item = Effect>) -> Vec<Grant> {
    let grant = |effect| match effect {
        Effect::Granted(grant) => Some(grant),
        _ => None,
    };
    effects.filter_map(grant).collect()
}

/// A ledger whose limits a controller sets.
pub struct Ruled<C> {
    ledger: Ledger,
    controller: C,
}

impl<C: Controller> Ruled<C> {
    /// One for a plant's connectors, with `controller`.
    #[must_use]
    pub fn new(plant: &Plant, next_lease: LeaseId, mut controller: C) -> Self {
        let mut ledger = Ledger::new(Settings::default(), next_lease);
        for profile in plant.profiles() {
            let connector = ledger.add_connector();
            // It was just added.
            let _ = ledger.set_weight(connector, profile.weight);
        }
        controller.begin(&mut ledger);
        Self { ledger, controller }
    }
}

impl<C: Controller> Agent for Ruled<C> {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn restore(&mut self, _: Moment, lease: Lease) {
        // Such an agent knows no providers, and nothing else could be missing.
        let _ = self.ledger.restore(Lease { providers: Vec::new(), ..lease });
    }

    fn request(&mut self, now: Moment, request: Request) -> Option<Ticket> {
        self.ledger.request(now, request).ok()
    }

    fn cancel(&mut self, now: Moment, ticket: Ticket) -> bool {
        self.ledger.cancel(now, ticket).is_ok()
    }

    fn release(&mut self, now: Moment, lease: LeaseId, _: Option<&FinishedJob>) {
        // What it does not hold it cannot give back.
        let _ = self.ledger.release(now, lease);
    }

    fn throttled(&mut self, _: Moment, _: ProviderId, _: Duration) {}

    fn look(&mut self, seen: &Observation<'_>) {
        self.controller.tick(seen, &mut self.ledger);
        self.ledger.advance(seen.now);
    }

    fn granted(&mut self) -> Vec<Grant> {
        grants(self.ledger.effects())
    }

    fn wants_samples(&self) -> bool {
        self.controller.wants_samples()
    }

    fn knows_providers(&self) -> bool {
        false
    }
}
