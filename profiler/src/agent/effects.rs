//! What follows from the controller's decisions: jobs begin, and calls that wait are told.

use std::time::Duration;

use profiler_client::protocol::{self as wire, Bounded, WorkerError};

use super::job::{BeginError, Holder, Job, Members};
use super::state::State;
use super::{owned, words};
use crate::control::{Effect, Event};
use crate::ipc::Latest;
use crate::lease::{self, Grant};
use crate::model::{ConnectorId, PermitId, Ticket};

/// What a call that waits is told.
#[derive(Debug)]
pub(super) enum News {
    /// The place in the queue may be another.
    Moved,
    /// The slot, with its job begun; or why there is none.
    Slot(Result<wire::Grant, WorkerError>),
    /// The place at a provider, or why there is none.
    Permit(Result<(PermitId, Duration), WorkerError>),
}

/// A request that the ledger has not answered yet.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) connector: ConnectorId,
    /// Who runs the job; nothing for a place at a provider.
    pub(super) job: Option<(Members, Holder)>,
    pub(super) news: Latest<News>,
}

impl State {
    /// Carries out what the controller decided. What concerns `mine` is returned instead of told.
    pub(super) fn carry_out(&mut self, mine: Option<(Ticket, Wish)>) -> Option<News> {
        let (my_ticket, mut my_wish) = mine.map_or((None, None), |(t, w)| (Some(t), Some(w)));
        let mut answer = None;
        let mut effects = std::mem::take(&mut self.effects);
        loop {
            self.control.effects_into(&mut effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects.drain(..) {
                let Some((ticket, news)) = self.news_of(effect, my_ticket, &mut my_wish) else {
                    continue;
                };
                if Some(ticket) == my_ticket {
                    answer = Some(news);
                } else if let Some(wish) = self.wishes.remove(&ticket) {
                    wish.news.put(news);
                }
            }
        }
        self.effects = effects;
        if let (Some(ticket), Some(wish), None) = (my_ticket, my_wish, &answer) {
            self.wishes.insert(ticket, wish);
            self.somebody_waits.notify_one();
        }
        answer
    }

    fn news_of(
        &mut self,
        effect: Effect,
        my_ticket: Option<Ticket>,
        my_wish: &mut Option<Wish>,
    ) -> Option<(Ticket, News)> {
        let effect = match effect {
            Effect::Lease(effect) => effect,
            Effect::Decided(decision) => {
                self.keep_decision(&decision);
                return None;
            }
            Effect::Level { connector, level } => {
                self.say_level(connector, level);
                return None;
            }
        };
        match effect {
            lease::Effect::Granted(grant) => {
                let is_mine = Some(grant.ticket) == my_ticket;
                let wish =
                    if is_mine { my_wish.as_mut() } else { self.wishes.get_mut(&grant.ticket) };
                let job = wish.and_then(|wish| wish.job.take());
                Some((grant.ticket, News::Slot(self.begin(&grant, job))))
            }
            lease::Effect::NotGranted { ticket, connector, constraints, waited } => {
                let estimate = self.estimate(connector, 1).filter(|_| !constraints.is_empty());
                let constraints = words::constraints(constraints);
                let waited_ms = words::ms(waited);
                let error =
                    WorkerError::NotGranted { constraints, waited_ms, estimate_ms: estimate };
                Some((ticket, News::Slot(Err(error))))
            }
            lease::Effect::Permitted { ticket, permit, waited } => {
                Some((ticket, News::Permit(Ok((permit, waited)))))
            }
            lease::Effect::NotPermitted { ticket, waited } => {
                let constraints = vec![wire::Constraint::Provider];
                let waited_ms = words::ms(waited);
                let error = WorkerError::NotGranted { constraints, waited_ms, estimate_ms: None };
                Some((ticket, News::Permit(Err(error))))
            }
            lease::Effect::QueueMoved(connector) => {
                for wish in self.wishes.values().filter(|wish| wish.connector == connector) {
                    wish.news.put(News::Moved);
                }
                None
            }
            lease::Effect::OverrideEnded(connector) => {
                tracing::info!(
                    connector = self.connectors.name(connector),
                    "limit set by hand ended"
                );
                None
            }
        }
    }

    /// Begins the job of a lease that was just granted. Where that cannot be, the lease is given back.
    fn begin(
        &mut self,
        grant: &Grant,
        job: Option<(Members, Holder)>,
    ) -> Result<wire::Grant, WorkerError> {
        let owner = self.ledger().lease(grant.lease).map(|lease| lease.owner);
        if let (Some((members, holder)), Some(owner)) = (&job, owner) {
            self.end_forgotten(*members, holder.into(), owner);
        }
        let begun = job.ok_or(WorkerError::Draining {}).and_then(|(members, holder)| {
            let Self { attribution, workers, .. } = self;
            Job::begin(attribution, workers, grant.lease, grant.connector, members, holder)
                .map_err(|error| self.refusal(&error, members))
        });
        let mut job = match begun {
            Ok(job) => job,
            Err(error) => {
                let event = Event::Release { lease: grant.lease, finished: None };
                self.control.tell_known(Self::now(), event);
                return Err(error);
            }
        };
        job.waited_ms = words::ms(grant.waited);
        let name = self.connectors.name(grant.connector);
        job.keep(&mut self.attribution, (name, grant.memory.0));
        self.enter(job);
        Ok(wire::Grant {
            lease: wire::LeaseId(grant.lease.0),
            connector: self.connectors.name(grant.connector).to_owned(),
            how: words::how(grant.how),
            exceeds: words::constraints(grant.exceeds),
            waited_ms: words::ms(grant.waited),
            memory_bytes: grant.memory.0,
            hint: self.hint(Some(grant.connector)),
        })
    }

    fn refusal(&self, error: &BeginError, members: Members) -> WorkerError {
        let (tid, pid) = match members {
            Members::Thread { tid } => (Some(tid), None),
            Members::Process { pid } | Members::Tree { pid } | Members::Children { pid } => {
                (None, Some(pid))
            }
        };
        match error {
            BeginError::Full(_) => WorkerError::TooMany {
                what: Bounded::Leases,
                limit: self.attribution.job_capacity().into(),
            },
            BeginError::Tasks(error) => owned::refusal(error, tid, pid),
        }
    }
}
