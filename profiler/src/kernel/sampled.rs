//! The kernel half's work, done from `/proc` where no program may be loaded: the same arrays, filled in
//! by looking.
//!
//! What a task does after its last look is missing, and so is a task that comes and goes between two of
//! them. A task that lives when its job's figures are read is read at that moment. Nothing outlives
//! the process, and memory, devices and sockets are not known.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use procfs::process::{Process, Stat};
use profiler_common::block::DEVICES_BITS;
use profiler_common::task::FREE;
use profiler_common::{
    Counters, JobRef, MemoryUse, Progress, Span, Spent, TagMode, TagRequest, TaskEnded, TaskEntry,
};
use rustix::event::{EventfdFlags, eventfd};

use super::bpf::Tasks;
use super::load::{Attribution, Capacity, Ends};
use super::mapped::MappedArray;
use super::probe::Attached;
use super::proc_task::{ProcTask, boottime_ns, group_of, processes, threads, ticks_now};
use super::reader::monotonic_ns;
use super::tagging::TagError;
use crate::model::Known;

/// What takes the place of the programs.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Ends of tasks that nobody asked for yet.
    ended: VecDeque<TaskEnded>,
    /// Never readable: ends are found by looking.
    never: OwnedFd,
    /// Entries of tasks, by thread id.
    listed: HashMap<u32, u32>,
    free: Vec<u32>,
    used: u32,
    /// Processes whose threads, or children too, belong to a job.
    roots: HashMap<u32, Root>,
}

#[derive(Clone, Copy, Debug)]
struct Root {
    job: JobRef,
    connector: u32,
    mode: TagMode,
    /// In clock ticks since boot: with its number it names the process.
    start_ticks: u64,
    /// What began later did so under the job.
    since_ticks: u64,
}

impl Sampler {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.never.as_fd()
    }
}

impl Attribution {
    /// Attribution without any program: figures come from `/proc` when somebody looks.
    ///
    /// # Errors
    /// Where there is no memory for the arrays.
    pub fn sampled(capacity: Capacity) -> io::Result<Self> {
        let Capacity { tasks, jobs, connectors, .. } = capacity;
        let sampler = Sampler {
            ended: VecDeque::new(),
            never: eventfd(0, EventfdFlags::CLOEXEC)?,
            listed: HashMap::new(),
            free: Vec::new(),
            used: 0,
            roots: HashMap::new(),
        };
        Ok(Self {
            cpus: MappedArray::private(1)?,
            entries: MappedArray::private(tasks)?,
            jobs: MappedArray::private(jobs)?,
            connectors: MappedArray::private(connectors)?,
            names: MappedArray::private(connectors)?,
            leases: MappedArray::private(jobs)?,
            session: MappedArray::private(1)?,
            request: MappedArray::private(1)?,
            ends: Ends::Sampled(sampler),
            devices: MappedArray::private(1 << DEVICES_BITS)?,
            memory: MappedArray::private(1)?,
            attached: Attached { known: Known::sampled(true), ..Attached::default() },
            programs: Default::default(),
            free_jobs: Vec::new(),
            jobs_used: 0,
            kernel_memory_bytes: Some(0),
            statistics: None,
        })
    }

