//! `org.profiler.Worker`: slots and backpressure for workers.

use std::rc::Rc;
use std::time::Duration;

use profiler_client::protocol::{
    Acquire, AcquireProvider, Acquired, Attach, Bounded, Detach, Hint, HintGiven, Nothing, Peek,
    Permit, PermitId, Preflight, Preflighted, Priority, Release, ReleaseProvider, Released,
    ReportThrottled, Scope, Text, WaitIfThrottled, Waited, Waiting, Watch, WatchState, WorkerCall,
    WorkerError,
};
use profiler_common::TagMode;

use super::connectors::invalid;
use super::effects::{News, Wish};
use super::job::{Holder, Members};
use super::names;
use super::state::State;
use super::waits::{Stream, TicketWait, Wait};
use super::{Session, Shared, words};
use crate::control::{Event, Outcome};
use crate::ipc::{Answer, Latest, Reply, Told};
use crate::kernel::{TagError, Tasks};
use crate::lease::{LeaseState, Request};
use crate::model::{
    Bytes, ConnectorId, LeaseId, Level, Moment, ProviderId, SourceId, Ticket, Usage,
};

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

impl State {
    /// Something, if the lease is the caller's: of its connection, or an orphan of its process.
    pub(super) fn owned(&self, session: &Session, lease: LeaseId) -> Option<()> {
        let found = self.ledger().lease(lease)?;
        let is_orphan = found.state == LeaseState::Orphaned;
        (found.owner == session.owner || is_orphan && self.had((&session.caller).into(), lease))
            .then_some(())
    }

    fn peek(&self, lease: LeaseId) -> Option<Usage> {
        self.jobs.get(&lease).map(|job| job.usage(&self.attribution))
    }

    /// Makes an orphan its worker's again.
    fn resume(
        &mut self,
        session: &Session,
        lease: LeaseId,
    ) -> Option<profiler_client::protocol::Grant> {
        let before = self.ledger().lease(lease)?.owner;
        if self.owned(session, lease).is_none() {
            if !(self.had((&session.caller).into(), lease) && self.is_cut_off(lease)) {
                return None;
            }
            self.disconnected(before);
            self.owned(session, lease)?;
        }
        if let Some(leases) = self.leases_of.get_mut(&before) {
            leases.retain(|other| *other != lease);
        }
        self.tell(Event::Adopt(lease, session.owner));
        self.leases_of.entry(session.owner).or_default().push(lease);
        let job = self.jobs.get(&lease)?;
        let found = self.ledger().lease(lease)?;
        Some(profiler_client::protocol::Grant {
            lease: profiler_client::protocol::LeaseId(lease.0),
            connector: self.connectors.name(found.connector).to_owned(),
            how: profiler_client::protocol::How::Granted,
            exceeds: Vec::new(),
            waited_ms: job.waited_ms,
            memory_bytes: found.memory.0,
            hint: self.hint(Some(found.connector)),
        })
    }

