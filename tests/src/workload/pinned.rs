//! Workloads of which it is known what they wait for.

use std::thread;
use std::time::{Duration, Instant};

use super::args::Args;
use super::{last_words, note, sleep_us};
use crate::{counted, sys};

/// `--count` threads that want the one CPU `--cpu` all the time. They put themselves before
/// ordinary programs, so that what else the machine does hardly comes between.
pub(crate) fn hogs(args: &Args) {
    let (count, cpu, seconds) = (args.get("count", 2), args.get("cpu", 0), args.get("seconds", 0.5));
    let length = Duration::from_secs_f64(seconds);
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(move || {
                sys::pin(cpu);
                // SAFETY: plain numbers. Without the right to do it, things stay as they are.
                unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
                let begin = Instant::now();
                while begin.elapsed() < length {
                    std::hint::spin_loop();
                }
            });
        }
        println!("begun");
    });
    last_words(&args.report());
}

/// Sleeps for `--ms` in one call, and says how long that took by the clock.
pub(crate) fn sleep(args: &Args) {
    let (ms, report) = (args.get("ms", 300), args.report());
    let begin = Instant::now();
    sleep_us(ms * 1000);
    let slept = u64::try_from(begin.elapsed().as_nanos()).expect("a short time");
    note(&report, &counted::note("slept_ns", slept));
    last_words(&report);
}
