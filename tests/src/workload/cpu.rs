//! Workloads that differ in how threads get on and off the CPU.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};

use super::args::Args;
use super::{last_words, show, sleep_us, work_us};
use crate::sys;
use crate::truth::Line;

/// One thread that computes and never gives the CPU up by itself. With `--publish FILE` it
/// writes its thread id and CPU clock there about every millisecond (the calls do not block), so
/// that an observer can compare a figure taken while it runs. `--show FILE` is printed at its end.
pub(crate) fn spin(args: &Args) {
    let (seconds, report) = (args.get("seconds", 0.5), args.report());
    let length = Duration::from_secs_f64(seconds);
    let publish =
        args.text("publish").map(|path| File::create(path).expect("the file to publish in"));
    let begin = Instant::now();
    let tid = u64::try_from(sys::gettid()).expect("a negative tid");
    while begin.elapsed() < length {
        for _ in 0..20_000 {
            std::hint::spin_loop();
        }
        if let Some(file) = &publish {
            let mut bytes = Vec::with_capacity(24);
            for value in [tid, sys::clock_ns(libc::CLOCK_MONOTONIC), sys::thread_cpu_ns()] {
                bytes.extend(value.to_ne_bytes());
            }
            file.write_all_at(&bytes, 0).expect("publishing");
        }
    }
    show(args);
    last_words(&report);
}

/// More threads than CPUs, each of which spins, sleeps and yields in turns.
pub(crate) fn threads(args: &Args) {
    let (count, work, report) = (args.get("count", 8), args.get("work-us", 2000), args.report());
    thread::scope(|scope| {
        for index in 0..count {
            let report = &report;
            scope.spawn(move || {
                for turn in 0..8_u64 {
                    work_us(work / 8);
                    match (index + turn) % 3 {
                        0 => sleep_us(300),
                        1 => sys::yield_now(),
                        _ => {}
                    }
                }
                report.write(&[Line::of_self()]);
            });
        }
    });
    last_words(&report);
}

/// One after another, threads that are gone before any sampler could look: `--count` of them, counted
/// from when the file `--counted-from` is there.
pub(crate) fn short_threads(args: &Args) {
    let (count, report) = (args.get("count", 200_u32), args.report());
    if args.get("ready", 0) == 1 {
        println!("ready");
    }
    let mut left = count;
    while left > 0 {
        thread::spawn(|| std::hint::black_box(sys::gettid())).join().expect("a short thread");
        left -= u32::from(args.is_due("counted-from"));
    }
    last_words(&report);
}

/// Every CPU wanted by hundreds of threads at once, some of them always, some now and then.
pub(crate) fn oversubscribe(args: &Args) {
    let (count, seconds) = (args.get("count", 200), args.get("seconds", 1.0));
    let (report, begin) = (args.report(), Instant::now());
    let length = Duration::from_secs_f64(seconds);
    thread::scope(|scope| {
        for index in 0..count {
            scope.spawn(move || {
                while begin.elapsed() < length {
                    work_us(100);
                    match index % 4 {
                        0 => sleep_us(u64::try_from(100 + index % 50).expect("a small number")),
                        1 => sys::yield_now(),
                        2 => thread::yield_now(),
                        _ => {}
                    }
                }
            });
        }
    });
    last_words(&report);
}

/// Two threads on one CPU hand a byte back and forth: a switch each time.
pub(crate) fn ping_pong(args: &Args) {
    let (switches, cpu) = (args.get("switches", 20_000_u32), args.get("cpu", 0));
    let report = args.report();
    sys::pin(cpu);
    let (mut here, mut to_here) = std::io::pipe().expect("a pipe");
    let (mut there, mut to_there) = std::io::pipe().expect("a pipe");
    let begin = Instant::now();
    let other = thread::spawn(move || {
        let mut byte = [0];
        while there.read_exact(&mut byte).is_ok() {
            to_here.write_all(&byte).expect("a byte back");
        }
    });
    let mut byte = [0];
    for _ in 0..switches / 2 {
        to_there.write_all(&byte).expect("a byte there");
        here.read_exact(&mut byte).expect("a byte");
    }
    let per_switch = begin.elapsed().as_nanos() / u128::from(switches.max(1));
    drop(to_there);
    other.join().expect("the other thread");
    super::note(&report, &format!("ns_per_switch {per_switch}"));
    last_words(&report);
}
