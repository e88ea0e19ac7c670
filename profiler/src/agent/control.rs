//! `org.profiler.Control`: what the agent does and knows, and how to steer it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use profiler_client::protocol::{
    ChangedProfile, Connector, Connectors, ConnectorsList, ControlCall, ControlError, Drained,
    Explained, ExplainedJob, Host, Job, Jobs, JobsList, Nothing, Profile, Provider, SetProfile,
    State as JobState, StatusReply,
};
use serde::Serialize;
use tokio::task::{spawn_blocking, spawn_local};

use super::history::{PastJobs, past_jobs};
use super::state::State;
use super::waits::{Stream, Wait};
use super::{Session, Shared, words};
use crate::control::Event;
use crate::ipc::{Answer, Latest, Reply, Told};
use crate::lease::LeaseState;
use crate::model::{ConnectorId, LeaseId, Partial, ResourceProfile, Usage, units};
use crate::store::{JobFilter, Store};

/// A limit that is set for no time in particular holds for as long as anybody can mean.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// So many fit into an answer that a client reads in one go.
const MOST_PAST_JOBS: u32 = 10_000;

/// Answers an operator's call.
pub(super) fn answer(
    agent: &Rc<Shared>,
    session: &Session,
    call: ControlCall<'_>,
    reply: Reply<'_>,
) -> Answer<Wait> {
    let name = |text: &Option<profiler_client::protocol::Text<'_>>| -> Option<Box<str>> {
        text.as_ref().map(|text| (**text).into())
    };
    match call {
        ControlCall::Status(_) => told(agent, reply, |agent| Ok(agent.status())),
        ControlCall::Connectors(Connectors { connector }) => {
            let connector = name(&connector);
            told(agent, reply, move |agent| {
                agent.state.borrow().connectors_of(connector.as_deref())
            })
        }
        ControlCall::Jobs(Jobs { connector }) => {
            let (connector, uid) = (name(&connector), session.caller.uid);
            told(agent, reply, move |agent| agent.state.borrow().jobs_of(connector.as_deref(), uid))
        }
        ControlCall::Explain(call) => {
            let state = agent.state.borrow();
            result(reply, state.explain(&call.connector))
        }
        ControlCall::ExplainJob(call) => {
            let state = agent.state.borrow();
            result(reply, state.explain_job(call.lease, session.caller.uid))
        }
        ControlCall::SetProfile(call) => {
            let mut state = agent.state.borrow_mut();
            let set = state.set_profile(&call);
            if set.is_ok() {
                let subject = Some(&*call.connector);
                state.keep_action(&session.caller, "SetProfile", subject, &call);
            }
            result(reply, set)
        }
        ControlCall::SetLimit(call) => {
            let mut state = agent.state.borrow_mut();
            let set = state.known(&call.connector).and_then(|connector| {
                if call.limit == Some(0) {
                    return Err(invalid(
                        "limit",
                        "a limit is at least 1; drain to stop a connector",
                    ));
                }
                let time = call.for_ms.map_or(FOR_EVER, Duration::from_millis);
                let limit = call.limit.map(|limit| (limit, time));
                state.tell(Event::Override { connector, limit });
                let subject = Some(&*call.connector);
                state.keep_action(&session.caller, "SetLimit", subject, &call);
                Ok(Nothing {})
            });
            result(reply, set)
        }
        ControlCall::Drain(call) => {
            let mut state = agent.state.borrow_mut();
            let drained = state.drain(call.connector.as_deref(), true);
            if drained.is_ok() {
                state.keep_action(&session.caller, "Drain", call.connector.as_deref(), &call);
            }
            result(reply, drained.map(|running| Drained { running }))
        }
        ControlCall::Resume(call) => {
            let mut state = agent.state.borrow_mut();
            let resumed = state.drain(call.connector.as_deref(), false);
            if resumed.is_ok() {
                state.keep_action(&session.caller, "Resume", call.connector.as_deref(), &call);
            }
            result(reply, resumed.map(|_| Nothing {}))
        }
        ControlCall::History(call) => {
            let filter = JobFilter {
                connector: call.connector.map(profiler_client::protocol::Text::into_owned),
                since_unix_ms: call.since_unix_ms,
                limit: Some(call.limit.unwrap_or(100).min(MOST_PAST_JOBS)),
                // Everybody but root sees what was their own.
                uid: (session.caller.uid != 0).then_some(session.caller.uid),
                ..JobFilter::default()
            };
            match agent.state.borrow_mut().history_file() {
                Ok(file) => Answer::Later(Wait::PastJobs(read_history(file, filter))),
                Err(error) => reply.error(&error).into(),
            }
        }
        ControlCall::Reload(_) => {
            let mut state = agent.state.borrow_mut();
            let reloaded = state.reload(&agent.about.layers);
            if let Ok(reloaded) = &reloaded {
                state.keep_action(&session.caller, "Reload", None, reloaded);
            }
            result(reply, reloaded)
        }
    }
}

