//! Exact measurement: the kernel's own accounting, collected by the eBPF programs.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use profiler_common::{JobRef, Lost, TagMode};
use rustix::event::{PollFd, PollFlags};
use rustix::thread::gettid;

use super::host_totals::HostTotals;
use super::{AttachError, Measured, Meter, Standing, check_process, note_loss};
use crate::kernel::{Attribution, Capacity, LiveTask, LoadError, Period, TagError, Tasks, state};
use crate::model::{Source, Tally, TaskFigures, Usage};

/// How long the end of a session waits for tasks that are ending to make their last switch.
/// It takes microseconds unless the host is badly overloaded.
const SETTLE: Duration = Duration::from_secs(2);

/// A session whose figures come from eBPF.
#[derive(Debug)]
pub struct Exact {
    attribution: Attribution,
    job: JobRef,
    tally: Tally,
    host: HostTotals,
    began: Instant,
}

impl Exact {
    /// Loads the programs.
    ///
    /// # Errors
    /// Where exact attribution is not possible, and why.
    pub fn new(capacity: Capacity, max_listed: usize) -> Result<Self, LoadError> {
        let mut attribution = Attribution::load(capacity)?;
        let job = attribution
            .begin_job(0)
            .map_err(|error| LoadError::Map { name: "JOBS", reason: error.to_string() })?;
        Ok(Self {
            attribution,
            job,
            tally: Tally::new(max_listed),
            host: HostTotals::read(),
            began: Instant::now(),
        })
    }

    /// Has the kernel keep the time that our programs take.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn keep_own_time(&mut self) -> io::Result<()> {
        self.attribution.keep_own_time()
    }

    /// Lists the tasks that ended since the last call, but for those that are listed as live.
    fn collect_ended(&mut self, live: &[LiveTask]) {
        let Self { attribution, tally, job, .. } = self;
        let listed: HashSet<_> =
            live.iter().map(|task| (task.tid, task.start_boottime_ns)).collect();
        attribution.drain_ended(|event| {
            if event.job == job.0 && !listed.contains(&(event.tid, event.start_boottime_ns)) {
                tally.add(TaskFigures::of_ended(event));
            }
        });
    }

    /// Waits until every task that has ended made its last switch: a parent is told of its child's
    /// end a little before, and the last microseconds count too. Returns how many did not.
    fn settle(&self) -> u64 {
        let deadline = Instant::now() + SETTLE;
        let mut pause = Duration::from_micros(20);
        loop {
            let tasks = self.attribution.snapshot().tasks;
            let ending = tasks.iter().filter(|task| has_ended(task)).count();
            if ending == 0 || Instant::now() > deadline {
                return ending as u64;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// What could not be counted. `unsettled` tasks had ended and not made their last switch, and of
    /// `unsettled_jobs` tasks ended whenever they were looked at.
    fn losses(&self, unsettled: u64, unsettled_jobs: u64) -> BTreeMap<String, u64> {
        let mut causes: BTreeMap<String, u64> = self
            .attribution
            .lost_since(&Lost::default())
            .map(|(cause, count)| (cause.to_owned(), count))
            .collect();
        note_loss(&mut causes, "tasks_beyond_list", self.tally.beyond_limit());
        note_loss(&mut causes, "tasks_unsettled", unsettled);
        note_loss(&mut causes, "jobs_unsettled", unsettled_jobs);
        note_loss(&mut causes, "missed_events", self.attribution.missed_events().unwrap_or(0));
        causes
    }
}

impl Meter for Exact {
    fn spawn(&mut self, mut command: Command) -> io::Result<Child> {
        let Self { attribution, job, began, .. } = self;
        // The child inherits a tag that makes only descendants count, at its very birth. It is put
        // on a thread of its own, so that nothing else that we start can inherit it.
        thread::scope(|scope| {
            let spawner = scope.spawn(|| {
                let tid = gettid().as_raw_nonzero().get().cast_unsigned();
                attribution
                    .tag(Tasks::Thread(tid), *job, TagMode::Parent)
                    .map_err(io::Error::other)?;
                *began = Instant::now();
                command.spawn()
            });
            spawner.join().unwrap_or_else(|_| Err(io::Error::other("the spawning thread panicked")))
        })
    }

    fn attach(&mut self, pid: u32) -> Result<(), AttachError> {
        check_process(pid)?;
        self.began = Instant::now();
        self.attribution.tag_process(pid, self.job, TagMode::Count).map(drop).map_err(|error| {
            match error {
                TagError::Gone if check_process(pid).is_ok() => AttachError::Other(
                    pid,
                    "this kernel shows it to no iterator; --source procfs can sample it".to_owned(),
                ),
                TagError::Gone | TagError::Ending => AttachError::NoProcess(pid),
                error => AttachError::Other(pid, error.to_string()),
            }
        })
    }

    fn look(&mut self) -> Standing {
        self.collect_ended(&[]);
        let snapshot = self.attribution.snapshot();
        let ended: u64 = snapshot.jobs.iter().map(|job| job.ended.counters.cpu_ns).sum();
        let live: u64 = snapshot.tasks.iter().map(|task| task.spent.counters.cpu_ns).sum();
        Standing { cpu_ns: ended + live, tasks: snapshot.tasks.len() as u64 }
    }

    fn look_every_ms(&self) -> u64 {
        100
    }

    fn early_look(&self) -> Option<PollFd<'_>> {
        Some(PollFd::from_borrowed_fd(self.attribution.ended_fd(), PollFlags::IN))
    }

    fn finish(mut self: Box<Self>) -> Measured {
        let unsettled = self.settle();
        let mut snapshot = self.attribution.snapshot();
        self.attribution.add_live_memory(&mut snapshot);
        let wall = self.began.elapsed();
        self.collect_ended(&snapshot.tasks);
        for task in &snapshot.tasks {
            self.tally.add(figures(task));
        }
        let known = self.attribution.known();
        let usage = snapshot.jobs.first().map_or_else(
            || Usage::unknown(Source::Ebpf),
            |job| {
                let wall_ns = nanoseconds(wall);
                let period = Period { wall_ns, read_ns: snapshot.taken_ns };
                let usage = job.usage(&snapshot.tasks, period, &known);
                Usage { lost: self.losses(unsettled, snapshot.unsettled), ..usage }
            },
        );
        let devices = self.attribution.devices();
        let cpu_ns = usage.cpu_ns.unwrap_or(0);
        Measured {
            usage,
            processes: self.tally.processes(&known),
            threads: self.tally.threads(&known),
            still_running: snapshot.tasks.len() as u64 - unsettled,
            bpf_ns: self.attribution.own_time().map(nanoseconds),
            conservation: Some(self.host.conservation(&HostTotals::read(), cpu_ns, &devices)),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether a task that still shows as live is a zombie or gone: then its last switch is due.
fn has_ended(task: &LiveTask) -> bool {
    matches!(state(task.pid, task.tid), None | Some('Z' | 'X'))
}

const fn figures(task: &LiveTask) -> TaskFigures {
    TaskFigures {
        tid: task.tid,
        pid: task.pid,
        parent: task.parent,
        process_start_boottime_ns: task.process_start_boottime_ns,
        began_ns: task.began_ns,
        comm: task.comm,
        spent: task.spent,
        memory: task.memory,
    }
}
