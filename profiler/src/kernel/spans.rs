//! Threads that work for one job after another.
//!
//! Such a thread keeps its tag and its entry. What changes is the span that is current: whose job
//! it works for, and where its figures stood when that began. All of it happens in mapped memory.
//! What one job's span ends with is what the next one begins with, so nothing is lost between two
//! jobs and nothing counts for both.

use std::mem::offset_of;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use profiler_common::task::ENDING;
use profiler_common::{
    Counters, JobEntry, JobRef, NO_ENTRY, Observed, Span, Spent, TagMode, TaskEntry, Total,
};

use super::bpf::Tasks;
use super::load::Attribution;
use super::mapped::{MappedArray, Plain};
use super::reader::monotonic_ns;
use super::running::charged_now;
use super::tagging::TagError;

/// A thread that has an entry of its own, in which it goes from job to job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    /// Index of its entry.
    pub entry: u32,
    /// Thread id, as the host numbers it.
    pub tid: u32,
    /// Process id, as the host numbers it.
    pub pid: u32,
    pub(super) start_boottime_ns: u64,
}

/// The thread has ended; what it spent went to the job that it worked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread has ended")]
pub struct Ended;

impl Attribution {
    /// Gives a thread that has no job yet an entry, and counts it, but not its address space, under
    /// this job from now on. `None` if all entries are taken: it counts all the same, under this
    /// job until it ends.
    ///
    /// # Errors
    /// As for [`Attribution::tag`].
    pub fn enlist(&mut self, tid: u32, job: JobRef) -> Result<Option<Worker>, TagError> {
        let tagged = self.request_tags(Tasks::Thread(tid), job, TagMode::Thread, 0)?;
        if tagged.changed == 0 {
            return Err(TagError::Taken);
        }
        let Some(entry) = tagged.entry.filter(|&entry| entry != NO_ENTRY) else {
            return Ok(None);
        };
        self.worker_at(entry).filter(|worker| worker.tid == tid).map(Some).ok_or(TagError::Gone)
    }

    /// From now on the thread works for this job, or for none; what it spent until now is the former
    /// job's. Returns what that was.
    ///
    /// # Errors
    /// If the thread has ended.
    pub fn reassign(&mut self, worker: &Worker, job: Option<JobRef>) -> Result<Spent, Ended> {
        let current = self.current(worker).ok_or(Ended)?;
        let before: Span = self.entries.part(worker.entry, span_at(current)).ok_or(Ended)?;
        let (now, observed) = self.stands(worker).ok_or(Ended)?;
        let now_ns = monotonic_ns();
        let spent = Spent {
            counters: now.since(&before.base),
            observed: observed.since(&before.observed_base),
            life_ns: now_ns.saturating_sub(before.began_ns),
        };
        let connector = job.map_or(0, |job| self.connector_of(job));
        let next = 3 - current;
        let span = Span {
            job: job.map_or(0, |job| job.0),
            connector,
            only_threads: 0,
            began_ns: now_ns,
            base: now,
            observed_base: observed,
        };
        self.entries.set_part(worker.entry, span_at(next), span);
        let joins = job.map(|job| (job, connector));
        let leaves = (before.job != 0).then_some((JobRef(before.job), before.connector));
        // The job that the thread goes to counts it before it is there: it might end at once.
        self.each_total(joins, |total| count_in(total, worker.tid == worker.pid));
        self.each_total(leaves, |total| total.begin_move());
        let place = self.entries.shared(worker.entry, offset_of!(TaskEntry, current));
        let is_done =
            place.is_some_and(|p| p.compare_exchange(current, next, SeqCst, SeqCst).is_ok());
        if is_done {
            self.each_total(leaves, |total| total.add(&spent));
        } else {
            self.each_total(leaves, |total| total.undo_move());
            self.each_total(joins, |total| count_out(total, worker.tid == worker.pid));
        }
        self.each_total(leaves, |total| total.finish_move());
        if is_done { Ok(spent) } else { Err(Ended) }
    }

    /// Whether the thread lives, and its entry is still its own.
    #[must_use]
    pub fn is_alive(&self, worker: &Worker) -> bool {
        self.current(worker).is_some()
    }

    /// What the entry's `current` says while the thread lives and has not begun to end.
    fn current(&self, worker: &Worker) -> Option<u64> {
        let part = |offset| self.entries.part::<u64>(worker.entry, offset);
        let ids = u64::from(worker.pid) << 32 | u64::from(worker.tid);
        let is_same = part(offset_of!(TaskEntry, tid))? == ids
            && part(offset_of!(TaskEntry, start_boottime_ns))? == worker.start_boottime_ns;
        let current = part(offset_of!(TaskEntry, current))?;
        let is_there = || {
            !self.is_sampled()
                || Self::sampled_now(worker.pid, worker.tid, worker.start_boottime_ns).is_some()
        };
        (is_same && current != 0 && current & ENDING == 0 && is_there()).then_some(current)
    }