/// Reads the history without making anybody else wait.
fn read_history(file: PathBuf, filter: JobFilter) -> Latest<PastJobs> {
    let found = Latest::new();
    let place = found.clone();
    spawn_local(async move {
        let read = spawn_blocking(move || past_jobs(&file, &filter)).await;
        place.put(
            read.unwrap_or_else(|error| Err(ControlError::NoHistory { why: error.to_string() })),
        );
    });
    found
}

fn result<T: Serialize>(reply: Reply<'_>, result: Result<T, ControlError>) -> Answer<Wait> {
    match result {
        Ok(parameters) => reply.send(&parameters).into(),
        Err(error) => reply.error(&error).into(),
    }
}

/// Tells it once or, to a caller who takes several replies, again and again.
fn told<T: Serialize>(
    agent: &Rc<Shared>,
    reply: Reply<'_>,
    tell: impl Fn(&Rc<Shared>) -> Result<T, ControlError> + 'static,
) -> Answer<Wait> {
    if !reply.more() {
        return result(reply, tell(agent));
    }
    let shared = Rc::clone(agent);
    let again = move |reply: Reply<'_>| match tell(&shared) {
        Ok(parameters) => Some(Told::More(reply.continues(&parameters))),
        Err(error) => Some(Told::Last(reply.error(&error))),
    };
    Answer::Later(Wait::Stream(Stream::new(agent, Box::new(again))))
}

fn invalid(parameter: &str, why: &str) -> ControlError {
    ControlError::InvalidValue { parameter: parameter.to_owned(), why: why.to_owned() }
}

fn no_such_connector(name: &str) -> ControlError {
    ControlError::NoSuchConnector { connector: name.to_owned() }
}

impl Shared {
    fn status(&self) -> StatusReply {
        let state = self.state.borrow();
        let ledger = state.ledger();
        let orphans = ledger.leases().filter(|lease| lease.state == LeaseState::Orphaned);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: words::source(state.attribution.source()),
            uptime_ms: words::ms(State::now().since(self.about.started)),
            host: state.host(&self.about),
            own: state.own,
            connections: count(self.about.connections.get()),
            leases: count(ledger.leases().len()),
            waiting: count(ledger.waiting()),
            orphans: count(orphans.count()),
            draining: ledger.is_drained(),
            missing: state.missing(),
            lost: state.lost(),
            connectors: state.connectors_of(None).map(|list| list.connectors).unwrap_or_default(),
            providers: state.providers_now(),
        }
    }
}

impl State {
    pub(super) fn known(&self, name: &str) -> Result<ConnectorId, ControlError> {
        let found = self.connectors.find(name);
        found.ok_or_else(|| no_such_connector(name))
    }

