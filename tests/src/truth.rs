//! What the kernel itself says that a thread cost, read from `/proc` and never from the product:
//! the truth that the product is compared with, and the lines in which a workload reports it.
//!
//! # Which readings are exact
//!
//! A thread cannot know what it spends after its last look. These can be had to the nanosecond
//! (`tests/workloads.rs` compares them with each other; it holds on 6.1, 6.12 and 6.18):
//!
//! - The files of a *zombie* keep its final figures, for a group leader until it is reaped, once
//!   it left the CPU for the last time; [`wait_off_cpu`] says when that is.
//! - A thread that is not a leader is gone at once when it dies, unless another process traces
//!   it: then it stays as a zombie until that process reaped it. This holds for io_uring's
//!   threads too. See `workload::trace`.
//! - A leader that ends before its threads stays readable until the last of them ended.
//! - A thread that sleeps has figures that stand still, and so are exact for that moment.
//!
//! Not exact, though they look so:
//!
//! - `schedstat` of a thread that runs, which is as old as its last tick or switch.
//! - The process clock (`CLOCK_PROCESS_CPUTIME_ID`): a dead thread enters it in the middle of its
//!   exit. It was 0.2 us short for each of 200 short threads one after the other, and 5 us for
//!   each of 20 that competed. It is a lower bound of the sum.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::{self, Pid};

/// A thread's figures, named as in the usage record. `None`: this kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the usage record, explained there")]
pub struct Figures {
    pub cpu_ns: Option<u64>,
    pub run_queue_ns: Option<u64>,
    pub voluntary_switches: Option<u64>,
    pub involuntary_switches: Option<u64>,
    pub minor_faults: Option<u64>,
    pub major_faults: Option<u64>,
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    pub cancelled_write_bytes: Option<u64>,
    pub logical_read_bytes: Option<u64>,
    pub logical_write_bytes: Option<u64>,
    pub read_calls: Option<u64>,
    pub write_calls: Option<u64>,
}

/// How far a line of a report can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The thread is dead and off the CPU: these figures are its whole life, exactly.
    Final,
    /// Read while the thread lived: a lower bound.
    AtLeast,
    /// Sum of final figures over several dead children of `pid`; `count` says of how many.
    ChildrenTotal,
    /// The process clock of `pid`: a lower bound for the sum of its threads.
    ProcessClock,
    /// `pid` became a traced program's first process.
    Root,
    /// Thread `tid` ran `exec` and became the leader of `pid`.
    Exec,
    /// A marker of the workload, in `note`.
    Note,
}

/// One line of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// What is said.
    pub what: What,
    /// The process (thread group).
    pub pid: Pid,
    /// The thread, or the process again where a whole process is meant.
    pub tid: Pid,
    /// The process's parent when it was first seen, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Pid>,
    /// The thread's name.
    #[serde(default)]
    pub comm: String,
    /// Number of tasks that a total is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Free text of a [`What::Note`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Line {
    /// A line about one thread, without figures yet.
    pub fn new(what: What, pid: Pid, tid: Pid) -> Self {
        let comm = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
        let (parent, count, note, figures) = (None, None, None, Figures::default());
        let comm = comm.trim_end().to_owned();
        Self { what, pid, tid, parent, comm, count, note, figures }
    }

    /// The calling thread as it stands now: a lower bound of what it will have cost.
    pub fn of_self() -> Self {
        let (pid, tid) = (sys::getpid(), sys::gettid());
        let mut line = Self::new(What::AtLeast, pid, tid);
        line.figures = Figures::read(pid, tid);
        // Unlike the files, this clock is brought up to date for a thread that is running.
        line.figures.cpu_ns = Some(sys::thread_cpu_ns());
        line
    }

    /// Whether two entries are about the same thread.
    pub fn is_about(&self, pid: Pid, tid: Pid) -> bool {
        (self.pid, self.tid) == (pid, tid)
    }
}

