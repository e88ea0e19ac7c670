//! A program that replaces itself: the process goes on, under another name and image, and with
//! `--from thread` even by another thread than its first.

use std::fs;
use std::sync::mpsc;
use std::thread;

use super::args::Args;
use super::{last_words, myself, sleep_us, work_us};
use crate::sys;
use crate::truth::{self, Figures, Line, What};

/// `--times N` more images after this one, each of which works a little. `--from` says who
/// calls `exec`: the `leader`, a `thread` while the leader sleeps, or an `orphan`, which is a
/// thread whose leader ended before.
pub(crate) fn run(args: &Args) {
    let (times, report) = (args.get("times", 3_u32), args.report());
    let from = args.text("from").unwrap_or("leader").to_owned();
    work_us(500);
    if times == 0 {
        last_words(&report);
        return;
    }
    let mut words: Vec<String> = ["exec", "--times"].map(str::to_owned).into();
    words.extend([(times - 1).to_string(), "--from".to_owned(), from.clone()]);
    if let Some(path) = report.path() {
        words.extend(["--report".to_owned(), path.display().to_string()]);
    }
    // Asked for now: a process whose leader is dead has no `/proc/self/exe`.
    let program = myself();
    let again = move || -> ! { panic!("exec: {}", sys::exec(&program, &words)) };
    match from.as_str() {
        "leader" => again(),
        "thread" => {
            let leader = sys::gettid();
            thread::spawn(move || {
                work_us(1000);
                // Asleep, the leader's figures stand still; only its end is missing from them.
                let stat = || fs::read_to_string(format!("/proc/self/task/{leader}/stat"));
                while !stat().is_ok_and(|stat| stat.contains(") S ")) {
                    sleep_us(100);
                }
                let mut line = Line::new(What::AtLeast, sys::getpid(), leader);
                line.figures = Figures::read(sys::getpid(), leader);
                report.write(&[line]);
                again()
            });
            loop {
                sys::pause();
            }
        }
        "orphan" => {
            let leader = sys::gettid();
            let (gone, wait) = mpsc::channel::<()>();
            thread::spawn(move || {
                wait.recv().ok();
                let dead = || fs::read_to_string(format!("/proc/self/task/{leader}/stat"));
                while !dead().is_ok_and(|stat| stat.contains(") Z ")) {
                    sleep_us(100);
                }
                report.write(&[truth::of_dead(sys::getpid(), leader)]);
                report.write(&[Line::of_self()]);
                again()
            });
            gone.send(()).ok();
            sys::exit_thread();
        }
        other => panic!("--from {other}: leader, thread or orphan"),
    }
}
