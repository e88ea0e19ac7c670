//! What our program adds to each context switch, beside an empty program, `cpudist` of
//! libbpf-tools and a bpftrace one-liner, in one run.
//!
//! Two measures. The kernel's own statistics give the run time of a program, 51 ns of which or so
//! are the statistics themselves, in the empty program's figure and in ours alike. The ping-pong of
//! two threads gives what a switch really costs more, attaching and all.

use aya::programs::BtfTracePoint;
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf, EbpfLoader};
use profiler::kernel::{Attribution, Capacity, OBJECT, Tasks};
use profiler_common::TagMode;
use profiler_tests::bench::peer::Peer;
use profiler_tests::bench::ping_pong::PingPong;
use profiler_tests::bench::{argument, median};

const TURNS: u32 = 20_000;

/// What one configuration cost, round by round.
#[derive(Default)]
struct Figures {
    switch_ns: Vec<f64>,
    program_ns: Vec<f64>,
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
    let rounds = argument(1, 9, "switch [ROUNDS]");
    let pair = PingPong::new(0);
    pair.play(TURNS);
    let [mut nothing, mut empty, mut untagged, mut tagged] =
        std::array::from_fn(|_| Figures::default());
    let mut peers = PEERS.map(|_| Vec::new());
    for _ in 0..rounds {
        nothing.switch_ns.push(pair.play(TURNS));
        with_empty(&pair, &mut empty);
        with_ours(&pair, false, &mut untagged);
        with_ours(&pair, true, &mut tagged);
        for ((_, command, program), with) in PEERS.iter().zip(&mut peers) {
            with.extend(with_peer(&pair, command, program));
        }
    }
    report(&nothing, &empty, &untagged, &tagged, &peers);
}

fn with_empty(pair: &PingPong, figures: &mut Figures) {
    let btf = Btf::from_sys_fs().unwrap();
    let mut ebpf: Ebpf =
        EbpfLoader::new().allow_unsupported_maps().load(OBJECT).expect("load the object");
    let program: &mut BtfTracePoint = ebpf.program_mut("empty_switch").unwrap().try_into().unwrap();
    program.load("sched_switch", &btf).unwrap();
    program.attach().unwrap();
    figures.switch_ns.push(pair.play(TURNS));
    let _stats = enable_stats(Stats::RunTime).unwrap();
    let before = program.info().unwrap();
    pair.play(TURNS);
    let after = program.info().unwrap();
    figures.program_ns.push(
        (after.run_time() - before.run_time()).as_nanos() as f64
            / (after.run_count() - before.run_count()) as f64,
    );
}

fn with_ours(pair: &PingPong, is_tagged: bool, figures: &mut Figures) {
    let mut attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
    let job = attribution.begin_job(0).unwrap();
    if is_tagged {
        for tid in pair.tids {
            attribution.tag(Tasks::Thread(tid), job, TagMode::Count).unwrap();
        }
    }
    figures.switch_ns.push(pair.play(TURNS));
    let _stats = enable_stats(Stats::RunTime).unwrap();
    let before = attribution.cost("sched_switch").unwrap();
    pair.play(TURNS);
    let after = attribution.cost("sched_switch").unwrap();
    figures.program_ns.push(
        (after.run_time - before.run_time).as_nanos() as f64 / (after.runs - before.runs) as f64,
    );
}

fn with_peer(pair: &PingPong, command: &[&str], program: &str) -> Option<f64> {
    let _peer = Peer::start(command, program)?;
    Some(pair.play(TURNS))
}

fn report(
    nothing: &Figures,
    empty: &Figures,
    untagged: &Figures,
    tagged: &Figures,
    peers: &[Vec<f64>],
) {
    let over_nothing = |with: &[f64]| {
        median(with.iter().zip(&nothing.switch_ns).map(|(with, without)| with - without).collect())
    };
    let added = |figures: &Figures| over_nothing(&figures.switch_ns);
    let program = |figures: &Figures| median(figures.program_ns.clone());
    let over_empty = |figures: &Figures| (program(figures) - program(empty)) / program(empty);
    println!("a switch with nothing attached: {:.0} ns", median(nothing.switch_ns.clone()));
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
        if with.len() < nothing.switch_ns.len() {
            println!("{name:<34}  not installed, or does not attach here");
            continue;
        }
        let cost = over_nothing(with);
        println!("{name:<34}{cost:>9.0} ns    ours / theirs: {:.2}", added(tagged) / cost);
    }
}
