//! What a worker does with the leases that it holds: takes them up again, reads what they cost, says
//! which tasks work for them. A lease is its connection's, or its process's once that is gone.

use profiler_client::protocol::{Attach, Detach, WorkerError};
use profiler_common::TagMode;

use super::Session;
use super::connectors::invalid;
use super::state::State;
use crate::control::Event;
use crate::kernel::{TagError, Tasks};
use crate::lease::LeaseState;
use crate::model::{LeaseId, Usage};

impl State {
    /// Something, if the lease is the caller's: of its connection, or an orphan of its process.
    pub(super) fn owned(&self, session: &Session, lease: LeaseId) -> Option<()> {
        let found = self.ledger().lease(lease)?;
        let is_orphan = found.state == LeaseState::Orphaned;
        (found.owner == session.owner || is_orphan && self.had((&session.caller).into(), lease))
            .then_some(())
    }

    /// What a job used so far.
    pub(super) fn peek(&self, lease: LeaseId) -> Option<Usage> {
        self.jobs.get(&lease).map(|job| job.usage(&self.attribution))
    }

    /// Makes an orphan its worker's again.
    pub(super) fn resume(
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

    /// Has a thread or process work for a job.
    pub(super) fn attach(&mut self, session: &Session, call: &Attach) -> Result<(), WorkerError> {
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

    /// Has a thread or process work for a job no more.
    pub(super) fn detach(&mut self, session: &Session, call: &Detach) -> Result<(), WorkerError> {
        let (lease, tasks) = self.named(session, call.lease, call.tid, call.pid)?;
        let Self { jobs, attribution, workers, .. } = self;
        let job = jobs.get_mut(&lease).ok_or(WorkerError::NoSuchLease { lease: call.lease })?;
        job.dismiss(attribution, workers, tasks)
            .map_err(|error| refusal(&error, call.tid, call.pid))
    }

    /// The lease and the tasks that a call names, if the caller may name them.
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
}

/// What a worker is told where its thread or process cannot work for a job.
pub(super) fn refusal(error: &TagError, tid: Option<u32>, pid: Option<u32>) -> WorkerError {
    match error {
        TagError::Taken => WorkerError::TaskIsTaken { tid: tid.or(pid).unwrap_or(0) },
        error => {
            tracing::debug!(%error, tid, pid, "cannot change what tasks work for");
            WorkerError::NoSuchTask { tid, pid }
        }
    }
}
