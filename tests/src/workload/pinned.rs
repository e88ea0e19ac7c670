//! Workloads of which it is known what they wait for.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::args::Args;
use super::{last_words, note, show, sleep_us};
use crate::{counted, sys};

/// `--count` threads that want the one CPU `--cpu` all the time, where the first one waits for them.
/// With `--real-time 1` they give it to nobody but each other, whatever else the machine does; the
/// first one, which begins them, stays off it. `--show FILE` is printed before and after.
pub(crate) fn hogs(args: &Args) {
    let (count, cpu, seconds) =
        (args.get("count", 2), args.get("cpu", 0), args.get("seconds", 0.5));
    let (length, real_time) = (Duration::from_secs_f64(seconds), args.get("real-time", 0) == 1);
    let gate = Barrier::new(count + 1);
    if !real_time {
        sys::pin(cpu);
    }
    show(args);
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                sys::pin(cpu);
                if real_time {
                    let priority = libc::sched_param { sched_priority: 1 };
                    // SAFETY: the parameter lives past the call. Without the right to do it,
                    // things stay as they are.
                    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const priority) };
                }
                gate.wait();
                let begin = Instant::now();
                while begin.elapsed() < length {
                    std::hint::spin_loop();
                }
            });
        }
        gate.wait();
        println!("begun");
    });
    show(args);
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
