//! Measurement without eBPF: samples of `/proc`.
//!
//! What begins and ends between two samples is missing from the lists, and what a thread does after
//! its last sample is missing from its figures. For a command of ours the kernel's own sum over all
//! descendants that were waited for (`getrusage`) gives the run's CPU time, switches and faults.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::process::{Child, Command};
use std::time::Instant;

use procfs::process::{Process, Stat};
use profiler_common::{Counters, MemoryUse, Spent};
use rustix::event::PollFd;

use super::{AttachError, Measured, Meter, Standing, check_process};
use crate::kernel::{ProcTask, monotonic_ns, processes, threads};
use crate::model::{Known, Tally, TaskFigures, Usage};

/// A session whose figures come from `/proc`.
#[derive(Debug)]
pub struct Sampled {
    /// By thread id and start time, in clock ticks since boot.
    tasks: HashMap<(i32, u64), Seen>,
    processes: HashSet<(i32, u64)>,
    /// Processes that were there before `attach`: what they start is not of the session.
    bystanders: HashSet<(i32, u64)>,
    root: Option<i32>,
    /// What had been used by our earlier children when the command started; `None` for `attach`.
    earlier_children: Option<Counters>,
    max_listed: usize,
    live: u64,
    live_peak: u64,
    /// Whether some task's `io` file was closed to us: then no storage figure is known.
    io_is_closed: bool,
    began: Instant,
}

#[derive(Debug)]
struct Seen {
    /// Counters when it joined: all 0 for a task that began during the session.
    base: Counters,
    figures: TaskFigures,
}

impl Sampled {
    /// A session that will sample. It needs no privilege.
    #[must_use]
    pub fn new(max_listed: usize) -> Self {
        Self {
            tasks: HashMap::new(),
            processes: HashSet::new(),
            bystanders: HashSet::new(),
            root: None,
            earlier_children: None,
            max_listed,
            live: 0,
            live_peak: 0,
            io_is_closed: false,
            began: Instant::now(),
        }
    }

    /// Reads every task of the session once. On the first round of `attach` what the process used
    /// before does not count.
    fn sample(&mut self, is_first_of_attach: bool) {
        self.live = 0;
        for (process, stat) in self.members() {
            for sample in threads(&process) {
                self.live += 1;
                self.io_is_closed |= !sample.has_io;
                self.note(&sample, &stat, is_first_of_attach);
            }
        }
        self.live_peak = self.live_peak.max(self.live);
    }

    /// The processes of the session: the first one, and every one whose parent belongs to it or
    /// that was seen before, so that a daemon that detached stays.
    fn members(&mut self) -> Vec<(Process, Stat)> {
        let Some(root) = self.root else { return Vec::new() };
        let is_ours = |stat: &Stat| !self.bystanders.contains(&(stat.pid, stat.starttime));
        let mut all: Vec<_> = live_processes().filter(|(_, stat)| is_ours(stat)).collect();
        let mut members = Vec::new();
        let mut pids = HashSet::from([root]);
        // Parents are not always listed before their children: look until nothing new turns up.
        loop {
            let known = &self.processes;
            let is_member = |stat: &Stat| {
                stat.pid == root
                    || pids.contains(&stat.ppid)
                    || known.contains(&(stat.pid, stat.starttime))
            };
            let (new, rest): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(_, stat)| is_member(stat));
            all = rest;
            if new.is_empty() {
                return members;
            }
            for (_, stat) in &new {
                pids.insert(stat.pid);
                self.processes.insert((stat.pid, stat.starttime));
            }
            members.extend(new);
        }
    }

    fn note(&mut self, sample: &ProcTask, process: &Stat, is_old: bool) {
        let now_ns = monotonic_ns();
        let ProcTask { stat, counters, .. } = sample;
        let seen = self.tasks.entry((stat.pid, stat.starttime)).or_insert_with(|| Seen {
            base: if is_old { *counters } else { Counters::default() },
            figures: TaskFigures {
                tid: stat.pid.cast_unsigned(),
                pid: process.pid.cast_unsigned(),
                parent: process.ppid.cast_unsigned(),
                process_start_boottime_ns: process.starttime,
                began_ns: now_ns,
                comm: [0; 16],
                spent: Spent::default(),
                memory: MemoryUse::default(),
            },
        });
        let figures = &mut seen.figures;
        figures.spent.counters = counters.since(&seen.base);
        figures.spent.life_ns = now_ns - figures.began_ns;
        figures.comm = sample.comm();
    }

    fn known(&self) -> Known {
        Known::sampled(!self.io_is_closed)
    }

    fn usage(&self) -> Usage {
        let mut sum = Spent::default();
        for seen in self.tasks.values() {
            sum.add(&seen.figures.spent);
        }
        if let Some(earlier) = &self.earlier_children {
            let waited_for = children().since(earlier);
            let counters = &mut sum.counters;
            // Each side may know what the other does not: tasks that still run, or came and went.
            counters.cpu_ns = counters.cpu_ns.max(waited_for.cpu_ns);
            counters.voluntary_switches =
                counters.voluntary_switches.max(waited_for.voluntary_switches);
            counters.involuntary_switches =
                counters.involuntary_switches.max(waited_for.involuntary_switches);
            counters.minor_faults = counters.minor_faults.max(waited_for.minor_faults);
            counters.major_faults = counters.major_faults.max(waited_for.major_faults);
        }
        Usage {
            wall_ns: u64::try_from(self.began.elapsed().as_nanos()).ok(),
            // A command of ours was there, even if it ended before anybody looked.
            tasks: Some(self.tasks.len().max(1) as u64),
            tasks_peak: Some(self.live_peak.max(1)),
            processes: Some(self.processes.len().max(1) as u64),
            // How much passed between the samples is not known, only that it may have.
            lost: BTreeMap::from([("not_sampled".to_owned(), 1)]),
            ..Usage::exact(&sum, &self.known())
        }
        .sampled()
    }
}

