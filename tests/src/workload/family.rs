//! Workloads that differ in how processes come to be and go.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::args::Args;
use super::{last_words, myself, work_us};
use crate::sys::{self, Fork, Pid};
use crate::truth::{self, Figures, Line, Report, What};

fn fork_working(micros: u64) -> Pid {
    match sys::fork() {
        Fork::Child => {
            if micros > 0 {
                work_us(micros);
            }
            sys::exit_group(0)
        }
        Fork::Parent(pid) => pid,
    }
}

/// Children whose final figures are read between their death and their burial.
pub(crate) fn forks(args: &Args) {
    let (count, work, report) =
        (args.get("count", 50_u32), args.get("work-us", 200), args.report());
    for index in 0..count {
        let child = fork_working(if index % 2 == 0 { 0 } else { work });
        let (line, _) = truth::reap(child);
        report.write(&[line]);
    }
    last_words(&report);
}

/// Children that all have the same process id, one after the other, as happens on a host that
/// runs for months.
pub(crate) fn reuse(args: &Args) {
    let (count, work, report) =
        (args.get("count", 20_u32), args.get("work-us", 200), args.report());
    let pid = fork_working(0);
    report.write(&[truth::reap(pid).0]);
    for _ in 0..count {
        match sys::fork_as(pid) {
            Ok(Fork::Child) => {
                work_us(work);
                sys::exit_group(0);
            }
            Ok(Fork::Parent(child)) => report.write(&[truth::reap(child).0]),
            Err(error) => {
                super::note(&report, &format!("cannot choose a process id: {error}"));
                break;
            }
        }
    }
    last_words(&report);
}

/// Children in a process-id namespace of their own, where they have other ids than outside.
pub(crate) fn pid_namespace(args: &Args) {
    let (count, work, report) =
        (args.get("count", 20_u32), args.get("work-us", 200), args.report());
    if let Err(error) = sys::enter_pid_namespace() {
        super::note(&report, &format!("no process-id namespace: {error}"));
        return;
    }
    match sys::fork() {
        Fork::Child => {
            assert_eq!(sys::getpid(), 1, "the first process of the namespace");
            for _ in 0..count {
                sys::wait(fork_working(work), 0).expect("a child");
                thread::spawn(move || work_us(work)).join().expect("a thread");
            }
            sys::exit_group(0);
        }
        Fork::Parent(child) => report.write(&[truth::reap(child).0]),
    }
    last_words(&report);
}

/// A program with thousands of short-lived children. They are read in batches, so that making
/// them is not slowed down, and reported as one sum.
pub(crate) fn children(args: &Args) {
    let (count, report) = (args.get("count", 1000_u64), args.report());
    if args.get("ready", 0) == 1 {
        println!("ready");
    }
    let mut total = Figures::default();
    let (mut left, mut made) = (count, 0);
    while left > 0 {
        let batch: Vec<Pid> = (0..left.min(100)).map(|_| fork_working(0)).collect();
        let size = u64::try_from(batch.len()).expect("at most 100");
        made += size;
        left -= if args.is_due("counted-from") { size } else { 0 };
        for child in batch {
            total.add(&truth::reap(child).0.figures);
        }
    }
    let pid = sys::getpid();
    let mut line = Line::new(What::ChildrenTotal, pid, pid);
    (line.figures, line.count) = (total, Some(made));
    report.write(&[line]);
    last_words(&report);
}

/// Each process has `width` children and waits for them, `depth` levels down.
pub(crate) fn tree(args: &Args) {
    let (depth, width) = (args.get("depth", 3), args.get("width", 3));
    grow(depth, width, &args.report());
    last_words(&args.report());
}

fn grow(depth: u32, width: u32, report: &Report) {
    work_us(100);
    if depth == 0 {
        return;
    }
    let mut below = Vec::new();
    for _ in 0..width {
        match sys::fork() {
            Fork::Child => {
                grow(depth - 1, width, report);
                sys::exit_group(0);
            }
            Fork::Parent(pid) => below.push(pid),
        }
    }
    for child in below {
        report.write(&[truth::reap(child).0]);
    }
}

/// Children by `posix_spawn`, which shares the parent's memory until their `exec`.
pub(crate) fn vfork(args: &Args) {
    let (count, report) = (args.get("count", 20_u32), args.report());
    for _ in 0..count {
        let child =
            Command::new(myself()).args(["exit", "--code", "0"]).stdin(Stdio::null()).spawn();
        let child = Pid::try_from(child.expect("a child").id()).expect("a pid");
        report.write(&[truth::reap(child).0]);
    }
    last_words(&report);
}

/// A grandchild that leaves session and parent behind, works, and reports by itself. The command
/// ends at once, unless `--wait 1`.
pub(crate) fn daemon(args: &Args) {
    let (seconds, report) = (args.get("seconds", 0.3), args.report());
    let between = match sys::fork() {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            sys::setsid();
            if let Fork::Child = sys::fork() {
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_secs_f64(seconds) {
                    work_us(1000);
                    thread::sleep(Duration::from_millis(2));
                }
                super::note(&report, "daemon done");
                last_words(&report);
            }
            sys::exit_group(0);
        }
    };
    report.write(&[truth::reap(between).0]);
    if args.get("wait", 0) == 1 {
        thread::sleep(Duration::from_secs_f64(seconds + 0.2));
    }
    last_words(&report);
}
