//! What measuring costs: BPF time for each block request, socket call and page fault, beside an empty
//! program and the tools of the field that look at the same; and how much less of work is done under it.
//!
//! Time for each event comes from the kernel's own statistics, which are part of it: they add some
//! tens of nanoseconds to each run of a program, in the empty program's figure as in ours. That one
//! does nothing, so the difference is what ours take where nobody keeps statistics. Each round is
//! short. The median of all says what events cost while neighbours on the hardware take its caches
//! away, the calmest tenth what they cost otherwise: on a shared host these differ by half and more.
//! Work goes on for as long as it is looked at, and windows of a quarter of a second take turns: with
//! nothing attached, with ours, with four sets of ours, which count the same four times, and with nothing
//! again. Machines change their pace within seconds, so that fewer and longer windows tell less. Twenty
//! turns are a round, with programs loaded and work begun for it. What the two windows of nothing differ
//! by, chance makes, and on a shared host that is more than what ours cost; a quarter of what four sets
//! cost is known four times as well. Each set has its own code, maps and tags; they share the kernel's
//! memory that they look at, and compete for room in the CPU's caches. The share of all CPU time that our
//! programs took stands beside it, less what the statistics take in it.
//!
//! `bench-overhead [ROUNDS]` of all work at once, and a quarter as many of each part; 0 leaves work out.

use std::thread;
use std::time::{Duration, Instant};

use aya::sys::{Stats, enable_stats};
use profiler::kernel::{Attribution, Capacity, Tasks};
use profiler_common::TagMode;
use profiler_tests::bench::cost::{Cost, attach_empty, there};
use profiler_tests::bench::events::{Requests, SocketCalls, make_faults};
use profiler_tests::bench::load::{LOADS, Part, Running, Work};
use profiler_tests::bench::loaded::{Loaded, are_ours_there};
use profiler_tests::bench::peer::Peer;
use profiler_tests::bench::{argument, around_median, median, quantile};
use profiler_tests::sys;

/// Rounds of each kind of event, and events in a round.
const ROUNDS: u32 = 50;
const REQUESTS: u32 = 3_200;
const SOCKET_CALLS: u32 = 10_000;
const FAULTS: u32 = 20_000;
/// How long is looked at work at a time.
const WINDOW: Duration = Duration::from_millis(250);
/// Between attaching programs, or detaching them, and a window.
const REST: Duration = Duration::from_millis(60);
/// How many of each of our programs are attached where what they cost is to stand out from chance.
const SETS: usize = 4;
/// Where ours run often. The others run at births and ends and stay, so that all that is born is
/// counted.
const OFTEN: [&str; 6] = [
    "sched_switch",
    "rss_stat",
    "block_io_start",
    "block_rq_complete",
    "sock_send_length",
    "sock_recv_length",
];
/// From the begin of work until all of it is under way.
const BEGIN: Duration = Duration::from_millis(1_000);
/// How long the kernel's statistics are kept of it.
const STATISTICS: Duration = Duration::from_millis(1_000);
/// Turns with the same programs and processes. What ends while nothing is attached keeps its place in
/// our maps, of which there are only so many.
const TURNS: usize = 20;

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
    let rounds = argument(1, 16, "overhead [ROUNDS]");
    let work = match Work::new() {
        Ok(work) => work,
        Err(why) => return eprintln!("cannot measure: {why}"),
    };
    if are_ours_there() {
        eprintln!(
            "warning: an agent's programs are attached and count as part of nothing; stop it, or call \
             `profiler unpin`"
        );
    }
    println!("{:<40}{:>12}{:>12}{:>8}", "BPF time for", "calmest", "median", "runs");
    for event in &EVENTS {
        // What completes where it began finds what was noted in that CPU's cache.
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        for cpu in 0..if event.count == REQUESTS { cpus.min(2) } else { 1 } {
            report_event(event, &work, cpu);
        }
    }
    sys::unpin();
    if rounds > 0 {
        report_work(&work, rounds);
    }
}

/// This thread's work counts from now on, or that of those that it starts.
fn count(attribution: &mut Attribution, mode: TagMode) {
    let job = attribution.begin_job(0).expect("a job");
    let tid = sys::gettid().cast_unsigned();
    attribution.tag(Tasks::Thread(tid), job, mode).expect("a tag");
}

fn report_event(event: &Event, work: &Work, cpu: usize) {
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
        let mut attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
        count(&mut attribution, TagMode::Count);
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
}

/// What some of our programs cost so far.
fn ours(attribution: &Attribution, programs: &[&str]) -> Cost {
    let costs = programs.iter().map(|program| attribution.cost(program).expect("it is attached"));
    costs.map(|cost| Cost { ns: cost.run_time.as_nanos() as f64, runs: cost.runs as f64 }).sum()
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

fn report_work(work: &Work, rounds: usize) {
    if let Some(program) = Work::missing() {
        return println!("work is left out: {program} is not installed");
    }
    println!(
        "{:<36}{:>7}{:>25}{:>35}{:>25}{:>11}",
        "work", "rounds", "lost", "with four of each, a quarter", "by chance", "our share"
    );
    for (name, parts) in LOADS {
        let is_all = parts.len() > 1;
        // The bar is for all at once.
        let rounds = if is_all { rounds } else { rounds.div_ceil(4) };
        let [mut lost, mut quarter, mut chance, mut shares] = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            let round = Round::play(work, parts);
            shares.push(round.share);
            let [nothing, ours, more, again] = round.throughput();
            let less = |than: f64, now: f64| (1.0 - now / than) * 100.0;
            lost.push(less(f64::midpoint(nothing, again), ours));
            quarter.push(less(f64::midpoint(nothing, again), more) / SETS as f64);
            chance.push(less(nothing, again));
        }
        let bar = if is_all { "(< 1 %)" } else { "" };
        let (count, [lost, quarter, chance]) = (lost.len(), [lost, quarter, chance].map(around));
        let share = median(shares);
        println!("{name:<36}{count:>7}{lost:>25}{quarter:>25}{bar:>10}{chance:>25}{share:>9.2} %");
    }
}

