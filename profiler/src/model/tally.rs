//! Adds single tasks up to processes, and keeps the list of both.
//!
//! Thread and process ids are reused, so a task is known by its id and birth, a process likewise.

use std::collections::BTreeMap;

use profiler_common::{Comm, MemoryUse, Spent, TaskEnded};

use super::memory::MemoryFigures;
use super::record::{ProcessRecord, ThreadRecord};
use super::usage::{Known, Usage};

/// One task's figures, live or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskFigures {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Process id of the parent when the task began to count.
    pub parent: u32,
    /// `CLOCK_BOOTTIME` at the birth of the process.
    pub process_start_boottime_ns: u64,
    /// `CLOCK_MONOTONIC` when it began to count.
    pub began_ns: u64,
    /// Last name.
    pub comm: Comm,
    /// What it spent.
    pub spent: Spent,
    /// Address spaces of which it was the last user, or that it stands for.
    pub memory: MemoryUse,
}

impl TaskFigures {
    /// The figures of a task that ended.
    #[must_use]
    pub const fn of_ended(event: &TaskEnded) -> Self {
        Self {
            tid: event.tid,
            pid: event.pid,
            parent: event.parent,
            process_start_boottime_ns: event.process_start_boottime_ns,
            began_ns: event.began_ns,
            comm: event.comm,
            spent: event.spent,
            memory: event.memory,
        }
    }

    const fn ended_ns(&self) -> u64 {
        self.began_ns + self.spent.life_ns
    }

    const fn is_leader(&self) -> bool {
        self.tid == self.pid
    }

    fn thread(&self, known: &Known) -> ThreadRecord {
        let usage = Usage {
            wall_ns: Some(self.spent.life_ns),
            tasks: Some(1),
            tasks_peak: Some(1),
            ..Usage::exact(&self.spent, known)
        };
        ThreadRecord { pid: self.pid, tid: self.tid, comm: text(&self.comm), usage }
    }
}

/// The tasks of one run. Bounded: beyond its limit tasks are only counted, and a run of millions of
/// short processes does not fill the memory of who looks at it.
#[derive(Debug)]
pub struct Tally {
    tasks: Vec<TaskFigures>,
    limit: usize,
    beyond: u64,
}

impl Tally {
    /// A tally of at most `limit` tasks, about 350 bytes each.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { tasks: Vec::new(), limit, beyond: 0 }
    }

    /// Adds a task.
    pub fn add(&mut self, task: TaskFigures) {
        if self.tasks.len() < self.limit {
            self.tasks.push(task);
        } else {
            self.beyond += 1;
        }
    }

    /// Tasks that came after the limit was reached: in the run's total, not in the lists.
    #[must_use]
    pub const fn beyond_limit(&self) -> u64 {
        self.beyond
    }

    /// Every thread, heaviest on CPU first.
    #[must_use]
    pub fn threads(&self, known: &Known) -> Vec<ThreadRecord> {
        let mut threads: Vec<_> = self.tasks.iter().map(|task| task.thread(known)).collect();
        threads.sort_by_key(|thread| (std::cmp::Reverse(thread.usage.cpu_ns), thread.tid));
        threads
    }

    /// Every process, heaviest on CPU first.
    #[must_use]
    pub fn processes(&self, known: &Known) -> Vec<ProcessRecord> {
        let mut groups = BTreeMap::<_, Vec<&TaskFigures>>::new();
        for task in &self.tasks {
            groups.entry((task.pid, task.process_start_boottime_ns)).or_default().push(task);
        }
        let mut processes: Vec<_> =
            groups.values().filter_map(|tasks| process(tasks, known)).collect();
        processes.sort_by_key(|process| (std::cmp::Reverse(process.usage.cpu_ns), process.pid));
        processes
    }
}

fn process(tasks: &[&TaskFigures], known: &Known) -> Option<ProcessRecord> {
    // Of several leaders the last one is meant: an `exec` by another thread replaces the leader.
    let leader = tasks.iter().filter(|task| task.is_leader()).max_by_key(|task| task.ended_ns());
    let first = tasks.iter().min_by_key(|task| task.began_ns)?;
    let ended_ns = tasks.iter().map(|task| task.ended_ns()).max()?;
    let (mut spent, mut memory) = (Spent::default(), MemoryUse::default());
    for task in tasks {
        spent.add(&task.spent);
        memory.add(&task.memory);
    }
    let wall_ns = ended_ns - first.began_ns;
    let memory = MemoryFigures::of(&memory, wall_ns, known);
    let usage = Usage {
        wall_ns: Some(wall_ns),
        tasks: Some(tasks.len() as u64),
        tasks_peak: Some(most_at_once(tasks)),
        processes: Some(1),
        ..Usage::exact(&spent, known)
    }
    .with_memory(memory);
    let named = leader.unwrap_or(first);
    Some(ProcessRecord { pid: first.pid, parent: first.parent, comm: text(&named.comm), usage })
}

/// The most tasks that were alive at the same time.
fn most_at_once(tasks: &[&TaskFigures]) -> u64 {
    let mut changes: Vec<(u64, i64)> =
        tasks.iter().flat_map(|task| [(task.began_ns, 1), (task.ended_ns(), -1)]).collect();
    // At the same instant an end comes before a begin.
    changes.sort_unstable();
    let mut alive = 0_i64;
    let peak = changes.iter().map(|(_, change)| {
        alive += change;
        alive
    });
    peak.max().unwrap_or(0).unsigned_abs()
}

/// A task's name as text: up to the NUL, anything that is not UTF-8 replaced.
fn text(comm: &Comm) -> String {
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}
