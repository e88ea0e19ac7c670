//! What our program adds to each context switch, beside an empty program, `cpudist` of
//! libbpf-tools and a bpftrace one-liner, in one run.
//!
//! Two measures. The kernel's own statistics give the run time of a program, 51 ns of which or so
//! are the statistics themselves, in the empty program's figure and in ours alike. The ping-pong of
//! two threads gives what a switch really costs more, attaching and all: each time the same is
//! played right before with nothing attached, and of many short plays the quickest counts, since
//! whatever else the machine does only makes them slower.

use std::time::Duration;

use aya::programs::BtfTracePoint;
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf, EbpfLoader};
use profiler::kernel::{Attribution, Capacity, OBJECT, Tasks};
use profiler_common::TagMode;
use profiler_tests::bench::peer::Peer;
use profiler_tests::bench::ping_pong::PingPong;
use profiler_tests::bench::{argument, median};

/// Turns of a play.
const TURNS: u32 = 1_000;
/// Plays of which the quickest counts.
const PLAYS: usize = 40;

/// What one configuration cost, round by round.
#[derive(Default)]
struct Figures {
    added_ns: Vec<f64>,
    program_ns: Vec<f64>,
}

/// The pair of threads, and what a switch took with nothing attached whenever that was asked.
struct Switches {
    pair: PingPong,
    nothing_ns: Vec<f64>,
}

impl Switches {
    fn quickest_ns(&self) -> f64 {
        (0..PLAYS).map(|_| self.pair.play(TURNS)).fold(f64::INFINITY, f64::min)
    }

    /// What a switch takes more while that exists which `attach` gives.
    fn added<T>(&mut self, attach: impl FnOnce() -> T) -> (f64, T) {
        let nothing = self.quickest_ns();
        self.nothing_ns.push(nothing);
        let attached = attach();
        (self.quickest_ns() - nothing, attached)
    }

    /// What one run of a program takes, by the kernel's statistics: run time and runs so far.
    fn program_ns(&self, statistics: impl Fn() -> (Duration, u64)) -> f64 {
        let _stats = enable_stats(Stats::RunTime).unwrap();
        let plays = (0..PLAYS).map(|_| {
            let before = statistics();
            self.pair.play(TURNS);
            let after = statistics();
            (after.0 - before.0).as_nanos() as f64 / (after.1 - before.1) as f64
        });
        plays.fold(f64::INFINITY, f64::min)
    }
}

/// Tools of the field that look at switches: name, command, the program that they load.
const PEERS: [(&str, &[&str], &str); 2] = [
    ("cpudist of libbpf-tools", &["cpudist", "999999", "1"], "sched_switch"),
    (
        "bpftrace, count switches by thread",
        &["bpftrace", "-e", "tracepoint:sched:sched_switch { @[tid] = count(); }"],
        "sched_switch",
    ),
];

fn main() {
    let rounds = argument(1, 15, "switch [ROUNDS]");
    let mut switches = Switches { pair: PingPong::new(0), nothing_ns: Vec::new() };
    let [mut empty, mut untagged, mut tagged] = std::array::from_fn(|_| Figures::default());
    let mut peers = PEERS.map(|_| Vec::new());
    for _ in 0..rounds {
        with_empty(&mut switches, &mut empty);
        with_ours(&mut switches, false, &mut untagged);
        with_ours(&mut switches, true, &mut tagged);
        for ((_, command, program), with) in PEERS.iter().zip(&mut peers) {
            let (added, peer) = switches.added(|| Peer::start(command, program));
            with.extend(peer.map(|_| added));
        }
    }
    report(median(switches.nothing_ns), &empty, &untagged, &tagged, &peers);
}

fn with_empty(switches: &mut Switches, figures: &mut Figures) {
    let btf = Btf::from_sys_fs().unwrap();
    let mut ebpf: Ebpf =
        EbpfLoader::new().allow_unsupported_maps().load(OBJECT).expect("load the object");
    let program: &mut BtfTracePoint = ebpf.program_mut("empty_switch").unwrap().try_into().unwrap();
    let (added, ()) = switches.added(|| {
        program.load("sched_switch", &btf).unwrap();
        program.attach().unwrap();
    });
    figures.added_ns.push(added);
    figures.program_ns.push(switches.program_ns(|| {
        let info = program.info().unwrap();
        (info.run_time(), info.run_count())
    }));
}

fn with_ours(switches: &mut Switches, is_tagged: bool, figures: &mut Figures) {
    let tids = switches.pair.tids;
    let (added, attribution) = switches.added(|| {
        let mut attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
        let job = attribution.begin_job(0).unwrap();
        for tid in tids.into_iter().filter(|_| is_tagged) {
            attribution.tag(Tasks::Thread(tid), job, TagMode::Count).unwrap();
        }
        attribution
    });
    figures.added_ns.push(added);
    figures.program_ns.push(switches.program_ns(|| {
        let cost = attribution.cost("sched_switch").unwrap();
        (cost.run_time, cost.runs)
    }));
}

fn report(
    nothing_ns: f64,
    empty: &Figures,
    untagged: &Figures,
    tagged: &Figures,
    peers: &[Vec<f64>],
) {
    let added = |figures: &Figures| median(figures.added_ns.clone());
    let program = |figures: &Figures| median(figures.program_ns.clone());
    let over_empty = |figures: &Figures| (program(figures) - program(empty)) / program(empty);
    println!("a switch with nothing attached: {nothing_ns:.0} ns");
    println!(
        "{:<34}{:>12}{:>14}{:>22}",
        "attached", "adds", "program runs", "(ours - empty)/empty"
    );
    println!("{:<34}{:>9.0} ns{:>11.1} ns", "empty tp_btf program", added(empty), program(empty));
    for (name, figures, bound) in
        [("ours, untagged threads", untagged, 0.7), ("ours, tagged threads", tagged, 1.6)]
    {
        let ratio = over_empty(figures);
        println!(
            "{name:<34}{:>9.0} ns{:>11.1} ns{ratio:>14.2} (<= {bound})",
            added(figures),
            program(figures),
        );
    }
    for ((name, ..), with) in PEERS.iter().zip(peers) {
        if with.len() < tagged.added_ns.len() {
            println!("{name:<34}  not installed, or does not attach here");
            continue;
        }
        let cost = median(with.clone());
        println!("{name:<34}{cost:>9.0} ns    ours / theirs: {:.2}", added(tagged) / cost);
    }
}
