//! What measuring costs: BPF time for each block request, socket call and page fault, beside an empty
//! program and the tools of the field that look at the same; and how much longer work takes under it.
//!
//! Time for each event comes from the kernel's own statistics, which are part of it: they add some
//! tens of nanoseconds to each run of a program, in the empty program's figure as in ours. That one
//! does nothing, so the difference is what ours take where nobody keeps statistics. Each round is
//! short. The median of all says what events cost while neighbours on the hardware take its caches
//! away, the calmest tenth what they cost otherwise: on a shared host these differ by half and more.
//! Work is done three times a round, in turning order: with nothing attached, with ours, and with nothing
//! again. What ours add is no finer than what the two runs of nothing differ by, so the share of all CPU
//! time that our programs took stands beside it, less what the statistics take in it.
//!
//! `bench-overhead [ROUNDS]`; 0 leaves the work out.

use std::thread;
use std::time::Duration;

use aya::sys::{Stats, enable_stats};
use profiler::kernel::{Attribution, Capacity, Tasks};
use profiler_common::{JobRef, TagMode};
use profiler_tests::bench::cost::{Cost, attach_empty, there};
use profiler_tests::bench::events::{Requests, SocketCalls, make_faults};
use profiler_tests::bench::load::{LOADS, Load, Taken, Work};
use profiler_tests::bench::peer::Peer;
use profiler_tests::bench::{argument, around_median, median, quantile};
use profiler_tests::sys;

/// Rounds of each kind of event, and events in a round.
const ROUNDS: u32 = 50;
const REQUESTS: u32 = 3_200;
const SOCKET_CALLS: u32 = 10_000;
const FAULTS: u32 = 20_000;
/// Between loading programs, or taking them away, and work.
const REST: Duration = Duration::from_millis(100);

/// A tool of the field: its name, how it is started, the program by which we know that it is there.
type Tool = (&'static str, &'static [&'static str], &'static str);

/// A kind of event.
struct Event {
    name: &'static str,
    /// How many in a round.
    count: u32,
    /// Our programs that run then.
    programs: &'static [&'static str],
    /// Where the empty program is attached for comparison.
    tracepoints: &'static [&'static str],
    /// The most that ours may cost, in nanoseconds, the statistics left out.
    bar: Option<f64>,
    tools: &'static [Tool],
}

const EVENTS: [Event; 3] = [
    Event {
        name: "a block request, start to end",
        count: REQUESTS,
        programs: &[
            "block_io_start",
            "block_rq_complete",
            "block_rq_merge",
            "block_bio_backmerge",
            "block_bio_frontmerge",
        ],
        tracepoints: &["block_io_start", "block_rq_complete"],
        bar: Some(250.0),
        tools: &[
            ("biolatency of libbpf-tools", &["biolatency", "999999", "1"], "block_rq_"),
            ("biosnoop of libbpf-tools", &["biosnoop"], "block_rq_"),
            (
                "bpftrace, bytes by thread and latency",
                &["bpftrace", "-e", BPFTRACE_REQUESTS],
                "block_",
            ),
        ],
    },
    Event {
        name: "a socket call",
        count: SOCKET_CALLS,
        programs: &["sock_send_length", "sock_recv_length"],
        tracepoints: &["sock_send_length", "sock_recv_length"],
        bar: Some(250.0),
        tools: &[
            ("tcptop of libbpf-tools", &["tcptop", "999999", "1"], "tcp_"),
            ("bpftrace, bytes by thread", &["bpftrace", "-e", BPFTRACE_SOCKETS], "sock_"),
        ],
    },
    Event {
        name: "a page, touched and given back",
        count: FAULTS,
        programs: &["rss_stat"],
        tracepoints: &["rss_stat"],
        bar: None,
        tools: &[("bpftrace, changes by process", &["bpftrace", "-e", BPFTRACE_PAGES], "rss_stat")],
    },
];

const BPFTRACE_REQUESTS: &str = "tracepoint:block:block_io_start \
    { @at[args->dev, args->sector] = nsecs; @bytes[tid] = sum(args->bytes); } \
    tracepoint:block:block_rq_complete /@at[args->dev, args->sector]/ \
    { @us = hist((nsecs - @at[args->dev, args->sector]) / 1000); \
      delete(@at[args->dev, args->sector]); }";
