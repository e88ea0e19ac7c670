//! Workloads that differ in how threads and processes end.

use std::fs;
use std::io::Read as _;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::args::Args;
use super::{last_words, sleep_us, work_us};
use crate::sys;
use crate::truth::{self, Line};

/// Threads are inside `read`, a lock, `nanosleep` and `pause` when the end comes: by
/// `exit_group`, by a signal, or (`thread`) each ends itself by `SYS_exit`.
pub(crate) fn in_syscall(args: &Args) {
    let how = args.text("how").unwrap_or("group").to_owned();
    let report = args.report();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let lock: &'static Mutex<()> = Box::leak(Box::new(Mutex::new(())));
    let held = lock.lock().expect("a fresh lock");
    let mut threads = Vec::new();
    if how == "thread" {
        for micros in [0, 100, 1000, 3000] {
            let report = report.clone();
            threads.push(thread::spawn(move || -> () {
                work_us(micros);
                report.write(&[Line::of_self()]);
                sys::exit_thread()
            }));
        }
        // A thread that ended behind the library's back never gives its result: wait for the
        // kernel's list to shrink instead of joining.
        while fs::read_dir("/proc/self/task").map_or(0, Iterator::count) > 1 {
            sleep_us(200);
        }
    } else {
        let work: [fn(&mut std::io::PipeReader, &Mutex<()>); 4] = [
            |reader, _| drop(reader.read(&mut [0])),
            |_, lock| drop(lock.lock()),
            |_, _| thread::sleep(Duration::from_secs(100)),
            |_, _| sys::pause(),
        ];
        for block in work {
            let (report, mut reader) = (report.clone(), reader.try_clone().expect("a second end"));
            threads.push(thread::spawn(move || {
                work_us(200);
                report.write(&[Line::of_self()]);
                block(&mut reader, lock);
            }));
        }
        sleep_us(20_000);
    }
    last_words(&report);
    if how == "signal" {
        die_of(libc::SIGKILL);
    }
    drop((held, writer));
    std::mem::forget(threads);
    sys::exit_group(0);
}

/// The first thread ends while another goes on; its files stay, and the other reads them.
pub(crate) fn leader_first(args: &Args) {
    let (work, report) = (args.get("work-us", 5000), args.report());
    let leader = sys::gettid();
    work_us(work / 2);
    thread::spawn(move || {
        work_us(work);
        let stat = || fs::read_to_string(format!("/proc/self/task/{leader}/stat"));
        while !stat().is_ok_and(|stat| stat.contains(") Z ")) {
            sleep_us(100);
        }
        report.write(&[truth::of_dead(sys::getpid(), leader)]);
        last_words(&report);
        sys::exit_group(0);
    });
    sys::exit_thread();
}

/// Dies of the signal that it is told.
pub(crate) fn signal_me(args: &Args) {
    work_us(200);
    last_words(&args.report());
    die_of(args.get("signal", libc::SIGTERM));
}

/// Ends this process by a signal, whatever was set up for it, leaving no core file.
pub(crate) fn die_of(signal: i32) -> ! {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // SAFETY: the default action needs no handler of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    sys::kill(sys::getpid(), signal).expect("a signal to myself");
    loop {
        sys::pause();
    }
}