/// The median in percent, and between what it surely lies.
fn around(values: Vec<f64>) -> String {
    let (low, high) = around_median(values.clone());
    format!("{:.2} % ({low:.2} to {high:.2})", median(values))
}

/// What was done a second in each window, part by part, turn by turn.
type Windows = Vec<[Vec<f64>; 4]>;

/// Windows of the same work, under programs that were loaded once.
struct Round {
    windows: Windows,
    /// What each part had of the CPUs.
    cpu_seconds: Vec<f64>,
    /// What our programs took of them, in percent.
    share: f64,
}

impl Round {
    fn play(work: &Work, parts: &[Part]) -> Self {
        let (mut attributions, sets): (Vec<_>, Vec<_>) = (0..SETS).map(|_| Loaded::ours()).unzip();
        for attribution in &mut attributions {
            count(attribution, TagMode::Parent);
        }
        let running = work.begin(parts);
        thread::sleep(BEGIN);
        attributions.truncate(1);
        let share = share_of_cpu(attributions, &running);
        let is_often = |program: &Loaded| {
            let info = program.info();
            let name = info.name_as_str().unwrap_or_default();
            OFTEN.iter().any(|often| often.starts_with(name))
        };
        let (mut often, mut others): (Vec<Vec<Loaded>>, Vec<Vec<Loaded>>) =
            sets.into_iter().map(|programs| programs.into_iter().partition(is_often)).unzip();
        let attach = |programs: &mut Vec<Loaded>| -> Vec<_> {
            programs.iter_mut().map(Loaded::attach).collect()
        };
        let stay: Vec<_> = others.iter_mut().map(attach).collect();
        let mut windows = Windows::new();
        for turn in 0..TURNS {
            // Each is as often the first, the second and so on.
            let mut order = [0, 1, 2, 3];
            order.rotate_left(turn % 4);
            let mut window = [const { Vec::new() }; 4];
            for which in order {
                // All each time, so that what this disturbs is the same.
                let mut attached: Vec<_> = often.iter_mut().map(attach).collect();
                attached.truncate([0, 1, SETS, 0][which]);
                thread::sleep(REST);
                window[which] = in_a_second(&running);
                drop(attached);
            }
            windows.push(window);
        }
        drop(stay);
        Self { windows, cpu_seconds: running.cpu_seconds(), share }
    }

    /// What was done with nothing attached, with ours, with several sets of ours and with nothing again,
    /// in all windows of each: the sum of what the parts did, each by what it takes of the CPUs.
    fn throughput(&self) -> [f64; 4] {
        let done = |which: usize, part: usize| -> f64 {
            self.windows.iter().map(|windows| windows[which][part]).sum()
        };
        let all = |which| -> f64 {
            let parts = self.cpu_seconds.iter().enumerate();
            parts.map(|(part, seconds)| seconds * done(which, part) / done(0, part)).sum()
        };
        [0, 1, 2, 3].map(all)
    }
}

/// What each part does a second, in one window.
fn in_a_second(running: &Running) -> Vec<f64> {
    let (began, before) = (Instant::now(), running.done());
    thread::sleep(WINDOW);
    let (after, seconds) = (running.done(), began.elapsed().as_secs_f64());
    after.iter().zip(before).map(|(after, before)| (after - before) / seconds).collect()
}

/// What our programs take of all CPU time while the work is done, in percent: the kernel's figure, less
/// what empty programs in the places of those that run often have for each run. In the middle of work that
/// is up to three times what it is else, since nothing of the kernel's clock is in the CPU's caches.
fn share_of_cpu(attributions: Vec<Attribution>, running: &Running) -> f64 {
    let _stats = enable_stats(Stats::RunTime).expect("the kernel's statistics");
    let looked = |so_far: &dyn Fn() -> Cost| {
        let (before, before_seconds) = (so_far(), running.cpu_seconds());
        thread::sleep(STATISTICS);
        let (after, seconds) = (so_far(), running.cpu_seconds());
        let seconds = seconds.iter().sum::<f64>() - before_seconds.iter().sum::<f64>();
        (after.since(before, 1), seconds)
    };
    let all = |attribution: &Attribution| {
        let programs: Vec<&str> =
            attribution.verified().expect("they are loaded").into_keys().collect();
        ours(attribution, &programs)
    };
    let (took, seconds) = looked(&|| attributions.iter().map(all).sum());
    drop(attributions);
    let there = there();
    let empty = attach_empty(&OFTEN);
    let (statistics, _) = looked(&|| Cost::of_all_but(&there));
    drop(empty);
    (took.ns - took.runs * statistics.ns / statistics.runs) / seconds / 1e7
}