    fn host(&self, about: &super::run::About) -> Host {
        let sample = &self.host;
        let cpu_percent = (!sample.interval.is_zero()).then(|| 100.0 * sample.cpu_share());
        Host {
            hostname: about.host.hostname.clone(),
            kernel: about.host.kernel.clone(),
            cores: about.host.cpus,
            cpu_percent,
            memory_bytes: sample.memory_total.0,
            memory_available_bytes: sample.memory_available.0,
            level: words::level(self.level(None)),
        }
    }

    fn missing(&self) -> Vec<String> {
        if self.attribution.is_sampled() {
            return vec!["exact figures, memory, devices and sockets (eBPF)".to_owned()];
        }
        let missing = self.attribution.missing().iter();
        missing.map(|(hook, group, _)| format!("{} ({})", hook.gives(group), hook.name())).collect()
    }

    fn lost(&self) -> BTreeMap<String, u64> {
        let lost = self.attribution.lost_since(&profiler_common::Lost::default());
        let of_history = self.history.store.iter().flat_map(Store::lost);
        let unrecorded = Some(self.control.unrecorded()).filter(|count| *count > 0);
        let untold = Some(self.ended_samples.left_out).filter(|count| *count > 0);
        lost.map(|(cause, count)| (cause.to_owned(), count))
            .chain(untold.map(|count| ("short_jobs_untold".to_owned(), count)))
            .chain(unrecorded.map(|count| ("decisions_unrecorded".to_owned(), count)))
            .chain(of_history.map(|(cause, count)| (format!("history_{}", cause.as_str()), count)))
            .collect()
    }

    fn connectors_of(&self, name: Option<&str>) -> Result<ConnectorsList, ControlError> {
        let connectors = match name {
            Some(name) => {
                let now = self.connector_now(self.known(name)?);
                vec![now.ok_or_else(|| no_such_connector(name))?]
            }
            None => self.connectors.iter().filter_map(|(id, _)| self.connector_now(id)).collect(),
        };
        Ok(ConnectorsList { connectors })
    }

    fn connector_now(&self, id: ConnectorId) -> Option<Connector> {
        let state = self.ledger().state(id).ok()?;
        let by_hand = state.override_limit;
        let left = |ends: crate::model::Moment| ends.since(Self::now());
        let ends = by_hand.map(|(_, ends)| left(ends)).filter(|left| *left < FOR_EVER / 2);
        Some(Connector {
            connector: self.connectors.name(id).to_owned(),
            profile: shown(self.connectors.profile(id)),
            limit: state.limit,
            constraint: words::constraint(state.constraint),
            level: words::level(self.level(Some(id))),
            in_use: state.in_use,
            waiting: state.waiting,
            reserved_memory_bytes: state.reserved.0,
            drained: state.drained,
            override_limit: by_hand.map(|(limit, _)| limit),
            override_ends_ms: ends.map(words::ms),
            statistics: self.statistics(id),
        })
    }

    /// Live jobs that a user may see: all for root, and one's own for everybody else.
    fn jobs_of(&self, name: Option<&str>, uid: u32) -> Result<JobsList<Usage>, ControlError> {
        let connector = name.map(|name| self.known(name)).transpose()?;
        let mut jobs: Vec<Job<Usage>> = self
            .jobs
            .values()
            .filter(|job| connector.is_none_or(|connector| job.connector == connector))
            .filter(|job| uid == 0 || uid == job.holder.uid)
            .filter_map(|job| self.job_now(job))
            .collect();
        jobs.sort_by_key(|job| job.lease);
        Ok(JobsList { jobs })
    }

