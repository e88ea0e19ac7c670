//! `cargo xtask bench simulate [SEEDS]`: the controller on all plants in `tests/plants` and on plants
//! drawn at random, against the oracle, the bars of docs/controller.md, and what others reach.
//!
//! Twenty seeds take about five minutes on two cores. Exit status 1 if a bar is missed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use profiler_tests::bench::argument;
use profiler_tests::binaries;
use serde_json::Value;

/// Seeds of drawn plants: nothing was tuned on them.
const DRAWN: u64 = 424_242;
const OTHERS: [&str; 8] =
    ["plain", "step", "halving", "aimd", "gradient2", "vegas", "pid", "run-queue"];

/// What is asked of a plant: the least goodput of any phase, the longest settling, the most overshoot.
const BARS: &[(&str, f64, f64, f64)] = &[
    ("cpu", 0.98, 5.0, f64::INFINITY),
    ("cpu-wait", 0.96, 15.0, f64::INFINITY),
    ("memory", 0.90, 60.0, f64::INFINITY),
    ("disk-thrash", 0.95, 30.0, 1.6),
    ("server-cap", 0.95, 30.0, 1.6),
    ("noisy-neighbour", 0.95, 5.25, f64::INFINITY),
    ("demand-step", 0.95, 15.0, f64::INFINITY),
    ("heavy-tail", 0.98, 5.0, f64::INFINITY),
    ("mix-of-three", 0.88, 60.0, f64::INFINITY),
    ("mix-of-five", 0.88, 60.0, f64::INFINITY),
];
/// Coefficient of variation of the limit in the last third.
const OSCILLATION: f64 = 0.05;
const JAIN: f64 = 0.95;

