//! What a worker's call asks of the ledger: checked, and filled up from profiles where it says
//! nothing.

use std::time::Duration;

use profiler_client::protocol::{
    Acquire, Bounded, Preflight, Preflighted, Priority, Scope, Text, Waiting, WorkerError,
};

use super::connectors::invalid;
use super::job::{Holder, Members};
use super::state::State;
use super::{Session, names, words};
use crate::lease::Request;
use crate::model::{Bytes, ConnectorId, Moment, ProviderId, SourceId, Ticket};

impl State {
    /// What a call asks of the ledger, and who runs the job.
    pub(super) fn request(
        &mut self,
        session: &Session,
        call: &Acquire<'_>,
    ) -> Result<(Request, Members, Holder), WorkerError> {
        self.may_ask(session.caller.uid)?;
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
        let providers = call.providers.as_deref();
        let needed =
            self.needed(connector, source_name, call.priority, call.memory_bytes, providers)?;
        let priority = needed.priority;
        let source = source_name.map(|source| SourceId(self.sources.add(source)));
        let max_wait = [call.max_wait_ms, call.deadline_ms].into_iter().flatten().min();
        let request = Request {
            source,
            max_wait: max_wait.map(Duration::from_millis),
            on_timeout: words::on_timeout(call.on_timeout.unwrap_or_default()),
            owner: session.owner,
            ..needed
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

    /// Whether a user may ask for one lease more.
    fn may_ask(&self, uid: u32) -> Result<(), WorkerError> {
        if self.ledger().is_drained() {
            return Err(WorkerError::Draining {});
        }
        let limit = self.config.limits.leases_per_user;
        if self.leases_of_user(uid) >= limit {
            return Err(WorkerError::TooMany { what: Bounded::Leases, limit: limit.into() });
        }
        let limit = self.config.limits.waiting_calls_per_user;
        if self.wishes.len() >= limit as usize && self.waiting_of(uid) >= limit {
            return Err(WorkerError::TooMany { what: Bounded::Calls, limit: limit.into() });
        }
        Ok(())
    }

    /// How many calls of a user wait for a slot.
    fn waiting_of(&self, uid: u32) -> u32 {
        let holders = self.wishes.values().filter_map(|wish| wish.job.as_ref());
        let own = holders.filter(|(_, holder)| holder.uid == uid).count();
        u32::try_from(own).unwrap_or(u32::MAX)
    }

    /// Whose work the job is: the tasks of the caller that it means.
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

    /// The provider of this name.
    pub(super) fn provider(&self, name: &str) -> Result<ProviderId, WorkerError> {
        let found = self.providers.find(name).map(ProviderId);
        found.ok_or_else(|| WorkerError::NoSuchProvider { provider: name.to_owned() })
    }

    /// What a job needs: its class, its memory and its providers as asked for, else as its source's
    /// profile says.
    fn needed(
        &self,
        connector: ConnectorId,
        source: Option<&str>,
        priority: Option<Priority>,
        memory_bytes: Option<u64>,
        providers: Option<&[Text<'_>]>,
    ) -> Result<Request, WorkerError> {
        let of_source =
            source.and_then(|source| self.connectors.profile_of_source(connector, source));
        let profile = of_source.as_ref().unwrap_or(self.connectors.profile(connector));
        let priority = priority.map_or(profile.priority, words::priority);
        let providers: Result<_, _> = match providers {
            Some(named) => named.iter().map(|name| self.provider(name)).collect(),
            None => profile.providers.iter().map(|name| self.provider(name)).collect(),
        };
        let memory = memory_bytes.map(Bytes);
        let memory = source
            .map_or(memory, |source| self.connectors.memory_of_source(connector, source, memory));
        Ok(Request { connector, priority, memory, providers: providers?, ..Request::default() })
    }

    /// Whether a job could begin now, and if not, where it would wait.
    pub(super) fn preflight(&mut self, call: &Preflight<'_>) -> Result<Preflighted, WorkerError> {
        let connector = self.connector(&call.connector)?;
        let (source, providers) = (call.source.as_deref(), call.providers.as_deref());
        let request =
            self.needed(connector, source, call.priority, call.memory_bytes, providers)?;
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