impl Figures {
    /// Every figure with its name, for comparing and for messages.
    pub fn named(&self) -> [(&'static str, Option<u64>); 13] {
        [
            ("cpu_ns", self.cpu_ns),
            ("run_queue_ns", self.run_queue_ns),
            ("voluntary_switches", self.voluntary_switches),
            ("involuntary_switches", self.involuntary_switches),
            ("minor_faults", self.minor_faults),
            ("major_faults", self.major_faults),
            ("read_bytes", self.read_bytes),
            ("write_bytes", self.write_bytes),
            ("cancelled_write_bytes", self.cancelled_write_bytes),
            ("logical_read_bytes", self.logical_read_bytes),
            ("logical_write_bytes", self.logical_write_bytes),
            ("read_calls", self.read_calls),
            ("write_calls", self.write_calls),
        ]
    }

    /// The same in the same order, to be written to.
    pub fn slots(&mut self) -> [&mut Option<u64>; 13] {
        [
            &mut self.cpu_ns,
            &mut self.run_queue_ns,
            &mut self.voluntary_switches,
            &mut self.involuntary_switches,
            &mut self.minor_faults,
            &mut self.major_faults,
            &mut self.read_bytes,
            &mut self.write_bytes,
            &mut self.cancelled_write_bytes,
            &mut self.logical_read_bytes,
            &mut self.logical_write_bytes,
            &mut self.read_calls,
            &mut self.write_calls,
        ]
    }

    /// Adds another thread's figures; what only one of the two knows stays known.
    pub fn add(&mut self, other: &Self) {
        for (slot, (_, value)) in self.slots().into_iter().zip(other.named()) {
            *slot = match (*slot, value) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
    }

    /// Reads one thread, dead or alive.
    pub fn read(pid: Pid, tid: Pid) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}/task/{tid}"));
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let mut figures = Self::default();

        let schedstat = read("schedstat");
        let mut words = schedstat.split_whitespace().map(|word| word.parse().ok());
        figures.cpu_ns = words.next().flatten();
        figures.run_queue_ns = words.next().flatten();

        let status = read("status");
        figures.voluntary_switches = labelled(&status, "voluntary_ctxt_switches");
        figures.involuntary_switches = labelled(&status, "nonvoluntary_ctxt_switches");

        // The name is in brackets and may hold anything: count fields from the last bracket.
        let stat = read("stat");
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let field = |index: usize| after.split(' ').nth(index).and_then(|word| word.parse().ok());
        figures.minor_faults = field(7);
        figures.major_faults = field(9);

        let io = read("io");
        figures.read_bytes = labelled(&io, "read_bytes");
        figures.write_bytes = labelled(&io, "write_bytes");
        figures.cancelled_write_bytes = labelled(&io, "cancelled_write_bytes");
        figures.logical_read_bytes = labelled(&io, "rchar");
        figures.logical_write_bytes = labelled(&io, "wchar");
        figures.read_calls = labelled(&io, "syscr");
        figures.write_calls = labelled(&io, "syscw");
        figures
    }
}

/// The number after `label:` at the start of a line.
pub fn labelled(text: &str, label: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Waits until a dead task left the CPU for the last time, after which its figures are final.
///
/// A parent hears of a death before that: the dying task still has a few microseconds to run, or
/// much longer when it lost the CPU just then. The kernel frees its stack right after the last
/// switch, and the file `syscall` shows `-1 0x0 0x0` for a task without a stack.
pub fn wait_off_cpu(tid: Pid) {
    let path = format!("/proc/{tid}/syscall");
    for _ in 0..1_000_000 {
        match fs::read_to_string(&path) {
            Ok(text) if text.trim_end() == "-1 0x0 0x0" => return,
            Ok(_) => sys::yield_now(),
            Err(error) => panic!("{path}: {error}"),
        }
    }
    panic!("{path}: a dead task that never leaves the CPU");
}

/// Waits until a task that is about to sleep, or to stop, has left the CPU: from then on its figures
/// stand still. The kernel shows no registers of a task before that.
pub fn wait_asleep(tid: Pid) {
    wait_for_call(tid, |call| call != "running");
}

/// Waits until a task sleeps in one of these system calls.
pub fn wait_asleep_in(tid: Pid, calls: &[i64]) {
    let calls: Vec<String> = calls.iter().map(i64::to_string).collect();
    wait_for_call(tid, |call| calls.iter().any(|wanted| wanted == call));
}

fn wait_for_call(tid: Pid, is_it: impl Fn(&str) -> bool) {
    let path = format!("/proc/{tid}/syscall");
    for _ in 0..1_000_000 {
        match fs::read_to_string(&path) {
            Ok(text) if text.split_ascii_whitespace().next().is_some_and(&is_it) => return,
            Ok(_) => sys::yield_now(),
            Err(error) => panic!("{path}: {error}"),
        }
    }
    panic!("{path}: a task that does not get there");
}

/// The letter that `/proc` shows for what a task does; `None` once it is gone.
pub fn state(tid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The final figures of a zombie that has not been reaped yet.
pub fn of_dead(pid: Pid, tid: Pid) -> Line {
    wait_off_cpu(tid);
    let mut line = Line::new(What::Final, pid, tid);
    line.figures = Figures::read(pid, tid);
    line
}

/// Waits for a child, single-threaded, to die, reads its final figures, and reaps it.
pub fn reap(child: Pid) -> (Line, i32) {
    sys::wait_and_leave(Some(child), libc::WEXITED).expect("waiting for a child");
    let line = of_dead(child, child);
    let (_, status) = sys::wait(child, 0).expect("reaping a child");
    (line, status)
}

/// A file of lines that several processes append to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    path: Option<PathBuf>,
}

impl Report {
    /// A report into `path`, or nowhere.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// Where it is written.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Appends lines, with one write so that those of other processes cannot come between.
    pub fn write(&self, lines: &[Line]) {
        let Some(path) = &self.path else { return };
        let mut text = String::new();
        for line in lines {
            text += &serde_json::to_string(line).expect("a line is always JSON");
            text.push('\n');
        }
        let file = File::options().append(true).create(true).open(path);
        let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }

    /// Reads a report back.
    pub fn read(path: &Path) -> Vec<Line> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in line {line:?}"))
        };
        text.lines().map(parse).collect()
    }
}