impl Meter for Sampled {
    fn spawn(&mut self, mut command: Command) -> io::Result<Child> {
        self.earlier_children = Some(children());
        self.began = Instant::now();
        let child = command.spawn()?;
        self.root = i32::try_from(child.id()).ok();
        self.sample(false);
        Ok(child)
    }

    fn attach(&mut self, pid: u32) -> Result<(), AttachError> {
        check_process(pid)?;
        self.root = i32::try_from(pid).ok();
        let others = live_processes().filter(|(_, stat)| Some(stat.pid) != self.root);
        self.bystanders = others.map(|(_, stat)| (stat.pid, stat.starttime)).collect();
        self.began = Instant::now();
        self.sample(true);
        Ok(())
    }

    fn look(&mut self) -> Standing {
        self.sample(false);
        let cpu_ns = self.tasks.values().map(|seen| seen.figures.spent.counters.cpu_ns).sum();
        Standing { cpu_ns, tasks: self.live }
    }

    fn look_every_ms(&self) -> u64 {
        50
    }

    fn early_look(&self) -> Option<PollFd<'_>> {
        None
    }

    fn finish(self: Box<Self>) -> Measured {
        let mut tally = Tally::new(self.max_listed);
        for seen in self.tasks.values() {
            tally.add(seen.figures);
        }
        let known = self.known();
        let (mut processes, mut threads) = (tally.processes(&known), tally.threads(&known));
        for usage in processes.iter_mut().map(|process| &mut process.usage) {
            *usage = usage.clone().sampled();
        }
        for usage in threads.iter_mut().map(|thread| &mut thread.usage) {
            *usage = usage.clone().sampled();
        }
        Measured {
            usage: self.usage(),
            processes,
            threads,
            still_running: self.live,
            bpf_ns: None,
            conservation: None,
        }
    }
}

/// Every process that has not ended.
fn live_processes() -> impl Iterator<Item = (Process, Stat)> {
    processes().filter(|(_, stat)| !matches!(stat.state, 'Z' | 'X'))
}

/// What our descendants that ended and were waited for used.
fn children() -> Counters {
    // SAFETY: integers only, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place for the answer; with a valid `who` the call cannot fail.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let ns = |time: libc::timeval| {
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_usec.unsigned_abs() * 1_000
    };
    Counters {
        cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime),
        voluntary_switches: usage.ru_nvcsw.unsigned_abs(),
        involuntary_switches: usage.ru_nivcsw.unsigned_abs(),
        minor_faults: usage.ru_minflt.unsigned_abs(),
        major_faults: usage.ru_majflt.unsigned_abs(),
        ..Counters::default()
    }
}
