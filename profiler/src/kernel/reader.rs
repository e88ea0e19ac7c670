//! Reading every figure at one moment, from mapped memory.
//!
//! A job's figures are what its tasks that ended left in its total, plus what each live task has in
//! its entry, plus the slice of the at most one task per CPU that is on it. No system call is made
//! per job or task; a few are per CPU that is busy with one.

use std::collections::{BTreeMap, HashMap};
use std::mem::{MaybeUninit, offset_of};

use profiler_common::task::FREE;
use profiler_common::{
    Comm, Counters, DeviceUse, Held, JobEntry, JobRef, MemoryUse, Progress, Span, Spent, TaskEnded,
    TaskEntry, Total,
};
use rustix::time::{ClockId, clock_gettime};

use super::load::{Attribution, Ends};
use super::running::{add_running_slice, add_unseen_slice, unseen_switches};
use crate::model::LatencyHistogram;

/// How often a job's figures are read again because a task of it ended meanwhile.
const TRIES: u32 = 64;

/// All figures at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken (`CLOCK_MONOTONIC`).
    pub taken_ns: u64,
    /// The jobs that have a slot, in the order of slots.
    pub jobs: Vec<JobSnapshot>,
    /// Live tasks of these jobs.
    pub tasks: Vec<LiveTask>,
    /// Jobs of which tasks ended so fast, one after another, that a task may be missing in the sum
    /// at this moment. It will be there at the next one.
    pub unsettled: u64,
}

/// A job at one moment.
#[derive(Clone, Copy, Debug)]
pub struct JobSnapshot {
    /// The job.
    pub job: JobRef,
    /// Its connector.
    pub connector: u32,
    /// Tasks seen in all.
    pub tasks: u64,
    /// Tasks alive now.
    pub tasks_live: u64,
    /// Most tasks alive at once.
    pub tasks_peak: u64,
    /// Processes seen in all.
    pub processes: u64,
    /// What the tasks that ended spent; the live ones are in [`Snapshot::tasks`].
    pub ended: Spent,
    /// How long requests took that its tasks started at leaf devices.
    pub device_latency: LatencyHistogram,
    /// Memory that its address spaces hold.
    pub held: Held,
    /// How many tasks had ended, unless one was ending right then.
    moves: Option<u64>,
}

/// A live task at one moment.
#[derive(Clone, Copy, Debug)]
pub struct LiveTask {
    /// Its job.
    pub job: JobRef,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// With `tid` it identifies the task.
    pub start_boottime_ns: u64,
    /// With `pid` it identifies the process.
    pub process_start_boottime_ns: u64,
    /// When it began to count (`CLOCK_MONOTONIC`).
    pub began_ns: u64,
    /// The name that it has now.
    pub comm: Comm,
    /// Address of its address space, 0 if that is not counted.
    mm: u64,
    /// What it spent under the job so far, the slice that it is running included.
    pub spent: Spent,
    /// Address spaces of which it was the last user; see [`Attribution::add_live_memory`].
    pub memory: MemoryUse,
}

