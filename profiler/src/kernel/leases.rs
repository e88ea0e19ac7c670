//! What the agent keeps in maps for the one that comes after it: names and leases. They change in
//! step with the figures that they belong to, and outlive the process like them.

use std::mem::offset_of;
use std::sync::atomic::{Ordering, fence};

use profiler_common::task::FREE;
use profiler_common::{JobEntry, JobRef, LeaseEntry, NO_ENTRY, Name, Span, TaskEntry};

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

    /// Threads that go from job to job and work for none now.
    #[must_use]
    pub fn idle_workers(&self) -> Vec<Worker> {
        let used = self.session.get(0).map_or(0, |session| session.entries_used);
        let used = u32::try_from(used).unwrap_or(u32::MAX).min(self.entries.len());
        (0..used)
            .filter(|&entry| self.job_at(entry) == Some(0))
            .filter_map(|entry| self.worker_at(entry))
            .filter(|worker| self.is_alive(worker))
            .collect()
    }

    /// The job that an entry's task works for: 0 for none, nothing if the entry is free.
    fn job_at(&self, entry: u32) -> Option<u64> {
        let current = self.entries.part(entry, offset_of!(TaskEntry, current))?;
        let span =
            offset_of!(TaskEntry, spans) + TaskEntry::span_index(current) * size_of::<Span>();
        (current != FREE).then(|| self.entries.part(entry, span + offset_of!(Span, job))).flatten()
    }

    /// Jobs that have their slot and no lease: whoever began them ended before they were of use to
    /// anybody.
    #[must_use]
    pub fn jobs_without_lease(&self) -> Vec<JobRef> {
        let job_of = |slot| self.jobs.part(slot, offset_of!(JobEntry, job)).map(JobRef);
        let leased = |job: JobRef| {
            let lease = self.leases.get(job.slot());
            lease.is_some_and(|lease| lease.lease != 0 && lease.job == job.0)
        };
        (0..self.jobs_used).filter_map(job_of).filter(|job| job.0 != 0 && !leased(*job)).collect()
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
