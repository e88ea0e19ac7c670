//! The comparison at the heart of these tests: the product's JSON against the kernel's own
//! figures, thread by thread, with nothing allowed between them.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Session;
use crate::run::Finished;
use crate::sys::Pid;
use crate::truth::{Figures, Line, What};

/// The figures that every thread of every run must have.
pub const ALWAYS: [&str; 6] = [
    "cpu_ns",
    "run_queue_ns",
    "voluntary_switches",
    "involuntary_switches",
    "minor_faults",
    "major_faults",
];

/// How many differences a message shows.
const SHOWN: usize = 25;

/// Figures by process and thread. A reused id gives one entry with the sum.
pub type ByThread = BTreeMap<(Pid, Pid), Figures>;

impl Finished {
    /// The profiler's own process under the tracer, which is no part of what it measures.
    fn root(&self) -> Option<Pid> {
        self.truth.iter().find(|line| line.what == What::Root).map(|line| line.pid)
    }

    /// Final figures of all threads that the tracer saw, the profiler's own apart.
    pub fn finals(&self) -> ByThread {
        let root = self.root();
        finals(self.truth.iter().filter(|line| Some(line.pid) != root))
    }

    /// Every thread that ever was is in the JSON, no other is, and each figure is the kernel's.
    pub fn assert_exact(&self) {
        let truth = self.finals();
        assert!(!truth.is_empty(), "the tracer saw nothing. {self}");
        let wrong = differences(self.session(), &truth);
        let names: BTreeSet<_> = self.truth.iter().map(|line| line.comm.as_str()).collect();
        assert_none(&wrong, &format!("of {} threads named {names:?}", truth.len()));
        self.assert_sums();
    }

    /// What the workload found by itself to be final is in the JSON to the nanosecond.
    pub fn assert_reported_exact(&self) {
        let truth = finals(self.report.iter());
        assert!(!truth.is_empty(), "the workload reported nothing final. {self}");
        let ours = by_thread(self.session());
        let mut wrong = Vec::new();
        for (key, expected) in &truth {
            compare(*key, expected, ours.get(key), &mut wrong);
        }
        assert_none(&wrong, &format!("of {} threads that the workload read", truth.len()));
        self.assert_sums();
    }

    /// No thread has less than it had itself read before its end.
    pub fn assert_at_least_reported(&self) {
        let ours = by_thread(self.session());
        let mut wrong = Vec::new();
        for line in self.report.iter().filter(|line| line.what == What::AtLeast) {
            let least = line.figures.cpu_ns.expect("a CPU clock");
            let got = ours.get(&(line.pid, line.tid)).and_then(|figures| figures.cpu_ns);
            if got.is_none_or(|got| got < least) {
                wrong.push(format!(
                    "thread {} of {} ({}): cpu_ns: expected at least {least} got {got:?}",
                    line.tid, line.pid, line.comm,
                ));
            }
        }
        assert_none(&wrong, "by the threads' own clocks");
    }

    /// Threads add up to their processes, and processes to the whole; nothing was lost.
    pub fn assert_sums(&self) {
        let session = self.session();
        let mut wrong = Vec::new();
        let mut whole = Figures::default();
        let pids: BTreeSet<Pid> = session.processes.iter().map(|process| process.pid).collect();
        for pid in &pids {
            let mut process = Figures::default();
            for row in session.processes.iter().filter(|process| process.pid == *pid) {
                process.add(&row.usage.figures);
            }
            whole.add(&process);
            same(&format!("process {pid}"), &session.sum_of_threads(*pid), &process, &mut wrong);
        }
        for thread in session.threads.iter().filter(|thread| !pids.contains(&thread.pid)) {
            wrong.push(format!("thread {}: no process {}", thread.tid, thread.pid));
        }
        same("the whole", &whole, &session.usage.figures, &mut wrong);
        if !session.usage.is_complete() {
            wrong.push(format!("lost: expected nothing, got {}", session.usage.lost));
        }
        if session.usage.source.as_deref() != Some("ebpf") {
            wrong.push(format!("source: expected ebpf, got {:?}", session.usage.source));
        }
        let usage = &session.usage;
        let waits =
            [usage.run_queue_managed_ns, usage.run_queue_self_ns, usage.run_queue_external_ns];
        // Not every kernel tells what a quota took; then it is part of the others.
        let quota = usage.run_queue_throttled_ns.unwrap_or(0);
        if let ([Some(a), Some(b), Some(c)], Some(all)) = (waits, usage.figures.run_queue_ns)
            && quota + a + b + c != all
        {
            wrong.push(format!("run_queue: expected {all}, got {quota} + {a} + {b} + {c}"));
        }
        assert_none(&wrong, "in the sums");
    }
}

fn finals<'a>(lines: impl Iterator<Item = &'a Line>) -> ByThread {
    let mut truth = ByThread::new();
    for line in lines.filter(|line| line.what == What::Final) {
        truth.entry((line.pid, line.tid)).or_default().add(&line.figures);
    }
    truth
}

/// The JSON's threads.
pub fn by_thread(session: &Session) -> ByThread {
    let mut ours = ByThread::new();
    for thread in &session.threads {
        ours.entry((thread.pid, thread.tid)).or_default().add(&thread.usage.figures);
    }
    ours
}

/// Every way in which the JSON is not the truth.
pub fn differences(session: &Session, truth: &ByThread) -> Vec<String> {
    let ours = by_thread(session);
    let mut wrong = Vec::new();
    for (key, expected) in truth {
        compare(*key, expected, ours.get(key), &mut wrong);
    }
    for (pid, tid) in ours.keys().filter(|key| !truth.contains_key(key)) {
        wrong.push(format!("thread {tid} of {pid}: in the JSON, but no such thread was seen"));
    }
    wrong
}

fn compare(key: (Pid, Pid), expected: &Figures, got: Option<&Figures>, wrong: &mut Vec<String>) {
    let who = format!("thread {} of {}", key.1, key.0);
    let Some(got) = got else {
        wrong.push(format!("{who}: not in the JSON; expected {expected:?}"));
        return;
    };
    for ((name, expected), (_, got)) in expected.named().into_iter().zip(got.named()) {
        let Some(expected) = expected else { continue };
        match got {
            Some(got) if got == expected => {}
            None if !ALWAYS.contains(&name) => {}
            None => wrong.push(format!("{who}: {name}: expected {expected} got null")),
            Some(got) => {
                let off = i128::from(got) - i128::from(expected);
                wrong.push(format!("{who}: {name}: expected {expected} got {got} ({off:+})"));
            }
        }
    }
}

fn same(who: &str, parts: &Figures, whole: &Figures, wrong: &mut Vec<String>) {
    for ((name, parts), (_, whole)) in parts.named().into_iter().zip(whole.named()) {
        if parts != whole {
            wrong.push(format!("{who}: {name}: its parts add up to {parts:?}, it says {whole:?}"));
        }
    }
}

/// Fails with the list of what is wrong, if anything is.
pub fn assert_none(wrong: &[String], about: &str) {
    let mut text: Vec<_> = wrong.iter().take(SHOWN).cloned().collect();
    if wrong.len() > SHOWN {
        text.push(format!("and {} more", wrong.len() - SHOWN));
    }
    assert!(wrong.is_empty(), "{} differences {about}:\n  {}", wrong.len(), text.join("\n  "));
}