    /// What a call asks of the ledger, and who runs the job.
    fn request(
        &mut self,
        session: &Session,
        call: &Acquire<'_>,
    ) -> Result<(Request, Members, Holder), WorkerError> {
        if self.ledger().is_drained() {
            return Err(WorkerError::Draining {});
        }
        let limit = self.config.limits.leases_per_user;
        if self.leases_of_user(session.caller.uid) >= limit {
            return Err(WorkerError::TooMany { what: Bounded::Leases, limit: limit.into() });
        }
        let limit = self.config.limits.waiting_calls_per_user;
        if self.wishes.len() >= limit as usize && self.waiting_of(session.caller.uid) >= limit {
            return Err(WorkerError::TooMany { what: Bounded::Calls, limit: limit.into() });
        }
        for (parameter, name) in [("source", &call.source), ("label", &call.label)] {
            if let Some(why) = name.as_ref().and_then(|name| names::fault(name)) {
                return Err(invalid(parameter, why));
            }
        }
        let members = self.members(session, call.scope.unwrap_or_default(), call.tid)?;
        self.end_forgotten(members, (&session.caller).into(), session.owner);
        if let Members::Thread { tid } = members
            && self.workers.works_for(&self.attribution, tid).is_some()
        {
            return Err(WorkerError::TaskIsTaken { tid });
        }
        let connector = self.connector(&call.connector)?;
        let source_name = call.source.as_deref();
        let (priority, providers) =
            self.expected(connector, source_name, call.priority, call.providers.as_deref())?;
        let memory = call.memory_bytes.map(Bytes);
        let memory = source_name
            .map_or(memory, |source| self.connectors.memory_of_source(connector, source, memory));
        let source = call.source.as_ref().map(|source| SourceId(self.sources.add(source)));
        let max_wait = [call.max_wait_ms, call.deadline_ms].into_iter().flatten().min();
        let request = Request {
            connector,
            source,
            priority,
            memory,
            providers,
            max_wait: max_wait.map(Duration::from_millis),
            on_timeout: words::on_timeout(call.on_timeout.unwrap_or_default()),
            owner: session.owner,
        };
        let own = |text: &Option<Text<'_>>| text.as_ref().map(|text| (**text).into());
        let holder = Holder {
            uid: session.caller.uid,
            pid: session.caller.pid,
            process_start_ticks: session.caller.start_ticks,
            source: own(&call.source),
            label: own(&call.label),
            priority,
        };
        Ok((request, members, holder))
    }

    /// How many calls of a user wait for a slot.
    fn waiting_of(&self, uid: u32) -> u32 {
        let holders = self.wishes.values().filter_map(|wish| wish.job.as_ref());
        let own = holders.filter(|(_, holder)| holder.uid == uid).count();
        u32::try_from(own).unwrap_or(u32::MAX)
    }

    fn members(
        &self,
        session: &Session,
        scope: Scope,
        tid: Option<u32>,
    ) -> Result<Members, WorkerError> {
        let caller = &session.caller;
        let gone = WorkerError::NoSuchTask { tid, pid: None };
        match scope {
            Scope::Thread => {
                let known = tid.filter(|tid| {
                    caller.shares_our_numbers()
                        && self.workers.knows(&self.attribution, caller.pid, *tid)
                });
                let tid = known.or_else(|| caller.thread(tid)).ok_or(gone)?;
                Ok(Members::Thread { tid })
            }
            Scope::Process => Ok(Members::Process { pid: caller.process(None).ok_or(gone)? }),
            Scope::Tree => Ok(Members::Tree { pid: caller.process(None).ok_or(gone)? }),
            Scope::Children => Ok(Members::Children { pid: caller.process(None).ok_or(gone)? }),
        }
    }

    fn provider(&self, name: &str) -> Result<ProviderId, WorkerError> {
        let found = self.providers.find(name).map(ProviderId);
        found.ok_or_else(|| WorkerError::NoSuchProvider { provider: name.to_owned() })
    }

