//! Threads that take one job after another. Once such a thread is known, it changes jobs without a
//! system call.

use std::collections::HashMap;

use profiler_common::{JobRef, TagMode};

use crate::kernel::{Attribution, TagError, Tasks, Worker};
use crate::model::LeaseId;

/// Threads that worked for some lease, by thread id.
#[derive(Debug, Default)]
pub(super) struct Workers {
    known: HashMap<u32, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    worker: Worker,
    /// What it works for now.
    lease: Option<LeaseId>,
}

impl Workers {
    /// The lease that a live thread with this id works for.
    pub(super) fn works_for(&self, attribution: &Attribution, tid: u32) -> Option<LeaseId> {
        let known = self.known.get(&tid).filter(|known| attribution.is_alive(&known.worker))?;
        known.lease
    }

    /// Whether a thread is known and lives.
    pub(super) fn knows(&self, attribution: &Attribution, pid: u32, tid: u32) -> bool {
        self.known
            .get(&tid)
            .is_some_and(|known| known.worker.pid == pid && attribution.is_alive(&known.worker))
    }

    /// Has a thread work for a job. `None` if it is counted but cannot change jobs.
    pub(super) fn employ(
        &mut self,
        attribution: &mut Attribution,
        tid: u32,
        lease: LeaseId,
        job: JobRef,
    ) -> Result<Option<Worker>, TagError> {
        if let Some(known) = self.known.get_mut(&tid) {
            let is_free = known.lease.is_none();
            if attribution.is_alive(&known.worker) && !is_free {
                return Err(TagError::Taken);
            }
            if is_free && attribution.reassign(&known.worker, Some(job)).is_ok() {
                known.lease = Some(lease);
                return Ok(Some(known.worker));
            }
        }
        let worker = attribution.enlist(tid, job)?;
        if let Some(worker) = worker {
            self.known.insert(tid, Known { worker, lease: Some(lease) });
        }
        Ok(worker)
    }

    /// Takes up a thread that worked for a lease before a restart.
    pub(super) fn restore(&mut self, worker: Worker, lease: LeaseId) {
        self.known.insert(worker.tid, Known { worker, lease: Some(lease) });
    }

    /// Takes up a thread that was between two jobs.
    pub(super) fn restore_idle(&mut self, worker: Worker) {
        self.known.insert(worker.tid, Known { worker, lease: None });
    }

    /// Has a thread work for nobody.
    pub(super) fn rest(&mut self, attribution: &mut Attribution, worker: &Worker) {
        // An error says that it ended, and then its end was the last job's.
        if attribution.reassign(worker, None).is_err() {
            self.known.remove(&worker.tid);
        } else if let Some(known) = self.known.get_mut(&worker.tid) {
            known.lease = None;
        }
    }

    /// Takes the tags off a process's threads that work for nobody.
    pub(super) fn dismiss_idle(&mut self, attribution: &mut Attribution, pid: u32, job: JobRef) {
        let idle: Vec<u32> = self
            .known
            .values()
            .filter(|known| known.lease.is_none() && known.worker.pid == pid)
            .map(|known| known.worker.tid)
            .collect();
        for tid in idle {
            self.known.remove(&tid);
            // An error says that it has ended.
            let _ = attribution.tag(Tasks::Thread(tid), job, TagMode::Remove);
        }
    }

    /// Forgets threads that have ended.
    pub(super) fn sweep(&mut self, attribution: &Attribution) {
        self.known.retain(|_, known| attribution.is_alive(&known.worker));
    }
}