impl Attribution {
    /// Reads all figures. No task is counted twice or missed, whatever ends meanwhile.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let taken = (0..self.jobs_used).filter(|slot| {
            self.jobs.part(*slot, offset_of!(JobEntry, job)).is_some_and(|job: u64| job != 0)
        });
        self.snapshot_of(self.read_jobs(taken))
    }

    /// Reads the figures of one job, if it has its slot. While none of its tasks lives that takes no
    /// look at others' tasks.
    #[must_use]
    pub fn job(&self, job: JobRef) -> Option<(JobSnapshot, Vec<LiveTask>)> {
        let found = JobSnapshot::of(&self.jobs.get(job.slot())?);
        if found.job != job {
            return None;
        }
        if found.tasks_live == 0 && self.is_settled(&found) {
            return Some((found, Vec::new()));
        }
        let snapshot = self.snapshot_of(vec![found]);
        snapshot.jobs.first().map(|found| (*found, snapshot.tasks))
    }

    /// Whether a task of the job lives.
    #[must_use]
    pub fn has_tasks(&self, job: JobRef) -> bool {
        let part = |offset| self.jobs.part::<u64>(job.slot(), offset);
        let tasks_live = offset_of!(JobEntry, total) + offset_of!(Total, tasks_live);
        part(offset_of!(JobEntry, job)) == Some(job.0)
            && part(tasks_live).is_some_and(|live| live > 0)
    }

    fn read_jobs(&self, slots: impl Iterator<Item = u32>) -> Vec<JobSnapshot> {
        slots.filter_map(|slot| self.jobs.get(slot)).map(|entry| JobSnapshot::of(&entry)).collect()
    }

    /// With thousands of jobs and tasks, time is what is copied: each figure is copied out once, and
    /// once more only where a task ended meanwhile.
    fn snapshot_of(&self, mut open: Vec<JobSnapshot>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for attempt in 1..=TRIES {
            snapshot.taken_ns = monotonic_ns();
            let mut tasks = self.live_tasks(&open, snapshot.taken_ns);
            let mut moved: Vec<JobRef> =
                open.iter().filter(|job| !self.is_settled(job)).map(|job| job.job).collect();
            if attempt == TRIES {
                snapshot.unsettled = moved.len() as u64;
                moved.clear();
            }
            if !moved.is_empty() {
                moved.sort_unstable();
                let stays = |job: &JobRef| moved.binary_search(job).is_err();
                open.retain(|job| stays(&job.job));
                tasks.retain(|task| stays(&task.job));
            }
            append(&mut snapshot.jobs, open);
            append(&mut snapshot.tasks, tasks);
            // The jobs in which a task ended while we looked are read once more.
            open = self.read_jobs(moved.iter().map(|job| job.slot()));
            if open.is_empty() {
                if attempt > 1 {
                    snapshot.jobs.sort_unstable_by_key(|job| job.job.slot());
                }
                break;
            }
        }
        snapshot
    }

    /// Adds to a snapshot what live address spaces hold, each to one of the tasks that live in it.
    pub fn add_live_memory(&self, snapshot: &mut Snapshot) {
        let now_us = snapshot.taken_ns / 1000;
        let mut spaces: HashMap<u64, MemoryUse> = (0..self.memory.len())
            .filter_map(|index| self.memory.get(index))
            .filter(|space| space.mm != 0)
            .map(|space| (space.mm, space.held.up_to(now_us)))
            .collect();
        for task in &mut snapshot.tasks {
            if let Some(memory) = spaces.remove(&task.mm) {
                task.memory.add(&memory);
            }
        }
    }

    /// What each disk did for jobs, under its major and minor number.
    #[must_use]
    pub fn devices(&self) -> BTreeMap<(u32, u32), DeviceUse> {
        let mut devices: BTreeMap<_, DeviceUse> = BTreeMap::new();
        let used = (0..self.devices.len()).filter_map(|index| self.devices.get(index));
        for entry in used.filter(|entry| entry.device != 0) {
            let device = entry.device as u32;
            devices.entry((device >> 20, device & 0xf_ffff)).or_default().add(&entry.total);
        }
        devices
    }

    /// The sums over all tasks that ended under a connector, past jobs included, with its counts.
    #[must_use]
    pub fn connector(&self, connector: u32) -> Option<Total> {
        self.connectors.get(connector)
    }

    /// Hands over the ends of tasks that came since the last call, oldest first.
    pub fn drain_ended(&mut self, mut each: impl FnMut(&TaskEnded)) {
        let Ends::Kernel(ended) = &mut self.ends else {
            self.sample().iter().for_each(each);
            return;
        };
        while let Some(item) = ended.next() {
            let mut event = MaybeUninit::<TaskEnded>::uninit();
            let size = size_of::<TaskEnded>().min(item.len());
            // SAFETY: both are at least `size` bytes long and apart.
            unsafe { item.as_ptr().copy_to_nonoverlapping(event.as_mut_ptr().cast(), size) };
            if size == size_of::<TaskEnded>() {
                // SAFETY: all of it was written, and any bit pattern is a `TaskEnded`.
                each(unsafe { event.assume_init_ref() });
            }
        }
    }

    /// Whether no task of the job ended while it and its tasks were read.
    fn is_settled(&self, before: &JobSnapshot) -> bool {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let slot = before.job.slot();
        let job: Option<u64> = self.jobs.part(slot, offset_of!(JobEntry, job));
        if job != Some(before.job.0) {
            return true;
        }
        let now: Option<Total> = self.jobs.part(slot, offset_of!(JobEntry, total));
        now.is_none_or(|now| before.moves == Some(now.moves_begun) && now.ended == before.ended)
    }

    /// The live tasks of the given jobs.
    fn live_tasks(&self, jobs: &[JobSnapshot], now_ns: u64) -> Vec<LiveTask> {
        let mut wanted = vec![0; self.jobs.len() as usize];
        for JobSnapshot { job, .. } in jobs {
            if let Some(place) = wanted.get_mut(job.slot() as usize) {
                *place = job.0;
            }
        }
        let is_wanted =
            |job: u64| job != 0 && wanted.get(JobRef(job).slot() as usize) == Some(&job);
        let running = self.running();
        let used = self.session.get(0).map_or(0, |session| session.entries_used);
        let used = u32::try_from(used).unwrap_or(u32::MAX).min(self.entries.len());
        let expected: u64 = jobs.iter().map(|job| job.tasks_live).sum();
        let mut tasks = Vec::with_capacity(expected.min(used.into()) as usize);
        let mut unseen = None;
        for mut task in (0..used).filter_map(|index| self.listed(index, is_wanted)) {
            let (left, ids) = (task.progress.now, (task.pid, task.tid));
            if self.is_sampled() {
                let now = Self::sampled_now(task.pid, task.tid, task.start_boottime_ns);
                task.progress.now = now.unwrap_or(left);
            } else if let Ok(at) = running.binary_search_by_key(&task.tid, |&(tid, _)| tid) {
                add_running_slice(&mut task.progress, ids, task.span.job, running[at].1);
            } else if task.progress.slept == 0 {
                let unseen = unseen.get_or_insert_with(|| unseen_switches(&running));
                add_unseen_slice(&mut task.progress, ids, task.span.job, unseen);
            }
            add_block_wait(&mut task.progress, &left, now_ns);
            tasks.push(LiveTask::of(&task, now_ns));
        }
        tasks
    }

    /// A live task of a job that is wanted. The parts of the entry that say nothing of its job now
    /// are not even looked at: there may be tens of thousands.
    fn listed(&self, index: u32, is_wanted: impl Fn(u64) -> bool) -> Option<Listed> {
        let current: u64 = self.entries.part(index, offset_of!(TaskEntry, current))?;
        if current == FREE {
            return None;
        }
        let spans =
            offset_of!(TaskEntry, spans) + TaskEntry::span_index(current) * size_of::<Span>();
        let job: u64 = self.entries.part(index, spans + offset_of!(Span, job))?;
        if !is_wanted(job) {
            return None;
        }
        let part = |offset| self.entries.part::<u64>(index, offset);
        let halves = |offset| part(offset).map(|both| (both as u32, (both >> 32) as u32));
        let (tid, pid) = halves(offset_of!(TaskEntry, tid))?;
        let (parent, _) = halves(offset_of!(TaskEntry, parent))?;
        let mut comm = [0; 16];
        comm[..8].copy_from_slice(&part(offset_of!(TaskEntry, comm))?.to_ne_bytes());
        comm[8..].copy_from_slice(&part(offset_of!(TaskEntry, comm) + 8)?.to_ne_bytes());
        Some(Listed {
            tid,
            pid,
            parent,
            start_boottime_ns: part(offset_of!(TaskEntry, start_boottime_ns))?,
            process_start_boottime_ns: part(offset_of!(TaskEntry, process_start_boottime_ns))?,
            comm,
            span: self.entries.part(index, spans)?,
            progress: self.entries.part(index, offset_of!(TaskEntry, progress))?,
        })
    }

    /// Thread ids of the tasks on a CPU, in order, each with the job that held its CPU before.
    fn running(&self) -> Vec<(u32, u64)> {
        let mut running: Vec<_> = (0..self.cpus.len())
            .filter_map(|cpu| self.cpus.get(cpu))
            .filter_map(|cpu| Some((u32::try_from(cpu.running.checked_sub(1)?).ok()?, cpu.before)))
            .filter(|&(tid, _)| tid != 0)
            .collect();
        running.sort_unstable();
        running
    }
}

