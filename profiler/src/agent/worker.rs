//! `org.profiler.Worker`: slots and backpressure for workers.

use std::rc::Rc;
use std::time::Duration;

use profiler_client::protocol::{
    Acquire, AcquireProvider, Acquired, Hint, HintGiven, Nothing, Peek, Permit, PermitId, Release,
    ReleaseProvider, Released, ReportThrottled, WaitIfThrottled, Waited, Watch, WatchState,
    WorkerCall, WorkerError,
};

use super::connectors::invalid;
use super::effects::{News, Wish};
use super::state::State;
use super::waits::{Stream, TicketWait, Wait};
use super::{Session, Shared, words};
use crate::control::{Event, Outcome};
use crate::ipc::{Answer, Latest, Reply, Told};
use crate::model::{ConnectorId, LeaseId, Level, Usage};

/// Answers a worker's call.
pub(super) fn answer(
    agent: &Rc<Shared>,
    session: &Session,
    call: WorkerCall<'_>,
    reply: Reply<'_>,
) -> Answer<Wait> {
    let mut state = agent.state.borrow_mut();
    match call {
        WorkerCall::Acquire(call) => {
            drop(state);
            acquire(agent, session, &call, reply)
        }
        WorkerCall::Release(Release { lease, outcome }) => {
            let lease = LeaseId(lease.0);
            let released = state.owned(session, lease).and_then(|()| state.release(lease, outcome));
            given(reply, lease, released)
        }
        WorkerCall::Peek(Peek { lease }) => {
            let lease = LeaseId(lease.0);
            let usage = state.owned(session, lease).and_then(|()| state.peek(lease));
            given(reply, lease, usage)
        }
        WorkerCall::Attach(call) => {
            result(reply, state.attach(session, &call).map(|()| Nothing {}))
        }
        WorkerCall::Detach(call) => {
            result(reply, state.detach(session, &call).map(|()| Nothing {}))
        }
        WorkerCall::Hint(Hint { connector }) => {
            let connector = connector.and_then(|name| state.connectors.find(&name));
            reply.send(&HintGiven { hint: state.hint(connector) }).into()
        }
        WorkerCall::Preflight(call) => result(reply, state.preflight(&call)),
        WorkerCall::WaitIfThrottled(call) => {
            drop(state);
            wait_if_throttled(agent, &call)
        }
        WorkerCall::Watch(call) => {
            drop(state);
            watch(agent, session, &call, reply)
        }
        WorkerCall::AcquireProvider(call) => {
            drop(state);
            acquire_provider(agent, session, &call, reply)
        }
        WorkerCall::ReleaseProvider(ReleaseProvider { permit }) => {
            let released = state.release_permit(session.owner, crate::model::PermitId(permit.0));
            let released = released.then_some(Nothing {});
            result(reply, released.ok_or(WorkerError::NoSuchPermit { permit }))
        }
        WorkerCall::ReportThrottled(ReportThrottled { provider, retry_after_ms }) => {
            let found = state.provider(&provider);
            let told = found.map(|id| {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                state.tell(Event::Throttled { provider: id, retry_after });
                Nothing {}
            });
            result(reply, told)
        }
    }
}

fn result<T: serde::Serialize>(reply: Reply<'_>, result: Result<T, WorkerError>) -> Answer<Wait> {
    match result {
        Ok(parameters) => reply.send(&parameters).into(),
        Err(error) => reply.error(&error).into(),
    }
}

fn given(reply: Reply<'_>, lease: LeaseId, usage: Option<Usage>) -> Answer<Wait> {
    let lease = profiler_client::protocol::LeaseId(lease.0);
    let released = usage.map(|usage| Released { usage });
    result(reply, released.ok_or(WorkerError::NoSuchLease { lease }))
}

