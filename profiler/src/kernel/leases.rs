//! What the agent keeps in maps for the one that comes after it: names and leases. They change in
//! step with the figures that they belong to, and outlive the process like them.

use std::mem::offset_of;
use std::sync::atomic::{Ordering, fence};

use profiler_common::{JobEntry, JobRef, LeaseEntry, NO_ENTRY, Name, TaskEntry};

use super::load::Attribution;
use super::spans::Worker;

impl Attribution {
    /// How many jobs there can be at once.
    #[must_use]
    pub fn job_capacity(&self) -> u32 {
        self.jobs.len()
    }

    /// How many connectors there can be.
    #[must_use]
    pub fn connector_capacity(&self) -> u32 {
        self.connectors.len()
    }

    /// Keeps a connector's name.
    pub fn keep_name(&mut self, connector: u32, name: &str) {
        self.names.set(connector, padded(name));
    }

    /// The names that were kept, by the connector's index.
    pub fn names(&self) -> impl Iterator<Item = (u32, String)> + '_ {
        (0..self.names.len()).filter_map(|index| {
            let name = text(&self.names.get(index)?);
            (!name.is_empty()).then_some((index, name))
        })
    }

    /// Keeps a lease under its job.
    pub fn keep_lease(&mut self, job: JobRef, lease: LeaseEntry) {
        let number = lease.lease;
        self.leases.set(job.slot(), LeaseEntry { lease: 0, job: job.0, ..lease });
        // Whoever finds the number finds the rest.
        fence(Ordering::SeqCst);
        self.leases.set_part(job.slot(), offset_of!(LeaseEntry, lease), number);
    }

    /// Forgets a job's lease.
    pub fn forget_lease(&mut self, job: JobRef) {
        self.leases.set_part(job.slot(), offset_of!(LeaseEntry, lease), 0_u64);
    }

    /// The leases that were kept, with their jobs, as long as these have their slots.
    #[must_use]
    pub fn leases(&self) -> Vec<(JobRef, LeaseEntry)> {
        let kept = (0..self.jobs_used).filter_map(|slot| self.leases.get(slot));
        kept.filter(|lease| lease.lease != 0)
            .map(|lease| (JobRef(lease.job), lease))
            .filter(|(job, _)| self.has_job(*job))
            .collect()
    }

    /// Whether a job has its slot.
    #[must_use]
    pub fn has_job(&self, job: JobRef) -> bool {
        self.jobs.part(job.slot(), offset_of!(JobEntry, job)) == Some(job.0)
    }

    /// The worker whose entry a lease names, if it lives.
    #[must_use]
    pub fn worker_of(&self, lease: &LeaseEntry) -> Option<Worker> {
        if lease.entry == NO_ENTRY {
            return None;
        }
        let worker = self.worker_at(lease.entry)?;
        (worker.tid == lease.tid && self.is_alive(&worker)).then_some(worker)
    }

    /// The worker that has an entry, whoever that is.
    pub(super) fn worker_at(&self, entry: u32) -> Option<Worker> {
        let ids: u64 = self.entries.part(entry, offset_of!(TaskEntry, tid))?;
        let start_boottime_ns =
            self.entries.part(entry, offset_of!(TaskEntry, start_boottime_ns))?;
        Some(Worker { entry, tid: ids as u32, pid: (ids >> 32) as u32, start_boottime_ns })
    }
}

/// A name as it is kept; what is too long is cut, which whoever lets names in prevents.
#[must_use]
pub fn padded(name: &str) -> Name {
    let mut padded = [0; 64];
    for (place, byte) in padded.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    padded
}

/// A name that was kept.
#[must_use]
pub fn text(name: &Name) -> String {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}
