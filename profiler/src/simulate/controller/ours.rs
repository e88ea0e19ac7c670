//! Ours: the very core that sets limits on a real host.

use std::time::Duration;

use super::agent::{grants, undeclared};
use super::{Agent, Observation};
use crate::control::{Core, Effect, Event, Outcome, Settings};
use crate::lease::{self, Grant, Lease, Ledger, Request};
use crate::model::{Bytes, FinishedJob, HostSample, LeaseId, Moment, ProviderId, Ticket};
use crate::simulate::plant::{MEBIBYTE, Plant};

/// The core, told what happens on a simulated host.
pub(super) struct Ours {
    core: Core,
}

impl Ours {
    pub(super) fn new(plant: &Plant, now: Moment, next_lease: LeaseId) -> Self {
        let settings = Settings {
            memory_reserve: Bytes::from_f64(plant.host.reserve_mb.get() * MEBIBYTE),
            ..Settings::default()
        };
        let mut ours = Self { core: Core::new(settings, next_lease) };
        for _ in &plant.servers {
            ours.tell(now, Event::Provider(undeclared()));
        }
        let number = |name: &String| plant.servers.iter().position(|server| server.name == *name);
        for profile in plant.profiles() {
            let numbers = profile.providers.iter().filter_map(number);
            let providers =
                numbers.filter_map(|number| u32::try_from(number).ok().map(ProviderId)).collect();
            ours.tell(now, Event::Connector { profile, providers });
        }
        ours.look_first(plant, now);
        ours
    }

    /// A look at the host before anybody asks, as on a real one: what memory there is.
    fn look_first(&mut self, plant: &Plant, now: Moment) {
        let memory = Bytes::from_f64(plant.host.memory_mb.get() * MEBIBYTE);
        let host = HostSample {
            cores: plant.host.cores.float() * plant.host.threads_per_core.float(),
            memory_total: memory,
            memory_available: memory,
            ..HostSample::default()
        };
        self.tell(now, Event::Sample { host, jobs: Vec::new() });
    }

    fn tell(&mut self, now: Moment, event: Event) -> Option<Outcome> {
        // What it does not know, it leaves as it is.
        self.core.handle(now, event).ok()
    }
}

impl Agent for Ours {
    fn ledger(&self) -> &Ledger {
        self.core.ledger()
    }

    fn restore(&mut self, now: Moment, lease: Lease) {
        self.tell(now, Event::Restore(lease));
    }

    fn request(&mut self, now: Moment, request: Request) -> Option<Ticket> {
        match self.tell(now, Event::Request(request)) {
            Some(Outcome::Ticket(ticket)) => Some(ticket),
            _ => None,
        }
    }

    fn cancel(&mut self, now: Moment, ticket: Ticket) -> bool {
        self.tell(now, Event::Cancel(ticket)).is_some()
    }

    fn release(&mut self, now: Moment, lease: LeaseId, finished: Option<&FinishedJob>) {
        self.tell(now, Event::Release { lease, finished: finished.cloned() });
    }

    fn throttled(&mut self, now: Moment, provider: ProviderId, retry_after: Duration) {
        self.tell(now, Event::Throttled { provider, retry_after: Some(retry_after) });
    }

    fn look(&mut self, seen: &Observation<'_>) {
        let sample = Event::Sample { host: seen.host.clone(), jobs: seen.jobs.to_vec() };
        self.tell(seen.now, sample);
        self.tell(seen.now, Event::Pass);
    }

    fn granted(&mut self) -> Vec<Grant> {
        let of_leases = |effect: Effect| -> Option<lease::Effect> {
            match effect {
                Effect::Lease(effect) => Some(effect),
                _ => None,
            }
        };
        grants(self.core.effects().filter_map(of_leases))
    }

    fn wants_samples(&self) -> bool {
        true
    }

    fn knows_providers(&self) -> bool {
        true
    }
}
