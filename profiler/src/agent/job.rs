//! Jobs: which tasks work for a lease, and what they used.

use std::time::{SystemTime, UNIX_EPOCH};

use profiler_common::{JobRef, LeaseEntry, Lost, NO_ENTRY, Spent, TagMode};

use super::samples::{CpuPeak, Seen, spent};
use super::workers::Workers;
use crate::kernel::{
    Attribution, JobError, JobSnapshot, LiveTask, Period, TagError, Tasks, Worker, monotonic_ns,
};
use crate::model::{ConnectorId, JobSample, LeaseId, Moment, Priority, Usage};

/// Whose work is the job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Members {
    /// One thread, and what it starts.
    Thread {
        /// As the host numbers it.
        tid: u32,
    },
    /// All threads of a process.
    Process {
        /// As the host numbers it.
        pid: u32,
    },
    /// All threads of a process, and what it starts.
    Tree {
        /// As the host numbers it.
        pid: u32,
    },
    /// What a process starts, without the process itself.
    Children {
        /// The process, as the host numbers it.
        pid: u32,
    },
}

/// Who asked for a lease, and what people call it.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) uid: u32,
    pub(super) pid: u32,
    pub(super) process_start_ticks: u64,
    pub(super) source: Option<Box<str>>,
    pub(super) label: Option<Box<str>>,
    pub(super) priority: Priority,
}

/// A lease that was granted, with the job that its tasks work for.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) lease: LeaseId,
    pub(super) job: JobRef,
    pub(super) connector: ConnectorId,
    pub(super) holder: Holder,
    pub(super) members: Members,
    /// Threads that go from job to job, and work for this one.
    pub(super) workers: Vec<Worker>,
    pub(super) granted: Moment,
    pub(super) began_unix_ms: u64,
    pub(super) waited_ms: u64,
    /// What was lost before it began.
    pub(super) lost_before: Lost,
    /// Where it stood at the last look.
    pub(super) seen: Seen,
    /// CPUs in use between the last two looks.
    pub(super) cpu_cores: Option<f64>,
    /// The most of them.
    pub(super) cpu_peak: CpuPeak,
}