/// What an entry says of a live task of some job.
struct Listed {
    tid: u32,
    pid: u32,
    parent: u32,
    start_boottime_ns: u64,
    process_start_boottime_ns: u64,
    comm: Comm,
    span: Span,
    progress: Progress,
}

/// What the task's next switch will add for the wait for I/O that it left the CPU for: `left` is
/// where its counters stood then.
fn add_block_wait(progress: &mut Progress, left: &Counters, now_ns: u64) {
    if progress.blocked_since_ns != 0 {
        let since = progress.now.since(left);
        let passed = now_ns.saturating_sub(progress.blocked_since_ns);
        progress.observed.block_wait_ns += passed.saturating_sub(since.cpu_ns + since.run_queue_ns);
    }
}

/// Appends what was read, without a copy if it is the first.
fn append<T>(to: &mut Vec<T>, read: Vec<T>) {
    if to.is_empty() {
        *to = read;
    } else {
        to.extend(read);
    }
}

impl JobSnapshot {
    fn of(entry: &JobEntry) -> Self {
        let total = &entry.total;
        Self {
            moves: (total.moves_begun == total.moves_done).then_some(total.moves_done),
            job: JobRef(entry.job),
            connector: entry.connector,
            tasks: total.tasks,
            tasks_live: total.tasks_live,
            tasks_peak: total.tasks_peak,
            processes: total.processes,
            ended: total.ended,
            device_latency: LatencyHistogram {
                counts: entry.device_latency,
                max_us: entry.device_latency_max_us,
            },
            held: entry.held,
        }
    }
}

impl LiveTask {
    fn of(task: &Listed, now_ns: u64) -> Self {
        let (span, progress) = (&task.span, &task.progress);
        Self {
            job: JobRef(span.job),
            tid: task.tid,
            pid: task.pid,
            parent: task.parent,
            start_boottime_ns: task.start_boottime_ns,
            process_start_boottime_ns: task.process_start_boottime_ns,
            began_ns: span.began_ns,
            comm: task.comm,
            mm: progress.mm,
            memory: progress.memory,
            spent: Spent {
                counters: progress.now.since(&span.base),
                observed: progress.observed.since(&span.observed_base),
                life_ns: now_ns.saturating_sub(span.began_ns),
            },
        }
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, the clock of every time stamp from the kernel side.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