    /// The class and the providers of a job: as asked for, else as its source's profile says.
    fn expected(
        &self,
        connector: ConnectorId,
        source: Option<&str>,
        priority: Option<Priority>,
        providers: Option<&[Text<'_>]>,
    ) -> Result<(crate::model::Priority, Vec<ProviderId>), WorkerError> {
        let of_source =
            source.and_then(|source| self.connectors.profile_of_source(connector, source));
        let profile = of_source.as_ref().unwrap_or(self.connectors.profile(connector));
        let priority = priority.map_or(profile.priority, words::priority);
        let providers: Result<_, _> = match providers {
            Some(named) => named.iter().map(|name| self.provider(name)).collect(),
            None => profile.providers.iter().map(|name| self.provider(name)).collect(),
        };
        Ok((priority, providers?))
    }

    fn attach(&mut self, session: &Session, call: &Attach) -> Result<(), WorkerError> {
        let (lease, tasks) = self.named(session, call.lease, call.tid, call.pid)?;
        let Self { jobs, attribution, workers, .. } = self;
        let job = jobs.get_mut(&lease).ok_or(WorkerError::NoSuchLease { lease: call.lease })?;
        let attached = match tasks {
            Tasks::Thread(tid) => job.employ(attribution, workers, tid),
            Tasks::Process(pid) => job.take_in(attribution, workers, pid, TagMode::Count),
        };
        attached.map_err(|error| refusal(&error, call.tid, call.pid))?;
        self.tell(Event::TasksBegan(lease));
        Ok(())
    }

    fn detach(&mut self, session: &Session, call: &Detach) -> Result<(), WorkerError> {
        let (lease, tasks) = self.named(session, call.lease, call.tid, call.pid)?;
        let Self { jobs, attribution, workers, .. } = self;
        let job = jobs.get_mut(&lease).ok_or(WorkerError::NoSuchLease { lease: call.lease })?;
        job.dismiss(attribution, workers, tasks)
            .map_err(|error| refusal(&error, call.tid, call.pid))
    }

    fn named(
        &self,
        session: &Session,
        lease: profiler_client::protocol::LeaseId,
        tid: Option<u32>,
        pid: Option<u32>,
    ) -> Result<(LeaseId, Tasks), WorkerError> {
        let id = LeaseId(lease.0);
        self.owned(session, id).ok_or(WorkerError::NoSuchLease { lease })?;
        let gone = WorkerError::NoSuchTask { tid, pid };
        let tasks = match (tid, pid) {
            (Some(_), Some(_)) => {
                return Err(invalid("pid", "name a thread or a process, not both"));
            }
            (None, None) => return Err(invalid("tid", "name a thread or a process")),
            (Some(_), None) => session.caller.thread(tid).map(Tasks::Thread),
            (None, Some(_)) => session.caller.process(pid).map(Tasks::Process),
        };
        tasks.map(|tasks| (id, tasks)).ok_or(gone)
    }

    fn preflight(&mut self, call: &Preflight<'_>) -> Result<Preflighted, WorkerError> {
        let connector = self.connector(&call.connector)?;
        let source = call.source.as_deref();
        let (priority, providers) =
            self.expected(connector, source, call.priority, call.providers.as_deref())?;
        let memory = call.memory_bytes.map(Bytes);
        let memory = source
            .map_or(memory, |source| self.connectors.memory_of_source(connector, source, memory));
        let request = Request { connector, priority, memory, providers, ..Request::default() };
        let answer = self
            .control
            .core()
            .preflight(&request)
            .map_err(|error| invalid("connector", &error.to_string()))?;
        let waits = (!answer.admitted).then_some(answer.position);
        Ok(Preflighted {
            admitted: answer.admitted,
            constraints: words::constraints(answer.constraints),
            position: answer.position,
            estimate_ms: waits.and_then(|position| self.estimate(connector, position)),
        })
    }

    /// The place of a request that waits.
    pub(super) fn waiting(&self, ticket: Ticket, since: Moment) -> Option<Waiting> {
        let ledger = self.ledger();
        let position = ledger.position(ticket).ok()?;
        let constraints = ledger.constraints(ticket).ok()?;
        let constraint = constraints.iter().next().unwrap_or(crate::model::Constraint::Queue);
        let connector = self.wishes.get(&ticket).map(|wish| wish.connector);
        Some(Waiting {
            position,
            constraint: words::constraint(constraint),
            waited_ms: words::ms(Self::now().since(since)),
            estimate_ms: connector.and_then(|connector| self.estimate(connector, position)),
        })
    }
}

fn refusal(error: &TagError, tid: Option<u32>, pid: Option<u32>) -> WorkerError {
    match error {
        TagError::Taken => WorkerError::TaskIsTaken { tid: tid.or(pid).unwrap_or(0) },
        _ => WorkerError::NoSuchTask { tid, pid },
    }
}