/// Why a job could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    /// All job slots are taken.
    #[error("{0}")]
    Full(#[from] JobError),
    /// Its tasks cannot be counted.
    #[error("{0}")]
    Tasks(#[from] TagError),
}

impl Members {
    const fn scope(self) -> u32 {
        match self {
            Self::Thread { .. } => 0,
            Self::Process { .. } => 1,
            Self::Tree { .. } => 2,
            Self::Children { .. } => 3,
        }
    }

    const fn id(self) -> u32 {
        match self {
            Self::Thread { tid } => tid,
            Self::Process { pid } | Self::Tree { pid } | Self::Children { pid } => pid,
        }
    }

    /// As noted with a lease.
    pub(super) const fn of_scope(scope: u32, tid: u32, pid: u32) -> Self {
        match scope {
            0 => Self::Thread { tid },
            1 => Self::Process { pid },
            2 => Self::Tree { pid },
            _ => Self::Children { pid },
        }
    }
}

impl Job {
    /// Begins to count: from here on what the members do is the job's.
    pub(super) fn begin(
        attribution: &mut Attribution,
        workers: &mut Workers,
        lease: LeaseId,
        connector: ConnectorId,
        members: Members,
        holder: Holder,
    ) -> Result<Self, BeginError> {
        let job = attribution.begin_job(connector.0)?;
        let lost_before = attribution.lost();
        let now = Moment(monotonic_ns());
        let mut begun = Self {
            lease,
            job,
            connector,
            holder,
            members,
            workers: Vec::new(),
            granted: now,
            began_unix_ms: unix_ms(),
            waited_ms: 0,
            lost_before,
            seen: Seen { at: now, spent: Spent::default() },
            cpu_cores: None,
            cpu_peak: CpuPeak::new(now, 0),
        };
        let joined = match members {
            Members::Thread { tid } => begun.employ(attribution, workers, tid),
            Members::Process { pid } => begun.take_in(attribution, workers, pid, TagMode::Process),
            Members::Tree { pid } => begun.take_in(attribution, workers, pid, TagMode::Count),
            Members::Children { pid } => begun.take_in(attribution, workers, pid, TagMode::Parent),
        };
        if let Err(error) = joined {
            begun.let_go(attribution, workers);
            attribution.end_job(job);
            return Err(error.into());
        }
        Ok(begun)
    }

    /// A thread works for the job from now on.
    pub(super) fn employ(
        &mut self,
        attribution: &mut Attribution,
        workers: &mut Workers,
        tid: u32,
    ) -> Result<(), TagError> {
        if let Some(worker) = workers.employ(attribution, tid, self.lease, self.job)? {
            self.workers.push(worker);
        }
        Ok(())
    }

    /// All threads of a process work for the job from now on.
    pub(super) fn take_in(
        &mut self,
        attribution: &mut Attribution,
        workers: &mut Workers,
        pid: u32,
        mode: TagMode,
    ) -> Result<(), TagError> {
        workers.dismiss_idle(attribution, pid, self.job);
        attribution.tag_process(pid, self.job, mode).and_then(|tagged| {
            // Threads that were as asked already work for somebody else.
            if tagged.changed == 0 { Err(TagError::Taken) } else { Ok(()) }
        })
    }

    /// A thread or process works for the job no more.
    pub(super) fn dismiss(
        &mut self,
        attribution: &mut Attribution,
        workers: &mut Workers,
        tasks: Tasks,
    ) -> Result<(), TagError> {
        if let Tasks::Thread(tid) = tasks
            && let Some(at) = self.workers.iter().position(|worker| worker.tid == tid)
        {
            let worker = self.workers.swap_remove(at);
            workers.rest(attribution, &worker);
            return Ok(());
        }
        attribution.tag(tasks, self.job, TagMode::Remove).map(drop)
    }

    /// Notes the lease where the next agent finds it.
    pub(super) fn keep(&self, attribution: &mut Attribution, names: (&str, u64)) {
        let (connector, reserved_memory_bytes) = names;
        let worker = self.workers.first();
        let text = |name: &Option<Box<str>>| crate::kernel::padded(name.as_deref().unwrap_or(""));
        attribution.keep_lease(
            self.job,
            LeaseEntry {
                lease: self.lease.0,
                job: self.job.0,
                uid: self.holder.uid,
                pid: self.holder.pid,
                process_start_ticks: self.holder.process_start_ticks,
                scope: self.members.scope(),
                priority: self.holder.priority as u32,
                tid: self.members.id(),
                entry: worker.map_or(NO_ENTRY, |worker| worker.entry),
                reserved_memory_bytes,
                began_ns: self.granted.0,
                began_unix_ms: self.began_unix_ms,
                waited_ns: self.waited_ms * 1_000_000,
                connector: crate::kernel::padded(connector),
                source: text(&self.holder.source),
                label: text(&self.holder.label),
            },
        );
    }

    /// What the job used so far.
    pub(super) fn usage(&self, attribution: &Attribution) -> Usage {
        match attribution.job(self.job) {
            Some((figures, live)) => {
                self.usage_of(attribution, &figures, &live, Moment(monotonic_ns()))
            }
            None => Usage::unknown(attribution.source()),
        }
    }

    fn usage_of(
        &self,
        attribution: &Attribution,
        figures: &JobSnapshot,
        live: &[LiveTask],
        read: Moment,
    ) -> Usage {
        let known = attribution.known();
        let read_ns = read.0;
        let wall_ns = read_ns.saturating_sub(self.granted.0);
        let lost = attribution.lost_since(&self.lost_before);
        let usage = Usage {
            lost: lost.map(|(cause, count)| (cause.to_owned(), count)).collect(),
            ..figures.usage(live, Period { wall_ns, read_ns }, &known)
        };
        let usage = if attribution.is_sampled() { usage.sampled() } else { usage };
        match self.members {
            // Threads of one process share its memory: there is no part that is this one's.
            Members::Thread { .. } => usage.with_memory(None),
            _ => usage,
        }
    }

    /// Whether a task still works for it.
    pub(super) fn has_tasks(&self, attribution: &Attribution) -> bool {
        attribution.has_tasks(self.job)
    }

    /// Ends the count: gives the final record, what it did since the last look, and the job's slot
    /// back.
    pub(super) fn end(
        &mut self,
        attribution: &mut Attribution,
        workers: &mut Workers,
    ) -> (Usage, Option<JobSample>) {
        self.let_go(attribution, workers);
        let ended = attribution.job(self.job).map(|(figures, live)| {
            let now = Moment(monotonic_ns());
            let known = attribution.known();
            let usage = self.usage_of(attribution, &figures, &live, now);
            let spent = spent(&figures, &live);
            (usage, self.sample(now, &spent, &figures.held, figures.tasks_live, &known))
        });
        attribution.forget_lease(self.job);
        attribution.end_job(self.job);
        match ended {
            Some(ended) => ended,
            None => (Usage::unknown(attribution.source()), None),
        }
    }

    fn let_go(&mut self, attribution: &mut Attribution, workers: &mut Workers) {
        for worker in self.workers.drain(..) {
            workers.rest(attribution, &worker);
        }
        if let Members::Children { pid } = self.members {
            // What it starts from now on is nobody's. An error says that it has ended.
            let _ = attribution.tag(Tasks::Process(pid), self.job, TagMode::Remove);
        }
        if self.has_tasks(attribution)
            && let Err(error) = attribution.untag_all(self.job)
        {
            tracing::warn!(lease = self.lease.0, %error, "cannot take all tasks off a job");
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