    /// Whether figures come from `/proc` and not from programs in the kernel.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        matches!(self.ends, Ends::Sampled(_))
    }

    /// What a task's counters are now, if it is still the one that an entry is about.
    pub(super) fn sampled_now(pid: u32, tid: u32, start_boottime_ns: u64) -> Option<Counters> {
        let task = ProcTask::find(pid, tid)?;
        (boottime_ns(task.stat.starttime) == start_boottime_ns && task.is_alive())
            .then_some(task.counters)
    }

    /// As the iterator over tasks does it.
    pub(super) fn tag_sampled(
        &mut self,
        tasks: Tasks,
        request: TagRequest,
        mode: TagMode,
    ) -> Result<TagRequest, TagError> {
        let mut answer = TagRequest { entry: u64::from(u32::MAX), ..request };
        let job = JobRef(request.job);
        let (pid, found) = match tasks {
            Tasks::Thread(tid) => {
                let pid = group_of(tid).ok_or(TagError::Gone)?;
                (pid, ProcTask::find(pid, tid).into_iter().collect::<Vec<_>>())
            }
            Tasks::Process(pid) => {
                let process = Process::new(pid.cast_signed());
                (pid, process.iter().flat_map(threads).collect())
            }
        };
        if let Tasks::Process(_) = tasks {
            let is_new = self.root(pid, request, mode);
            if mode == TagMode::Parent {
                *(if is_new { &mut answer.changed } else { &mut answer.unchanged }) += 1;
            }
        }
        for task in found {
            let tid = task.stat.pid.cast_unsigned();
            match mode {
                TagMode::Parent => {}
                TagMode::Remove => match self.entry_of(tid) {
                    Some(entry) => {
                        self.refresh(entry, &task);
                        self.end_sampled(entry);
                        answer.changed += 1;
                    }
                    None => answer.unchanged += 1,
                },
                _ if !task.is_alive() => answer.ending += 1,
                _ if self.entry_of(tid).is_some() => answer.unchanged += 1,
                _ => {
                    let begin = Some(task.counters);
                    match self.list_sampled(&task, pid, job, request.connector, begin) {
                        Some(entry) => {
                            answer.entry = entry.into();
                            answer.changed += 1;
                        }
                        None => answer.failed += 1,
                    }
                }
            }
        }
        Ok(answer)
    }

    /// Notes that a process is a job's, or no longer. Whether it was not before.
    fn root(&mut self, pid: u32, request: TagRequest, mode: TagMode) -> bool {
        let (job, connector) = (JobRef(request.job), request.connector);
        let Some(sampler) = self.sampler_mut() else { return false };
        if mode == TagMode::Remove {
            sampler.roots.remove(&pid);
            return false;
        }
        let Some(leader) = ProcTask::find(pid, pid) else { return false };
        let start_ticks = leader.stat.starttime;
        let known = sampler.roots.get(&pid);
        let is_new = known.is_none_or(|root| (root.job, root.start_ticks) != (job, start_ticks));
        if is_new {
            let since_ticks = ticks_now();
            sampler.roots.insert(pid, Root { job, connector, mode, start_ticks, since_ticks });
        }
        is_new
    }

    /// Looks at every task, and for new ones. Gives the ends that came since the last call.
    pub(super) fn sample(&mut self) -> VecDeque<TaskEnded> {
        for (tid, entry) in self.sampler_mut().map(|s| s.listed.clone()).unwrap_or_default() {
            let found: Option<TaskEntry> = self.entries.get(entry);
            let Some(found) = found.filter(|found| found.tid == tid) else { continue };
            let task = ProcTask::find(found.pid, tid).filter(|task| {
                boottime_ns(task.stat.starttime) == found.start_boottime_ns && task.is_alive()
            });
            match task {
                Some(task) => self.refresh(entry, &task),
                None => self.end_sampled(entry),
            }
        }
        self.look_for_new();
        self.sampler_mut().map(|sampler| std::mem::take(&mut sampler.ended)).unwrap_or_default()
    }

    /// Takes in threads and children of processes that belong to a job.
    fn look_for_new(&mut self) {
        let roots = self.sampler_mut().map(|sampler| sampler.roots.clone()).unwrap_or_default();
        if roots.is_empty() {
            return;
        }
        let has_children = |mode| matches!(mode, TagMode::Count | TagMode::Parent);
        let mut known: HashMap<u32, Root> = HashMap::new();
        for (pid, root) in roots {
            let is_same = ProcTask::find(pid, pid)
                .is_some_and(|leader| leader.stat.starttime == root.start_ticks);
            if is_same && self.has_job(root.job) {
                known.insert(pid, root);
            }
        }
        if known.values().any(|root| has_children(root.mode)) {
            let named =
                |stat: Stat| (stat.pid.cast_unsigned(), stat.ppid.cast_unsigned(), stat.starttime);
            let mut others: Vec<_> = processes().map(|(_, stat)| named(stat)).collect();
            // Parents are not always listed before their children: look until nothing new turns up.
            loop {
                let before = known.len();
                others.retain(|&(pid, parent, start_ticks)| {
                    let of = known.get(&parent).copied().filter(|root| {
                        has_children(root.mode)
                            && start_ticks >= root.since_ticks
                            && !known.contains_key(&pid)
                    });
                    let Some(of) = of else { return true };
                    let child = Root { mode: TagMode::Count, start_ticks, since_ticks: 0, ..of };
                    known.insert(pid, child);
                    false
                });
                if known.len() == before {
                    break;
                }
            }
        }
        for (pid, root) in &known {
            if root.mode == TagMode::Parent {
                continue;
            }
            let process = Process::new(pid.cast_signed());
            for task in process.iter().flat_map(threads).filter(ProcTask::is_alive) {
                if self.entry_of(task.stat.pid.cast_unsigned()).is_none() {
                    // All that it ever spent is the job's if it began under it.
                    let began_later = task.stat.starttime >= root.since_ticks;
                    let begin = (!began_later).then_some(task.counters);
                    self.list_sampled(&task, *pid, root.job, root.connector, begin);
                }
            }
        }
        if let Some(sampler) = self.sampler_mut() {
            sampler.roots = known;
        }
    }

    /// Gives a task an entry. `begin` is what it had spent before; nothing if all of it counts.
    fn list_sampled(
        &mut self,
        task: &ProcTask,
        pid: u32,
        job: JobRef,
        connector: u32,
        begin: Option<Counters>,
    ) -> Option<u32> {
        let tid = task.stat.pid.cast_unsigned();
        self.note_closed(task);
        let most = self.entries.len();
        let sampler = self.sampler_mut()?;
        let entry = sampler.free.pop().or_else(|| {
            let next = sampler.used;
            (next < most).then(|| {
                sampler.used += 1;
                next
            })
        });
        let used = u64::from(sampler.used);
        let Some(entry) = entry else {
            let mut session = self.session.get(0).unwrap_or_default();
            session.lost.tasks_untagged += 1;
            self.session.set(0, session);
            return None;
        };
        sampler.listed.insert(tid, entry);
        let mut session = self.session.get(0).unwrap_or_default();
        session.entries_used = used;
        self.session.set(0, session);
        let process_start = Process::new(pid.cast_signed()).and_then(|process| process.stat());
        let span = Span {
            job: job.0,
            connector,
            only_threads: 0,
            began_ns: monotonic_ns(),
            base: begin.unwrap_or_default(),
            ..Span::default()
        };
        let filled = TaskEntry {
            current: 1,
            tid,
            pid,
            parent: task.stat.ppid.cast_unsigned(),
            start_boottime_ns: boottime_ns(task.stat.starttime),
            process_start_boottime_ns: process_start.map_or(0, |stat| boottime_ns(stat.starttime)),
            comm: task.comm(),
            progress: Progress { now: task.counters, ..Progress::default() },
            spans: [span, Span::default()],
            ..TaskEntry::default()
        };
        self.entries.set(entry, filled);
        self.count_in(job, connector, tid == pid);
        Some(entry)
    }

    /// Moves what a task spent to its job and connector, and gives its entry back.
    fn end_sampled(&mut self, entry: u32) {
        let Some(task) = self.entries.get(entry).filter(|task| task.current != FREE) else {
            return;
        };
        let span = task.spans[TaskEntry::span_index(task.current)];
        let spent = Spent {
            counters: task.progress.now.since(&span.base),
            life_ns: monotonic_ns().saturating_sub(span.began_ns),
            ..Spent::default()
        };
        if span.job != 0 {
            self.add_ended((JobRef(span.job), span.connector), &spent);
        }
        self.entries.set_part(entry, offset_of!(TaskEntry, current), FREE);
        let event = TaskEnded {
            job: span.job,
            tid: task.tid,
            pid: task.pid,
            parent: task.parent,
            // Only its parent learns that.
            exit_code: 0,
            start_boottime_ns: task.start_boottime_ns,
            process_start_boottime_ns: task.process_start_boottime_ns,
            began_ns: span.began_ns,
            comm: task.comm,
            spent,
            memory: MemoryUse::default(),
        };
        if let Some(sampler) = self.sampler_mut() {
            sampler.listed.remove(&task.tid);
            sampler.free.push(entry);
            if span.job != 0 {
                sampler.ended.push_back(event);
            }
        }
    }

    fn refresh(&mut self, entry: u32, task: &ProcTask) {
        self.note_closed(task);
        let at = offset_of!(TaskEntry, progress) + offset_of!(Progress, now);
        self.entries.set_part(entry, at, task.counters);
    }

    /// Where one task's storage figures are closed to us, sums of them would be too small.
    fn note_closed(&mut self, task: &ProcTask) {
        self.attached.known.storage &= task.has_io;
    }

    fn entry_of(&mut self, tid: u32) -> Option<u32> {
        self.sampler_mut()?.listed.get(&tid).copied()
    }

    fn sampler_mut(&mut self) -> Option<&mut Sampler> {
        match &mut self.ends {
            Ends::Sampled(sampler) => Some(sampler),
            Ends::Kernel(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_task_without_a_free_entry_counts_as_failed_and_not_as_changed() {
        let capacity = Capacity { tasks: 1, jobs: 1, connectors: 1, ended_bytes: 0 };
        let mut attribution = Attribution::sampled(capacity).unwrap();
        let job = attribution.begin_job(0).unwrap();
        let request = TagRequest { job: job.0, ..TagRequest::default() };
        // One thread more than there is room for, whatever else runs in this process.
        let (done, until_done) = mpsc::channel::<()>();
        let other = thread::spawn(move || until_done.recv());
        let own = Tasks::Process(std::process::id());
        let answer = attribution.tag_sampled(own, request, TagMode::Process).unwrap();
        drop(done);
        assert!(other.join().unwrap().is_err(), "nothing is ever sent");
        assert_eq!(answer.changed, 1);
        assert!(answer.failed > 0);
    }
}