const BPFTRACE_SOCKETS: &str = "tracepoint:sock:sock_send_length { @sent[tid] = sum(args->ret); } \
    tracepoint:sock:sock_recv_length { @got[tid] = sum(args->ret); }";
const BPFTRACE_PAGES: &str = "tracepoint:kmem:rss_stat { @[pid, args->member] = max(args->size); }";

fn main() {
    let rounds = argument(1, 30, "overhead [ROUNDS]");
    let work = match Work::new() {
        Ok(work) => work,
        Err(why) => return eprintln!("cannot measure: {why}"),
    };
    println!("{:<40}{:>12}{:>12}{:>8}", "BPF time for", "calmest", "median", "runs");
    let mut empty_runs_ns = Vec::new();
    for event in &EVENTS {
        // What completes where it began finds what was noted in that CPU's cache.
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        for cpu in 0..if event.count == REQUESTS { cpus.min(2) } else { 1 } {
            empty_runs_ns.push(report_event(event, &work, cpu));
        }
    }
    sys::unpin();
    if rounds > 0 {
        report_work(&work, rounds, median(empty_runs_ns));
    }
}

/// Attached, with the given threads' work counted.
fn attributed(mode: TagMode) -> (Attribution, JobRef) {
    let mut attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
    let job = attribution.begin_job(0).expect("a job");
    let tid = sys::gettid().cast_unsigned();
    attribution.tag(Tasks::Thread(tid), job, mode).expect("a tag");
    (attribution, job)
}

/// Gives what one run of an empty program takes, in nanoseconds: hardly anything but the statistics.
fn report_event(event: &Event, work: &Work, cpu: usize) -> f64 {
    println!("{}, from CPU {cpu}", event.name);
    sys::pin(cpu);
    let mut requests = Requests::new(&work.disk.path("file"));
    let mut sockets = SocketCalls::new();
    let mut make = || match event.count {
        REQUESTS => requests.make(REQUESTS),
        _ if event.name.contains("socket") => sockets.make(SOCKET_CALLS),
        _ => make_faults(FAULTS),
    };
    let before = there();
    let empty = {
        let _empty = attach_empty(event.tracepoints);
        cost(event.count, &mut make, || Cost::of_all_but(&before))
    };
    let ours = {
        let (attribution, _) = attributed(TagMode::Count);
        cost(event.count, &mut make, || ours(&attribution, event.programs))
    };
    let bar = event.bar.map_or(String::new(), |bar| format!(" (<= {bar})"));
    let more = ours.median - empty.median;
    let line = |name: &str, cost: PerEvent| {
        format!("  {name:<38}{:>9.1} ns{:>9.1} ns{:>8.2}", cost.calmest, cost.median, cost.runs)
    };
    println!("{}", line("an empty program in each place", empty));
    println!("{}  without the statistics {more:.1} ns{bar}", line("ours", ours));
    for (name, command, program) in event.tools {
        let before = there();
        let Some(_peer) = Peer::start(command, program) else {
            println!("  {name:<38}  not installed, or does not attach here");
            continue;
        };
        let theirs = cost(event.count, &mut make, || Cost::of_all_but(&before));
        if theirs.runs == 0.0 {
            println!("  {name:<38}  attaches, and sees none of these here");
            continue;
        }
        println!("{}  ours / theirs: {:.2}", line(name, theirs), ours.median / theirs.median);
    }
    empty.median / empty.runs
}

/// What some of our programs cost so far.
fn ours(attribution: &Attribution, programs: &[&str]) -> Cost {
    let costs = programs.iter().map(|program| attribution.cost(program).expect("it is attached"));
    costs.fold(Cost::default(), |sum, cost| Cost {
        ns: sum.ns + cost.run_time.as_nanos() as f64,
        runs: sum.runs + cost.runs as f64,
    })
}

/// What programs cost for one event, in nanoseconds.
#[derive(Clone, Copy)]
struct PerEvent {
    /// In the calmest tenth of all rounds.
    calmest: f64,
    /// In the middle one.
    median: f64,
    /// How many programs ran.
    runs: f64,
}

