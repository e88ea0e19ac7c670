//! Programs made to be measured. `workload SUBCOMMAND [--option VALUE]... [--report FILE]` uses
//! the machine in one particular way; with `--report` it writes what the kernel says that its
//! threads cost, as far as the program can know it itself. `workload trace` runs any other
//! program and knows all of it; see there.
//!
//! | subcommand | options (default) | what it does |
//! |---|---|---|
//! | `spin` | `seconds` (0.5), `publish`, `show` | one thread that never leaves the CPU by itself |
//! | `threads` | `count` (8), `work-us` (2000) | threads that spin, sleep and yield in turns |
//! | `short-threads` | `count` (200), `ready` (0) | threads that live under 100 us |
//! | `oversubscribe` | `count` (200), `seconds` (1) | all CPUs wanted by many times their number |
//! | `ping-pong` | `switches` (20000), `cpu` (0) | two threads on one CPU wake each other |
//! | `forks` | `count` (50), `work-us` (200) | children that are read before they are reaped |
//! | `children` | `count` (1000), `ready` (0) | children that end at once, as fast as the machine can |
//! | `burst` | `count` (1000), `go`, `until` | such children when told, and then waits |
//! | `churn` | `file`, `per-second` (200), `seconds` (2), `threads` (0), `kib` (256) | short lives with I/O |
//! | `reuse` | `count` (20), `work-us` (200) | children that all have the same process id |
//! | `pid-namespace` | `count` (20), `work-us` (200) | children whose ids are others inside |
//! | `tree` | `depth` (3), `width` (3) | processes below processes |
//! | `vfork` | `count` (20) | children by `posix_spawn` |
//! | `daemon` | `seconds` (0.3), `wait` (0) | a grandchild that detaches and goes on working |
//! | `exec` | `times` (3), `from` (leader, thread, orphan) | replaces itself by itself |
//! | `exit-in-syscall` | `how` (group, thread, signal) | threads that end inside system calls |
//! | `leader-exits-first` | `work-us` (5000) | the process outlives its first thread |
//! | `signal-me` | `signal` (15) | dies of a signal |
//! | `exit` | `code` (0) | ends with a status |
//! | `io-uring` | `reads` (64), `sqpoll` (0), `folder` | reads through io_uring's worker threads |
//! | `storage` | `mib` (4), `folder` | writes a file, waits for the disk, reads it back |
//! | `files` | `how`, `file`, `mib` (4), `to`, `ring` | one way to a disk and back |
//! | `queue` | `files`, `each` (1) | direct reads at many disks, all under way at once |
//! | `sockets` | `what`, `family` (4), `calls`, `wait`, `kib` (2048), `piece` | talks over sockets, and counts |
//! | `hogs` | `count` (2), `cpu` (0), `seconds` (0.5), `real-time` (0), `show` | threads that want the same CPU |
//! | `memory` | `anonymous-mib`, `shared-mib`, `file-mib` (0), `ms` (5), `children` (0) | holds memory |
//! | `sleep` | `ms` (300) | one long sleep |
//! | `many-threads` | `count` (100), `processes` (1), `until` | threads that sleep until told |
//! | `crowd` | `count` (100), `go`, `until` | threads that are born when told and sleep until told |
//! | `wait-then-work` | `fifo`, `threads` (2), `work-us` (5000) | threads and a child that start when told |
//! | `mark` | `file`, `after-ms` (0) | works, then creates a file |
//! | `namespaced-worker` | `socket`, `outside` | a worker of an agent, in a namespace of its own |
//! | `soak` | `board`, `socket`, `first`, `count`, `seed` | clients of an agent that do random things |
//! | `hoard` | `socket`, `least-mib`, `most-mib`, `grow-ms`, `hold-ms`, `seed` | a worker of the benchmark |
//! | `trace` | `-- PROGRAM ARGS...` | runs a program and writes all its threads' final figures |

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::bench::control::memory::{self as memory_jobs, Growth};
use crate::sys::{self, Fork, Pid};
use crate::truth::{Line, Report, What};

mod args;
mod burst;
mod churn;
mod cpu;
mod exec;
mod exits;
mod family;
mod files;
mod memory;
mod namespaced;
mod pinned;
mod queue;
mod scale;
mod sockets;
mod storage;
mod trace;
mod uring;

use args::Args;