fn acquire(
    agent: &Rc<Shared>,
    session: &Session,
    call: &Acquire<'_>,
    reply: Reply<'_>,
) -> Answer<Wait> {
    let mut state = agent.state.borrow_mut();
    if let Some(lease) = call.lease {
        let lease = LeaseId(lease.0);
        let grant = state.resume(session, lease);
        let lease = profiler_client::protocol::LeaseId(lease.0);
        let acquired = grant.map(|grant| Acquired { grant: Some(grant), waiting: None });
        return result(reply, acquired.ok_or(WorkerError::NoSuchLease { lease }));
    }
    let (request, members, holder) = match state.request(session, call) {
        Ok(asked) => asked,
        Err(error) => return reply.error(&error).into(),
    };
    let (now, connector) = (State::now(), request.connector);
    let ticket = match state.control.tell(now, Event::Request(request)) {
        Ok(Outcome::Ticket(ticket)) => ticket,
        Ok(_) => return reply.error(&invalid("connector", "takes no requests")).into(),
        Err(error) => return reply.error(&invalid("connector", &error.to_string())).into(),
    };
    let news = Latest::new();
    let wish = Wish { connector, job: Some((members, holder)), news: news.clone() };
    match state.carry_out(Some((ticket, wish))) {
        Some(News::Slot(Ok(grant))) => {
            reply.send(&Acquired { grant: Some(grant), waiting: None }).into()
        }
        Some(News::Slot(Err(error)) | News::Permit(Err(error))) => reply.error(&error).into(),
        _ => {
            news.put(News::Moved);
            drop(state);
            Answer::Later(Wait::Ticket(TicketWait::new(agent, session.owner, ticket, now, news)))
        }
    }
}

fn acquire_provider(
    agent: &Rc<Shared>,
    session: &Session,
    call: &AcquireProvider<'_>,
    reply: Reply<'_>,
) -> Answer<Wait> {
    let mut state = agent.state.borrow_mut();
    let lease = call.lease.map(|lease| LeaseId(lease.0));
    if let (Some(lease), Some(named)) = (lease, call.lease)
        && state.owned(session, lease).is_none()
    {
        return reply.error(&WorkerError::NoSuchLease { lease: named }).into();
    }
    let provider = match state.provider(&call.provider) {
        Ok(provider) => provider,
        Err(error) => return reply.error(&error).into(),
    };
    let (now, max_wait) = (State::now(), call.max_wait_ms.map(Duration::from_millis));
    let ticket = match state.control.tell(now, Event::RequestPermit { provider, lease, max_wait }) {
        Ok(Outcome::Ticket(ticket)) => ticket,
        Ok(_) => return reply.error(&invalid("provider", "gives no places")).into(),
        Err(error) => return reply.error(&invalid("provider", &error.to_string())).into(),
    };
    let news = Latest::new();
    let wish = Wish { connector: ConnectorId(u32::MAX), job: None, news: news.clone() };
    match state.carry_out(Some((ticket, wish))) {
        Some(News::Permit(Ok((permit, waited)))) => {
            state.permits_of.entry(session.owner).or_default().push(permit);
            let permit = PermitId(permit.0);
            reply.send(&Permit { permit, waited_ms: words::ms(waited) }).into()
        }
        Some(News::Slot(Err(error)) | News::Permit(Err(error))) => reply.error(&error).into(),
        _ => {
            drop(state);
            Answer::Later(Wait::Ticket(TicketWait::new(agent, session.owner, ticket, now, news)))
        }
    }
}

fn wait_if_throttled(agent: &Rc<Shared>, call: &WaitIfThrottled<'_>) -> Answer<Wait> {
    let since = State::now();
    let usual = agent.state.borrow().config.limits.throttle_wait;
    let most = call.max_wait_ms.map_or(usual, Duration::from_millis);
    let name: Option<Box<str>> = call.connector.as_ref().map(|name| (**name).into());
    let state = Rc::clone(agent);
    let tell = move |reply: Reply<'_>| {
        let level = {
            let state = state.state.borrow();
            state.level(name.as_deref().and_then(|name| state.connectors.find(name)))
        };
        let waited = State::now().since(since);
        let is_over = level <= Level::Elevated || waited >= most;
        is_over.then(|| {
            let waited_ms = words::ms(waited);
            Told::Last(reply.send(&Waited { level: words::level(level), waited_ms }))
        })
    };
    Answer::Later(Wait::Stream(Stream::new(agent, Box::new(tell))))
}

fn watch(
    agent: &Rc<Shared>,
    session: &Session,
    call: &Watch<'_>,
    reply: Reply<'_>,
) -> Answer<Wait> {
    let name: Option<Box<str>> = call.connector.as_ref().map(|name| (**name).into());
    let owner = session.owner;
    let state_of = move |state: &State| state.watched(owner, name.as_deref());
    if !reply.more() {
        return reply.send(&state_of(&agent.state.borrow())).into();
    }
    let shared = Rc::clone(agent);
    let mut last: Option<WatchState> = None;
    let tell = move |reply: Reply<'_>| {
        let now = state_of(&shared.state.borrow());
        if last.as_ref() == Some(&now) {
            return None;
        }
        let told = Told::More(reply.continues(&now));
        last = Some(now);
        Some(told)
    };
    Answer::Later(Wait::Stream(Stream::new(agent, Box::new(tell))))
}