fn cost(count: u32, make: &mut impl FnMut(), so_far: impl Fn() -> Cost) -> PerEvent {
    make();
    let _stats = enable_stats(Stats::RunTime).expect("the kernel's statistics");
    let rounds: Vec<Cost> = (0..ROUNDS)
        .map(|_| {
            let begun = so_far();
            make();
            so_far().since(begun, count)
        })
        .collect();
    let ns: Vec<f64> = rounds.iter().map(|round| round.ns).collect();
    PerEvent {
        calmest: quantile(ns.clone(), 10),
        median: median(ns),
        runs: median(rounds.iter().map(|round| round.runs).collect()),
    }
}

fn report_work(work: &Work, rounds: usize, empty_run_ns: f64) {
    if !work.has_fio {
        println!("fio is not installed: our own workload reads the files");
    }
    println!("{:<36}{:>8}{:>24}{:>24}{:>16}", "work", "takes", "longer", "more CPU", "our share");
    for (name, load) in LOADS {
        // The first run fills caches.
        let _ = work.done(load);
        let rounds: Vec<Round> = (0..rounds).map(|number| round(work, load, number)).collect();
        let alone = median(rounds.iter().map(|round| round.nothing.seconds).collect());
        let bar = if load == Load::All { "  (< 1 %)" } else { "" };
        let share = share_of_cpu(work, load, empty_run_ns);
        println!(
            "{name:<36}{alone:>6.2} s{}{share:>14.2} %{bar}",
            more(&rounds, |round| round.ours)
        );
        println!("{:<44}{}", "  nothing attached, once more", more(&rounds, |round| round.again));
    }
}

/// How much more time and CPU time than with nothing attached, in percent of the median round, and
/// between what that surely lies.
fn more(rounds: &[Round], run: fn(&Round) -> Taken) -> String {
    let column = |of: fn(Taken) -> f64| {
        let each = rounds.iter().map(|round| (of(run(round)) / of(round.nothing) - 1.0) * 100.0);
        let each: Vec<f64> = each.collect();
        let (low, high) = around_median(each.clone());
        format!("{:>8.1} % {:>14}", median(each), format!("({low:.1} to {high:.1})"))
    };
    column(|taken| taken.seconds) + &column(|taken| taken.cpu_seconds)
}

/// What our programs took of all CPU time while the work was done, in percent: the kernel's figure, less
/// what an empty program would have had for each of the runs.
fn share_of_cpu(work: &Work, load: Load, empty_run_ns: f64) -> f64 {
    let (attribution, job) = attributed(TagMode::Parent);
    let _stats = enable_stats(Stats::RunTime).expect("the kernel's statistics");
    let programs: Vec<&str> =
        attribution.verified().expect("they are loaded").into_keys().collect();
    let before = ours(&attribution, &programs);
    // The time that it takes is not what is asked for here.
    let _ = work.done(load);
    let after = ours(&attribution, &programs);
    let (ns, runs) = (after.ns - before.ns, after.runs - before.runs);
    let (figures, _) = attribution.job(job).expect("its slot");
    100.0 * (ns - runs * empty_run_ns) / figures.ended.counters.cpu_ns as f64
}

/// The same work three times. What the two runs with nothing attached differ by, chance makes.
struct Round {
    nothing: Taken,
    ours: Taken,
    again: Taken,
}

fn round(work: &Work, load: Load, number: usize) -> Round {
    // Programs are loaded before each: that takes both CPUs, and what comes after it finds them in
    // another state than after a rest.
    let run = |stay: bool| {
        let attribution = Some(attributed(TagMode::Parent)).filter(|_| stay);
        thread::sleep(REST);
        let taken = work.done(load);
        drop(attribution);
        taken
    };
    // Each is as often the first, the second and the third.
    let mut order = [0, 1, 2];
    order.rotate_left(number % 3);
    let mut taken = [None; 3];
    for which in order {
        taken[which] = Some(run(which == 1));
    }
    let [nothing, ours, again] = taken.map(|taken| taken.expect("each was run"));
    Round { nothing, ours, again }
}