    fn job_now(&self, job: &super::job::Job) -> Option<Job<Usage>> {
        let lease = self.ledger().lease(job.lease)?;
        let usage = job.usage(&self.attribution);
        let own = |name: &Option<Box<str>>| name.as_deref().map(str::to_owned);
        let (figures, tasks) = self.attribution.job(job.job)?;
        Some(Job {
            lease: profiler_client::protocol::LeaseId(job.lease.0),
            connector: self.connectors.name(job.connector).to_owned(),
            source: own(&job.holder.source),
            label: own(&job.holder.label),
            state: match lease.state {
                LeaseState::Running => JobState::Running,
                LeaseState::Orphaned => JobState::Orphaned,
            },
            uid: job.holder.uid,
            pid: job.holder.pid,
            age_ms: words::ms(Self::now().since(job.granted)),
            tasks: tasks.len() as u64,
            cpu_cores: job.cpu_cores,
            memory_bytes: usage.memory_peak_bytes.and_then(|_| {
                let page = self.attribution.known().memory_page_bytes?;
                Some(figures.held.pages_now().saturating_mul(page))
            }),
            reserved_memory_bytes: lease.memory.0,
            usage,
        })
    }

    fn explain(&self, name: &str) -> Result<Explained, ControlError> {
        let connector = self.known(name)?;
        let explanation = self.control.core().explain(connector);
        explanation.map(words::explained).map_err(|_| no_such_connector(name))
    }

    fn explain_job(
        &self,
        lease: profiler_client::protocol::LeaseId,
        uid: u32,
    ) -> Result<ExplainedJob, ControlError> {
        let unknown = || ControlError::NoSuchLease { lease };
        let job = self.jobs.get(&LeaseId(lease.0)).ok_or_else(unknown)?;
        if uid != 0 && uid != job.holder.uid {
            return Err(unknown());
        }
        let core = self.control.core();
        let more = core.explain_job(job.lease, job.cpu_cores).map_err(|_| unknown())?;
        let age = units::duration(
            Self::now().since(job.granted).as_nanos().try_into().unwrap_or(u64::MAX),
        );
        let waited = units::duration(job.waited_ms.saturating_mul(1_000_000));
        let first = format!("granted {age} ago, after a wait of {waited}");
        let lines = std::iter::once(first).chain(more).collect();
        Ok(ExplainedJob { connector: self.connectors.name(job.connector).to_owned(), lines })
    }

    fn set_profile(&mut self, call: &SetProfile<'_>) -> Result<ChangedProfile, ControlError> {
        let partial: Partial = serde_json::to_value(&call.profile)
            .and_then(serde_json::from_value)
            .map_err(|error| invalid("profile", &error.to_string()))?;
        let id = self
            .connector(&call.connector)
            .map_err(|error| invalid("connector", &error.to_string()))?;
        let source = call.source.as_deref();
        let now = Self::now();
        let Self { connectors, control, .. } = self;
        let changed = connectors
            .change(now, id, source, &partial, control)
            .map_err(|error| invalid("profile", &error.to_string()))?;
        self.carry_out(None);
        Ok(ChangedProfile { profile: shown(&changed) })
    }

    pub(super) fn drain(&mut self, name: Option<&str>, drained: bool) -> Result<u32, ControlError> {
        let connector = name.map(|name| self.known(name)).transpose()?;
        self.tell(Event::Drain { connector, drained });
        let running = self
            .jobs
            .values()
            .filter(|job| connector.is_none_or(|connector| job.connector == connector));
        Ok(u32::try_from(running.count()).unwrap_or(u32::MAX))
    }

    fn providers_now(&self) -> Vec<Provider> {
        let all = self.providers.iter();
        all.filter_map(|(number, name)| {
            let state = self.ledger().provider(crate::model::ProviderId(number)).ok()?;
            Some(Provider {
                provider: name.to_owned(),
                cap: state.cap,
                in_use: state.in_use,
                waiting: state.waiting,
                closed_ms: words::ms(state.closed),
            })
        })
        .collect()
    }
}

/// A profile as the protocol has it: the same fields under the same names.
fn shown(profile: &ResourceProfile) -> Profile {
    let value = serde_json::to_value(Partial::from(profile));
    value.and_then(serde_json::from_value).unwrap_or_default()
}
