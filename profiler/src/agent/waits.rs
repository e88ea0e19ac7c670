//! Calls that wait. Each of them is given up when it is dropped, that is: when its connection ends.

use std::rc::Rc;
use std::task::{Context, Poll};

use profiler_client::protocol::{Acquired, Permit, PermitId, Waiting};

use super::effects::News;
use super::history::PastJobs;
use super::{Shared, words};
use crate::control::Event;
use crate::ipc::{Latest, Pending, Reply, Told};
use crate::model::{Moment, Owner, Ticket};

/// A call that waits.
#[derive(Debug)]
#[allow(private_interfaces, reason = "what is waited for is this module's own business")]
pub enum Wait {
    /// For a slot, or for a place at a provider.
    Ticket(TicketWait),
    /// For what is told again and again.
    Stream(Stream),
    /// For the disk.
    PastJobs(Latest<PastJobs>),
}

impl Pending for Wait {
    fn poll(&mut self, context: &mut Context<'_>, reply: Reply<'_>) -> Poll<Told> {
        match self {
            Self::Ticket(wait) => wait.poll(context, reply),
            Self::Stream(stream) => stream.poll(context, reply),
            Self::PastJobs(found) => found.poll_take(context).map(|found| match found {
                Ok(jobs) => Told::Last(reply.send(&jobs)),
                Err(error) => Told::Last(reply.error(&error)),
            }),
        }
    }
}

/// Waits for the controller's answer.
#[derive(Debug)]
pub struct TicketWait {
    agent: Rc<Shared>,
    owner: Owner,
    ticket: Ticket,
    since: Moment,
    news: Latest<News>,
    is_answered: bool,
    /// What the caller was told last of its place.
    told: Option<Waiting>,
}

impl TicketWait {
    pub(super) fn new(
        agent: &Rc<Shared>,
        owner: Owner,
        ticket: Ticket,
        since: Moment,
        news: Latest<News>,
    ) -> Self {
        Self { agent: Rc::clone(agent), owner, ticket, since, news, is_answered: false, told: None }
    }

    fn poll(&mut self, context: &mut Context<'_>, reply: Reply<'_>) -> Poll<Told> {
        loop {
            let Poll::Ready(news) = self.news.poll_take(context) else { return Poll::Pending };
            match news {
                News::Slot(Ok(grant)) => {
                    self.is_answered = true;
                    let acquired = Acquired { grant: Some(grant), waiting: None };
                    return Poll::Ready(Told::Last(reply.send(&acquired)));
                }
                News::Permit(Ok((permit, waited))) => {
                    self.is_answered = true;
                    let mut state = self.agent.state.borrow_mut();
                    state.permits_of.entry(self.owner).or_default().push(permit);
                    let permit =
                        Permit { permit: PermitId(permit.0), waited_ms: words::ms(waited) };
                    return Poll::Ready(Told::Last(reply.send(&permit)));
                }
                News::Slot(Err(error)) | News::Permit(Err(error)) => {
                    self.is_answered = true;
                    return Poll::Ready(Told::Last(reply.error(&error)));
                }
                News::Moved => {
                    let waiting = self.agent.state.borrow().waiting(self.ticket, self.since);
                    let place = |waiting: &Waiting| (waiting.position, waiting.constraint);
                    if reply.more()
                        && let Some(waiting) = waiting
                        && self.told.as_ref().map(place) != Some(place(&waiting))
                    {
                        self.told = Some(waiting);
                        let acquired = Acquired { grant: None, waiting: Some(waiting) };
                        return Poll::Ready(Told::More(reply.continues(&acquired)));
                    }
                }
            }
        }
    }
}

impl Drop for TicketWait {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut state = self.agent.state.borrow_mut();
        if state.wishes.remove(&self.ticket).is_some() {
            state.tell(Event::Cancel(self.ticket));
            return;
        }
        // Granted, and nobody will ever know: a slot goes back, as does a place at a provider.
        match self.news.take() {
            Some(News::Slot(Ok(grant))) => {
                state.release(crate::model::LeaseId(grant.lease.0), None);
            }
            Some(News::Permit(Ok((permit, _)))) => {
                state.tell(Event::ReleasePermit(permit));
            }
            _ => {}
        }
    }
}

/// Gives the next reply, if there is something to tell.
type Tell = Box<dyn FnMut(Reply<'_>) -> Option<Told>>;

/// What is told again and again: now, and at each change.
pub struct Stream {
    changed: Latest<()>,
    tell: Tell,
}

impl Stream {
    pub(super) fn new(agent: &Rc<Shared>, tell: Tell) -> Self {
        let changed = Latest::new();
        changed.put(());
        agent.state.borrow_mut().watchers.push(changed.clone());
        Self { changed, tell }
    }

    fn poll(&mut self, context: &mut Context<'_>, reply: Reply<'_>) -> Poll<Told> {
        if self.changed.poll_take(context).is_pending() {
            return Poll::Pending;
        }
        if let Some(told) = (self.tell)(reply) {
            return Poll::Ready(told);
        }
        // Nothing is put in meanwhile: all of it happens on this thread.
        match self.changed.poll_take(context) {
            Poll::Ready(()) => context.waker().wake_by_ref(),
            Poll::Pending => {}
        }
        Poll::Pending
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