    /// Where the thread's figures stand now. While it waits for our answer they stand still.
    fn stands(&self, worker: &Worker) -> Option<(Counters, Observed)> {
        let at = offset_of!(TaskEntry, progress);
        let at_now = at + offset_of!(profiler_common::Progress, now);
        let at_observed = at + offset_of!(profiler_common::Progress, observed);
        let mut now: Counters = self.entries.part(worker.entry, at_now)?;
        if self.is_sampled() {
            let found = Self::sampled_now(worker.pid, worker.tid, worker.start_boottime_ns)?;
            return Some((found, self.entries.part(worker.entry, at_observed)?));
        }
        if self.is_running(worker.tid)
            && let Some(charged) = charged_now(worker.pid, worker.tid)
        {
            now.cpu_ns = now.cpu_ns.max(charged.cpu_ns);
            now.run_queue_ns = now.run_queue_ns.max(charged.run_queue_ns);
        }
        Some((now, self.entries.part(worker.entry, at_observed)?))
    }

    fn is_running(&self, tid: u32) -> bool {
        let wanted = u64::from(tid) + 1;
        let at = offset_of!(profiler_common::CpuEntry, running);
        (0..self.cpus.len()).any(|cpu| self.cpus.part(cpu, at) == Some(wanted))
    }

    /// Counts a task that joins a job.
    pub(super) fn count_in(&self, job: JobRef, connector: u32, is_process: bool) {
        self.each_total(Some((job, connector)), |total| count_in(total, is_process));
    }

    /// Adds what a task spent that ended.
    pub(super) fn add_ended(&self, of: (JobRef, u32), spent: &Spent) {
        self.each_total(Some(of), |total| {
            total.begin_move();
            total.add(spent);
            total.finish_move();
        });
    }

    /// Does the same to the sums of a job, if it still has its slot, and of its connector.
    fn each_total(&self, of: Option<(JobRef, u32)>, mut each: impl FnMut(&TotalInPlace<'_>)) {
        let Some((job, connector)) = of else { return };
        let owner: Option<u64> = self.jobs.part(job.slot(), offset_of!(JobEntry, job));
        if owner == Some(job.0)
            && let Some(total) =
                TotalInPlace::of(&self.jobs, job.slot(), offset_of!(JobEntry, total))
        {
            each(&total);
        }
        if let Some(total) = TotalInPlace::of(&self.connectors, connector, 0) {
            each(&total);
        }
    }
}

const fn span_at(current: u64) -> usize {
    offset_of!(TaskEntry, spans) + TaskEntry::span_index(current) * size_of::<Span>()
}

/// Sums that the kernel half adds to, too: the same steps as in its `account.rs`.
struct TotalInPlace<'a> {
    words: &'a [AtomicU64],
}

impl<'a> TotalInPlace<'a> {
    fn of<T: Plain>(array: &'a MappedArray<T>, index: u32, offset: usize) -> Option<Self> {
        array.shared_words(index, offset, size_of::<Total>() / 8).map(|words| Self { words })
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        &self.words[offset / 8]
    }

    fn begin_move(&self) {
        self.word(offset_of!(Total, moves_begun)).fetch_add(1, SeqCst);
        self.word(offset_of!(Total, tasks_live)).fetch_sub(1, SeqCst);
    }

    fn undo_move(&self) {
        self.word(offset_of!(Total, tasks_live)).fetch_add(1, SeqCst);
    }

    fn finish_move(&self) {
        self.word(offset_of!(Total, moves_done)).fetch_add(1, SeqCst);
    }

    fn add(&self, spent: &Spent) {
        let first = offset_of!(Total, ended) / 8;
        for (sum, figure) in self.words[first..].iter().zip(spent.words()) {
            if figure != 0 {
                sum.fetch_add(figure, SeqCst);
            }
        }
    }
}

fn count_in(total: &TotalInPlace<'_>, is_process: bool) {
    total.word(offset_of!(Total, tasks)).fetch_add(1, SeqCst);
    total.word(offset_of!(Total, processes)).fetch_add(u64::from(is_process), SeqCst);
    let live = total.word(offset_of!(Total, tasks_live)).fetch_add(1, SeqCst) + 1;
    total.word(offset_of!(Total, tasks_peak)).fetch_max(live, SeqCst);
}

fn count_out(total: &TotalInPlace<'_>, is_process: bool) {
    total.word(offset_of!(Total, tasks)).fetch_sub(1, SeqCst);
    total.word(offset_of!(Total, processes)).fetch_sub(u64::from(is_process), SeqCst);
    total.word(offset_of!(Total, tasks_live)).fetch_sub(1, SeqCst);
}