/// Runs the subcommand that the first word names; with `--waited 1` in a child, of which the parent
/// reports what the kernel says at its end.
pub fn main(words: Vec<String>) -> ExitCode {
    let Some((name, words)) = words.split_first() else {
        eprintln!("workload: a subcommand is missing");
        return ExitCode::from(2);
    };
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("workload {name}: {error}");
            return ExitCode::from(2);
        }
    };
    if args.get("waited", 0) == 1
        && let Fork::Parent(child) = sys::fork()
    {
        return wait_for_child(child, &args.report());
    }
    match name.as_str() {
        "spin" => cpu::spin(&args),
        "threads" => cpu::threads(&args),
        "short-threads" => cpu::short_threads(&args),
        "oversubscribe" => cpu::oversubscribe(&args),
        "ping-pong" => cpu::ping_pong(&args),
        "forks" => family::forks(&args),
        "children" => family::children(&args),
        "burst" => burst::run(&args),
        "churn" => churn::run(&args),
        "reuse" => family::reuse(&args),
        "pid-namespace" => family::pid_namespace(&args),
        "tree" => family::tree(&args),
        "vfork" => family::vfork(&args),
        "daemon" => family::daemon(&args),
        "exec" => exec::run(&args),
        "exit-in-syscall" => exits::in_syscall(&args),
        "leader-exits-first" => exits::leader_first(&args),
        "signal-me" => exits::signal_me(&args),
        "exit" => return ExitCode::from(args.get("code", 0)),
        "io-uring" => uring::run(&args),
        "storage" => storage::run(&args),
        "files" => files::run(&args),
        "queue" => queue::run(&args),
        "sockets" => sockets::run(&args),
        "hogs" => pinned::hogs(&args),
        "memory" => memory::run(&args),
        "sleep" => pinned::sleep(&args),
        "many-threads" => scale::many_threads(&args),
        "crowd" => scale::crowd(&args),
        "wait-then-work" => scale::wait_then_work(&args),
        "mark" => scale::mark(&args),
        "soak" => soak(&args),
        "hoard" => hoard(&args),
        "namespaced-worker" => namespaced::worker(&args),
        "trace" => return trace::run(&args),
        _ => {
            eprintln!("workload: no such subcommand: {name}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Works on the CPU for about this long, measured on the thread's own CPU clock.
fn work_us(micros: u64) {
    let end = sys::thread_cpu_ns() + micros * 1000;
    while sys::thread_cpu_ns() < end {
        std::hint::spin_loop();
    }
}

fn sleep_us(micros: u64) {
    thread::sleep(Duration::from_micros(micros));
}

/// Reports the kernel's own sum over all threads of a child, once it was waited for.
fn wait_for_child(child: Pid, report: &Report) -> ExitCode {
    let (_, status) = sys::wait(child, 0).expect("the child");
    let mut line = Line::new(What::ChildrenTotal, sys::getpid(), child);
    (line.figures.cpu_ns, line.count) = (Some(sys::children_cpu_ns()), Some(1));
    report.write(&[line]);
    if status == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the file that `--show` names, as it stands.
fn show(args: &Args) {
    if let Some(path) = args.text("show") {
        print!("{}", fs::read_to_string(path).expect("the file to show"));
    }
}

/// The last act of a program: what can still be said about the thread that is left, and about
/// the process as a whole.
fn last_words(report: &Report) {
    let pid = sys::getpid();
    let mut total = Line::new(What::ProcessClock, pid, pid);
    total.figures.cpu_ns = Some(sys::process_cpu_ns(pid));
    report.write(&[Line::of_self(), total]);
}

/// Clients of an agent; see [`crate::soak`].
fn soak(args: &Args) {
    let path = |name: &str| PathBuf::from(args.text(name).expect("a path"));
    let first = args.get("first", 0);
    let clients = first..first + args.get("count", 1_usize);
    crate::soak::run_clients(&path("board"), &path("socket"), clients, args.get("seed", 0));
}

/// A worker of an agent whose jobs grow; see [`crate::bench::control::memory`].
fn hoard(args: &Args) {
    let ms = |name: &str| Duration::from_millis(args.get(name, 0));
    let growth = Growth {
        mib: (args.get("least-mib", 1), args.get("most-mib", 1)),
        grows: ms("grow-ms"),
        holds: ms("hold-ms"),
    };
    let socket = PathBuf::from(args.text("socket").expect("a path"));
    memory_jobs::hoard(&socket, growth, args.get("seed", 0));
}

/// Says something in the report that is no figure.
fn note(report: &Report, text: &str) {
    let mut line = Line::new(What::Note, sys::getpid(), sys::gettid());
    line.note = Some(text.to_owned());
    report.write(&[line]);
}

/// The path of this very program.
fn myself() -> PathBuf {
    std::env::current_exe().expect("the path of this program")
}
