//! Workloads that wait to be told: many threads for tests of size, and programs to attach to.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::args::Args;
use super::burst::wait_for;
use super::{last_words, sleep_us, work_us};
use crate::sys::{self, Fork};

/// `--count` sleeping threads in all, over `--processes`, until the file `--until` exists or,
/// without one, until standard input ends. Says `ready` when all of them live.
pub(crate) fn many_threads(args: &Args) {
    let (count, processes) = (args.get("count", 100_usize), args.get("processes", 1_usize));
    let (report, until) = (args.report(), args.text("until").map(str::to_owned));
    let mut below = Vec::new();
    let (mut ready, up) = std::io::pipe().expect("a pipe");
    let (down, end) = std::io::pipe().expect("a pipe");
    for _ in 0..processes {
        let threads = count / processes;
        match sys::fork() {
            Fork::Parent(pid) => below.push(pid),
            Fork::Child => {
                drop((end, ready));
                hold(threads, down, up);
                sys::exit_group(0);
            }
        }
    }
    drop(up);
    ready.read_to_end(&mut Vec::new()).expect("the children's word");
    println!("ready");
    match until {
        Some(file) => {
            while !Path::new(&file).exists() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        None => drop(std::io::stdin().read_to_end(&mut Vec::new())),
    }
    drop(end);
    for child in below {
        sys::wait(child, 0).expect("a child");
    }
    last_words(&report);
}

/// Keeps `threads` threads, this one included, until the pipe ends.
fn hold(threads: usize, mut down: impl Read, up: std::io::PipeWriter) {
    let (born, done) = (Barrier::new(threads), Barrier::new(threads));
    thread::scope(|scope| {
        for _ in 1..threads {
            let wait = || {
                born.wait();
                done.wait();
            };
            thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn_scoped(scope, wait)
                .expect("one more thread");
        }
        born.wait();
        drop(up);
        down.read_to_end(&mut Vec::new()).expect("the end of the pipe");
        done.wait();
    });
}

/// Says `begun`; when the file `--go` exists, has `--count` threads, says `done` when all live, and ends
/// when the file `--until` exists.
pub(crate) fn crowd(args: &Args) {
    let count = args.get("count", 100_usize);
    let [born, done] = [(); 2].map(|()| Barrier::new(count + 1));
    println!("begun");
    wait_for(args, "go");
    thread::scope(|scope| {
        for _ in 0..count {
            let wait = || {
                born.wait();
                done.wait();
            };
            let one = thread::Builder::new().stack_size(64 * 1024);
            one.spawn_scoped(scope, wait).expect("one more thread");
        }
        born.wait();
        println!("done");
        wait_for(args, "until");
        done.wait();
    });
    last_words(&args.report());
}

/// The first thread waits on the named pipe `--fifo` and `--threads` others on it; when somebody
/// opened and closed the pipe all of them work, and the first also has a child and a new thread. For attaching to a program that runs.
pub(crate) fn wait_then_work(args: &Args) {
    let (work, report) = (args.get("work-us", 5000), args.report());
    let fifo = args.text("fifo").expect("--fifo").to_owned();
    let threads = args.get("threads", 2_usize);
    let gate = Barrier::new(threads + 1);
    work_us(work);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                gate.wait();
                work_us(work);
                sleep_us(500);
                work_us(work);
            });
        }
        println!("ready");
        fs::read(&fifo).expect("the named pipe");
        gate.wait();
        work_us(work);
        thread::spawn(move || work_us(work)).join().expect("a thread");
        if let Fork::Child = sys::fork() {
            work_us(work);
            sys::exit_group(0);
        }
        sys::wait(-1, 0).expect("the child");
    });
    last_words(&report);
}

/// Works for `--after-ms` and then creates `--file`, to show that it was left to finish.
pub(crate) fn mark(args: &Args) {
    println!("begun");
    let (until, mut done) = (args.get("after-ms", 0_u64), 0);
    while done < until {
        work_us(1000);
        thread::sleep(Duration::from_millis(9));
        done += 10;
    }
    File::create(args.text("file").expect("--file")).expect("the mark");
    last_words(&args.report());
}
