//! Leases that their worker has forgotten.
//!
//! A worker whose connection ended while it waited for a slot, or whose agent was killed between a grant
//! and the reply, may hold a lease whose number it never learned. It shows when the worker asks for
//! another slot for the same thread or process: then the former one is over.

use super::job::{Holder, Members};
use super::state::State;
use super::tasks::Caller;
use crate::model::{LeaseId, Owner};

/// A process, for ever: its number may go to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    uid: u32,
    pid: u32,
    start_ticks: u64,
}

impl From<&Caller> for Identity {
    fn from(caller: &Caller) -> Self {
        Self { uid: caller.uid, pid: caller.pid, start_ticks: caller.start_ticks }
    }
}

impl From<&Holder> for Identity {
    fn from(holder: &Holder) -> Self {
        Self { uid: holder.uid, pid: holder.pid, start_ticks: holder.process_start_ticks }
    }
}

impl State {
    /// Whether a process had a lease, over whatever connection.
    pub(super) fn had(&self, process: Identity, lease: LeaseId) -> bool {
        self.jobs.get(&lease).is_some_and(|job| Identity::from(&job.holder) == process)
    }

    /// Ends leases of these tasks that their process has forgotten, as it asks for another one over the
    /// connection `by`. Whom that makes room for is to be carried out.
    ///
    /// This is done twice for each lease, and neither can do for the other. When the process asks, for
    /// what is over makes room, and lets a thread be taken that a forgotten lease has still. When it is
    /// granted, for an earlier call of the same process, over a connection that is gone, may have been
    /// granted first, and its job would keep the tasks.
    pub(super) fn end_forgotten(&mut self, members: Members, process: Identity, by: Owner) {
        let leases: Vec<LeaseId> = match members {
            Members::Thread { tid } => {
                self.workers.works_for(&self.attribution, tid).into_iter().collect()
            }
            _ => {
                let same = self.jobs.values().filter(|job| job.members == members);
                same.map(|job| job.lease).collect()
            }
        };
        for lease in leases {
            // What a connection asked for that is gone itself says nothing of what the process knows now.
            let is_late = || self.lines.get(&by).is_some_and(|line| line.is_cut());
            if self.had(process, lease) && self.is_cut_off(lease) && !is_late() {
                self.end(lease, None);
            }
        }
    }
}
