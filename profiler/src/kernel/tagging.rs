//! Jobs and their tasks: taking a job slot, putting tags on tasks, giving the slot back.

use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;

use profiler_common::{Held, JobEntry, JobRef, TagMode, TagRequest};

use super::bpf::{Tasks, iterate};
use super::load::{Attribution, TAG_PROGRAM};
use super::reader::monotonic_ns;
use super::running::bring_up_to_date;

/// How often tasks are looked for that were born while others were taken off their job.
const MOST_ROUNDS: u32 = 100;

/// Why a job could not begin.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// All slots are taken.
    #[error("all {0} job slots are taken")]
    Full(u32),
    /// There is no such connector.
    #[error("no connector has the index {0}")]
    Connector(u32),
}

/// Why tasks could not be tagged.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// There is no such thread or process.
    #[error("no such thread or process")]
    Gone,
    /// It is ending: a zombie, or on its way there.
    #[error("it is ending")]
    Ending,
    /// It works for another job.
    #[error("it works for another job")]
    Taken,
    /// The kernel had no memory for a tag.
    #[error("the kernel had no memory to tag {0} tasks")]
    NoMemory(u64),
    /// The kernel refused.
    #[error("cannot iterate over tasks: {0}")]
    Kernel(#[source] io::Error),
}

/// What tagging did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// Tasks that were changed.
    pub changed: u64,
    /// Tasks that already were as asked.
    pub unchanged: u64,
    /// Index of the entry of the last one that was changed.
    pub(super) entry: Option<u32>,
}

impl Attribution {
    /// Takes a free job slot. Its figures start at 0.
    ///
    /// # Errors
    /// When all slots are taken, or for a connector beyond the capacity.
    pub fn begin_job(&mut self, connector: u32) -> Result<JobRef, JobError> {
        if connector >= self.connectors.len() {
            return Err(JobError::Connector(connector));
        }
        let slot = match self.free_jobs.pop() {
            Some(slot) => slot,
            None if self.jobs_used < self.jobs.len() => {
                self.jobs_used += 1;
                self.jobs_used - 1
            }
            None => return Err(JobError::Full(self.jobs.len())),
        };
        let (_, last_generation) = self.connector_and_generation(slot);
        let job = JobRef::new(slot, last_generation.wrapping_add(1).max(1));
        let held = Held::from(monotonic_ns() / 1000);
        self.jobs.set(slot, JobEntry::new(Some(job), connector, 0, held));
        Ok(job)
    }

    /// Finds which slots a former process left free.
    pub(super) fn find_free_jobs(&mut self) {
        let owner = |slot: u32| self.jobs.part(slot, offset_of!(JobEntry, job)).unwrap_or(0_u64);
        let is_taken = |slot: &u32| owner(*slot) != 0;
        let used = (0..self.jobs.len()).rev().find(is_taken).map_or(0, |last| last + 1);
        self.free_jobs = (0..used).rev().filter(|slot| !is_taken(slot)).collect();
        self.jobs_used = used;
    }

    /// The connector under which the job that has this slot counts.
    pub(super) fn connector_of(&self, job: JobRef) -> u32 {
        self.connector_and_generation(job.slot()).0
    }

    /// The two share a word. All of an entry is 2 KB, too much to copy at each call of a worker.
    fn connector_and_generation(&self, slot: u32) -> (u32, u32) {
        let both = self.jobs.part(slot, offset_of!(JobEntry, connector)).unwrap_or(0_u64);
        (both as u32, (both >> 32) as u32)
    }

    /// Gives a job's slot back. Tasks of the job that still run are charged to nobody from now on,
    /// and counted as lost when they end.
    pub fn end_job(&mut self, job: JobRef) {
        if self.jobs.part(job.slot(), offset_of!(JobEntry, job)) == Some(job.0) {
            self.free_jobs.push(job.slot());
            // What else is there is cleared for the next job.
            let last_generation = u64::from(job.generation()) << 32;
            self.jobs.set_part(job.slot(), offset_of!(JobEntry, connector), last_generation);
            self.jobs.set_part(job.slot(), offset_of!(JobEntry, job), 0_u64);
        }
    }

    /// Takes all tasks off a job: what they spent so far is part of its total. Tasks that are born
    /// meanwhile are looked for until none is left.
    ///
    /// # Errors
    /// As for [`Attribution::tag`]; a task that ends meanwhile is no error.
    pub fn untag_all(&mut self, job: JobRef) -> Result<(), TagError> {
        for _ in 0..MOST_ROUNDS {
            let tasks = self.job(job).map(|(_, tasks)| tasks).unwrap_or_default();
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                // What it runs right now is part of what it spent.
                bring_up_to_date(task.pid);
                match self.tag(Tasks::Thread(task.tid), job, TagMode::Remove) {
                    Ok(_) | Err(TagError::Gone | TagError::Ending) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Changes the tags of the given tasks.
    ///
    /// # Errors
    /// See [`TagError`]. Tasks that already were as asked are no error.
    pub fn tag(&mut self, tasks: Tasks, job: JobRef, mode: TagMode) -> Result<Tagged, TagError> {
        self.request_tags(tasks, job, mode, 0)
    }

    /// Counts all threads of a process from now on, and what they start as `mode` says. Threads born
    /// meanwhile of threads that had no tag yet are looked for until none turns up, and count from
    /// their birth.
    ///
    /// # Errors
    /// As for [`Attribution::tag`].
    pub fn tag_process(
        &mut self,
        pid: u32,
        job: JobRef,
        mode: TagMode,
    ) -> Result<Tagged, TagError> {
        let since_ns = monotonic_ns();
        let mut tagged = Tagged::default();
        loop {
            let round = self.request_tags(Tasks::Process(pid), job, mode, since_ns)?;
            tagged.changed += round.changed;
            if round.changed == 0 {
                return Ok(tagged);
            }
        }
    }

    pub(super) fn request_tags(
        &mut self,
        tasks: Tasks,
        job: JobRef,
        mode: TagMode,
        since_ns: u64,
    ) -> Result<Tagged, TagError> {
        let connector = self.connector_of(job);
        let (tag_mode, mode) = (mode, mode as u32);
        let request = TagRequest { job: job.0, connector, mode, since_ns, ..TagRequest::default() };
        if self.is_sampled() {
            let answer = self.tag_sampled(tasks, request, tag_mode)?;
            return tagged(&answer);
        }
        self.request.set(0, request);
        let Some(program) = self.programs.get(TAG_PROGRAM) else {
            return Err(TagError::Kernel(io::ErrorKind::NotFound.into()));
        };
        iterate(program.as_fd(), tasks).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => TagError::Gone,
            _ => TagError::Kernel(error),
        })?;
        tagged(&self.request.get(0).unwrap_or_default())
    }
}

/// What came of a request.
fn tagged(answer: &TagRequest) -> Result<Tagged, TagError> {
    match answer {
        TagRequest { failed: 1.., .. } => Err(TagError::NoMemory(answer.failed)),
        TagRequest { changed: 0, unchanged: 0, ending: 0, .. } => Err(TagError::Gone),
        TagRequest { changed: 0, unchanged: 0, .. } => Err(TagError::Ending),
        _ => Ok(Tagged {
            changed: answer.changed,
            unchanged: answer.unchanged,
            entry: u32::try_from(answer.entry).ok(),
        }),
    }
}