fn main() -> ExitCode {
    let seeds = argument(1, 20_u32, "simulate [SEEDS]").to_string();
    let mut missed = Vec::new();
    for plant in plants() {
        missed.extend(one(&plant, &seeds));
    }
    let usual = ["--random", "100"];
    let memory = ["--random", "30", "--kind", "memory"];
    missed.extend(drawn("100 of CPU, network and disk", &usual, (0.97, 0.92)));
    missed.extend(drawn("30 of memory", &memory, (0.88, 0.0)));
    println!("\n{} bars missed", missed.len());
    missed.iter().for_each(|bar| println!("  {bar}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plants() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plants");
    let entries = std::fs::read_dir(folder).expect("the plants");
    let mut plants: Vec<PathBuf> = entries.map(|entry| entry.expect("a plant").path()).collect();
    plants.sort();
    plants
}

fn simulate(args: &[&str]) -> Vec<Value> {
    let mut command = Command::new(binaries::profiler());
    command.arg("simulate").args(args).arg("--json").stderr(Stdio::inherit());
    let output = command.output().expect("the simulator");
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// With our controller first.
fn with_others(args: &[&str]) -> Vec<Value> {
    let others = OTHERS.iter().flat_map(|name| ["--controller", name]);
    let all: Vec<&str> =
        args.iter().copied().chain(["--controller", "ours"]).chain(others).collect();
    simulate(&all)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn runs(trial: &Value) -> &[Value] {
    trial["runs"].as_array().map_or(&[], Vec::as_slice)
}

/// Of all phases of all runs.
fn phases(trial: &Value, figure: &str) -> Vec<f64> {
    let phases = runs(trial).iter().filter_map(|run| run["phases"].as_array()).flatten();
    phases.map(|phase| number(&phase[figure])).collect()
}

fn least(figures: impl IntoIterator<Item = f64>) -> f64 {
    figures.into_iter().fold(f64::INFINITY, f64::min)
}

fn most(figures: impl IntoIterator<Item = f64>) -> f64 {
    figures.into_iter().fold(0.0, f64::max)
}

fn mean(trial: &Value) -> f64 {
    let goodputs: Vec<f64> = runs(trial).iter().map(|run| number(&run["goodput"])).collect();
    goodputs.iter().sum::<f64>() / goodputs.len().max(1) as f64
}

fn overcommits(trial: &Value) -> f64 {
    runs(trial).iter().map(|run| number(&run["overcommits"])).sum()
}

/// The best of those that never overcommit.
fn best_other(others: &[Value]) -> (f64, &str) {
    let fair = others.iter().filter(|trial| overcommits(trial) == 0.0);
    let best = fair.max_by(|a, b| mean(a).total_cmp(&mean(b)));
    best.map_or((0.0, "none"), |trial| (mean(trial), trial["controller"].as_str().unwrap_or("")))
}

fn one(plant: &Path, seeds: &str) -> Vec<String> {
    let name = plant.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let trials = with_others(&[&plant.display().to_string(), "--seeds", seeds]);
    let (ours, others) = trials.split_first().expect("ours");
    let goodput = least(phases(ours, "goodput"));
    let settles = most(phases(ours, "settling_seconds"));
    let overshoot = most(phases(ours, "overshoot"));
    let swings = most(phases(ours, "oscillation"));
    let jain = least(runs(ours).iter().map(|run| number(&run["jain"])));
    let starved = most(runs(ours).iter().map(|run| number(&run["starved_seconds"])));
    let over = overcommits(ours);
    let (best, other) = best_other(others);
    println!(
        "{name:20} {goodput:.3} settles {settles:5.1} s overshoot {overshoot:.2} swings {swings:.3} \
         over {over} starved {starved:.0} s jain {jain:.2}; mean {:.3}, of the best other {best:.3} \
         ({other})",
        mean(ours),
    );
    let mut missed = Vec::new();
    let mut bar = |holds: bool, what: String| {
        if !holds {
            missed.push(format!("{name}: {what}"));
        }
    };
    if let Some((_, asked, longest, highest)) = BARS.iter().find(|(known, ..)| *known == name) {
        bar(goodput >= *asked, format!("goodput {goodput:.3} of {asked}"));
        bar(settles <= *longest, format!("settles in {settles:.1} s, not {longest}"));
        bar(overshoot <= *highest, format!("overshoots {overshoot:.2} times, not {highest}"));
        bar(jain >= JAIN, format!("Jain {jain:.3}, not {JAIN}"));
    }
    bar(swings <= OSCILLATION, format!("swings by {swings:.3}, not {OSCILLATION}"));
    bar(over == 0.0 && starved == 0.0, format!("{over} overcommits, starved for {starved} s"));
    bar(mean(ours) >= best - 0.01, format!("{other} reaches {best:.3}, ours {:.3}", mean(ours)));
    missed
}

fn drawn(what: &str, args: &[&str], (asked, lowest): (f64, f64)) -> Vec<String> {
    let seed = DRAWN.to_string();
    let trials = with_others(&[args, &["--seed", &seed, "--seeds", "3"]].concat());
    let plants: Vec<&[Value]> = trials.chunks(1 + OTHERS.len()).collect();
    for index in 0..=OTHERS.len() {
        let of: Vec<f64> = plants.iter().map(|trials| mean(&trials[index])).collect();
        let over: f64 = plants.iter().map(|trials| overcommits(&trials[index])).sum();
        println!(
            "{what}: {:10} mean {:.3}, least {:.3}, {over} overcommits",
            plants[0][index]["controller"].as_str().unwrap_or(""),
            of.iter().sum::<f64>() / of.len() as f64,
            least(of.iter().copied()),
        );
    }
    let ours: Vec<f64> = plants.iter().map(|trials| mean(&trials[0])).collect();
    let average = ours.iter().sum::<f64>() / ours.len() as f64;
    let worst = least(ours.iter().copied());
    let over: f64 = plants.iter().map(|trials| overcommits(&trials[0])).sum();
    let mut missed = Vec::new();
    if average < asked || worst < lowest || over > 0.0 {
        missed.push(format!("{what}: mean {average:.3}, least {worst:.3}, {over} overcommits"));
    }
    for trials in &plants {
        let (best, other) = best_other(&trials[1..]);
        if mean(&trials[0]) < best - 0.01 {
            let plant = trials[0]["plant"].as_str().unwrap_or("");
            missed
                .push(format!("{plant}: {other} reaches {best:.3}, ours {:.3}", mean(&trials[0])));
        }
    }
    missed
}
