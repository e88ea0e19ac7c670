//! What our program adds to each context switch, beside an empty program, `cpudist` of
//! libbpf-tools and a bpftrace one-liner, in one run.
//!
//! Two measures. The kernel's own statistics give the run time of a program, some 40 ns of which are
//! the statistics themselves, in the empty program's figure and in ours alike. The ping-pong of two
//! threads gives what a switch really costs more. Of ours it is the program at switches alone that is
//! attached: no other one of ours runs in a ping-pong.
//!
//! Machines change their pace from one second to the next by far more than a program takes. So all
//! programs are loaded first, and then attached in turn for a few hundredths of a second each, with
//! plays without any before and after; of many short plays the quick ones count, since whatever else
//! the machine does only makes them slower.

use aya::programs::BtfTracePoint;
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf, EbpfLoader};
use profiler::kernel::{Attribution, Capacity, OBJECT, Tasks};
use profiler_common::TagMode;
use profiler_tests::bench::loaded::Loaded;
use profiler_tests::bench::peer::Peer;
use profiler_tests::bench::ping_pong::PingPong;
use profiler_tests::bench::{argument, median, quantile};

/// Turns of a play.
const TURNS: u32 = 500;
/// Plays of which the quick ones count.
const PLAYS: usize = 20;
/// Plays before those that count.
const FIRST_PLAYS: usize = 3;

/// Tools of the field that look at switches: name, command, how the name of the program begins.
const PEERS: [(&str, &[&str], &str); 2] = [
    ("cpudist of libbpf-tools", &["cpudist", "999999", "1"], "sched_switch"),
    (
        "bpftrace, count switches by thread",
        &["bpftrace", "-e", "tracepoint:sched:sched_switch { @[tid] = count(); }"],
        "sched_switch",
    ),
];

/// What one program costs, round by round.
struct Contender<'a> {
    name: &'static str,
    pair: &'a PingPong,
    program: Option<Loaded>,
    added_ns: Vec<f64>,
    program_ns: Vec<f64>,
    /// (its program - an empty one) / an empty one.
    over_empty: Vec<f64>,
}

fn main() {
    let rounds = argument(1, 60, "switch [ROUNDS]");
    // Threads with a tag have storage of some program, which those without any do not.
    let [plain, tagged] = [PingPong::new(0), PingPong::new(0)];
    let empty = || Loaded::at_switch("empty_switch", || Some(load_empty()));
    let ours = |tids: &[u32]| Loaded::at_switch("sched_switch", || Some(load_ours(tids)));
    let mut contenders = vec![
        Contender::new("empty tp_btf program", &plain, empty()),
        Contender::new("ours, untagged threads", &plain, ours(&[])),
        Contender::new("ours, tagged threads", &tagged, ours(&tagged.tids)),
    ];
    for (name, command, program) in PEERS {
        let peer = Loaded::at_switch(program, || Peer::start(command, program));
        contenders.push(Contender::new(name, &plain, peer));
    }
    let mut beside = empty().unwrap();
    let mut nothing_ns = Vec::new();
    for round in 0..rounds {
        let order = &mut contenders[..];
        if round % 2 == 0 {
            nothing_ns.extend(order.iter_mut().map(|contender| contender.play(&mut beside)));
        } else {
            nothing_ns.extend(order.iter_mut().rev().map(|contender| contender.play(&mut beside)));
        }
    }
    report(median(nothing_ns), &contenders);
}

/// What a switch takes, of many plays the quickest but for the first tenth.
fn quick_ns(pair: &PingPong) -> f64 {
    for _ in 0..FIRST_PLAYS {
        pair.play(TURNS);
    }
    quantile((0..PLAYS).map(|_| pair.play(TURNS)).collect(), 10)
}

/// What one run of each of two programs takes by the kernel's statistics, play by play.
fn programs_ns(pair: &PingPong, programs: [&Loaded; 2]) -> [Vec<f64>; 2] {
    let _stats = enable_stats(Stats::RunTime).unwrap();
    let mut each = [const { Vec::new() }; 2];
    for _ in 0..PLAYS {
        let before = programs.map(Loaded::info);
        pair.play(TURNS);
        for ((program, before), each) in programs.iter().zip(before).zip(&mut each) {
            let after = program.info();
            let ran = (after.run_time() - before.run_time()).as_nanos();
            each.push(ran as f64 / (after.run_count() - before.run_count()) as f64);
        }
    }
    each
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, pair: &'a PingPong, program: Option<Loaded>) -> Self {
        Self {
            name,
            pair,
            program,
            added_ns: Vec::new(),
            program_ns: Vec::new(),
            over_empty: Vec::new(),
        }
    }

    /// A round: plays with nothing, with the program, and with nothing again; and under the kernel's
    /// statistics, with an empty program beside it, so that both run at the same pace of the machine.
    /// Returns what a switch took with nothing.
    fn play(&mut self, empty: &mut Loaded) -> f64 {
        let before = quick_ns(self.pair);
        let Some(program) = &mut self.program else { return before };
        let link = program.attach();
        let with = quick_ns(self.pair);
        drop(link);
        let nothing = f64::midpoint(before, quick_ns(self.pair));
        self.added_ns.push(with - nothing);
        let _links = [empty.attach(), program.attach()];
        let [empty, ours] = programs_ns(self.pair, [empty, program]);
        let over = ours.iter().zip(&empty).map(|(ours, empty)| (ours - empty) / empty);
        self.over_empty.push(median(over.collect()));
        self.program_ns.push(median(ours));
        nothing
    }
}

fn load_empty() -> Ebpf {
    let btf = Btf::from_sys_fs().unwrap();
    let mut ebpf: Ebpf =
        EbpfLoader::new().allow_unsupported_maps().load(OBJECT).expect("load the object");
    let program: &mut BtfTracePoint = ebpf.program_mut("empty_switch").unwrap().try_into().unwrap();
    program.load("sched_switch", &btf).unwrap();
    ebpf
}

/// Our programs, with tags on these threads.
fn load_ours(tids: &[u32]) -> Attribution {
    let mut attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
    let job = attribution.begin_job(0).unwrap();
    for tid in tids {
        attribution.tag(Tasks::Thread(*tid), job, TagMode::Count).unwrap();
    }
    attribution
}

fn report(nothing_ns: f64, contenders: &[Contender]) {
    let added = |of: &Contender| median(of.added_ns.clone());
    let program = |of: &Contender| median(of.program_ns.clone());
    let [empty, untagged, tagged, peers @ ..] = contenders else { return };
    println!("a switch with nothing attached: {nothing_ns:.0} ns");
    println!(
        "{:<34}{:>12}{:>14}{:>22}",
        "attached", "adds", "program runs", "(ours - empty)/empty"
    );
    println!("{:<34}{:>9.0} ns{:>11.1} ns", empty.name, added(empty), program(empty));
    for (ours, bound) in [(untagged, 0.7), (tagged, 1.6)] {
        let ratio = median(ours.over_empty.clone());
        println!(
            "{:<34}{:>9.0} ns{:>11.1} ns{ratio:>14.2} (<= {bound})",
            ours.name,
            added(ours),
            program(ours),
        );
    }
    for peer in peers {
        if peer.program.is_none() {
            println!("{:<34}  not installed, or does not attach here", peer.name);
            continue;
        }
        let share = added(tagged) / added(peer);
        println!(
            "{:<34}{:>9.0} ns{:>11.1} ns    ours / theirs: {share:.2}",
            peer.name,
            added(peer),
            program(peer),
        );
    }
}
