//! The simulator as its users see it: plants as files, tables and JSON as results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use profiler_tests::binaries;
use serde_json::Value;

/// The plants, where there is a source tree: the tests also run in machines without one.
fn plants() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plants");
    folder.is_dir().then_some(folder)
}

fn simulate(args: &[&str]) -> Output {
    let mut command = Command::new(binaries::profiler());
    command.arg("simulate").args(args).output().expect("the simulator")
}

fn json(args: &[&str]) -> Value {
    let output = simulate(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn each<'a>(trial: &'a Value, figure: &'a str) -> impl Iterator<Item = f64> + 'a {
    let runs = trial["runs"].as_array().expect("runs").iter();
    runs.map(move |run| run[figure].as_f64().expect("a figure"))
}

/// What the rule "one more below 80 %, one less above" reaches on each plant: known well, and the same
/// each time, so that a change of the simulator shows. And what ours reaches at least: a change of the
/// controller shows, long before `cargo xtask bench simulate` with twenty seeds.
const BANDS: &[(&str, f64, f64, f64)] = &[
    ("agent-restart", 0.77, 0.85, 0.95),
    ("burst", 0.96, 1.04, 0.98),
    ("compute-then-disk", 0.03, 0.10, 0.93),
    ("contention", 0.82, 0.90, 0.97),
    ("cpu", 0.74, 0.83, 0.98),
    ("cpu-wait", 0.77, 0.85, 0.96),
    ("crashes", 0.79, 0.87, 0.96),
    ("demand-step", 0.75, 0.83, 0.95),
    ("disk-thrash", 0.01, 0.10, 0.97),
    ("gpu", 0.96, 1.04, 0.95),
    ("heavy-tail", 0.76, 0.84, 0.97),
    ("hyper-threads", 0.90, 0.98, 0.97),
    ("memory", 1.12, 1.25, 0.90),
    ("mix-of-five", 0.35, 0.85, 0.95),
    ("mix-of-three", 0.57, 0.69, 0.93),
    ("noisy-neighbour", 0.71, 0.79, 0.95),
    ("one-core", 0.88, 0.96, 0.97),
    ("open-arrivals", 0.96, 1.04, 0.98),
    ("profile-quarter", 0.77, 0.85, 0.96),
    ("profile-times-four", 0.77, 0.85, 0.96),
    ("quota", 0.74, 0.82, 0.97),
    ("server-429", 0.11, 0.20, 0.80),
    ("server-cap", 0.10, 0.18, 0.93),
    ("square-neighbour", 0.70, 0.78, 0.97),
    ("threads", 0.82, 0.90, 0.95),
    ("tiny-memory", 1.15, 1.38, 0.95),
];

#[test]
fn each_plant_gives_a_simple_rule_what_it_always_did_and_ours_no_less() {
    let Some(folder) = plants() else { return };
    let mut outside = Vec::new();
    for (name, least, most, ours) in BANDS {
        let plant = folder.join(format!("{name}.toml")).display().to_string();
        let both = ["--controller", "step", "--controller", "ours", "--seeds", "2", "--json"];
        let trials = json(&[&[plant.as_str()][..], &both].concat());
        for goodput in each(&trials[0], "goodput") {
            if !(*least..=*most).contains(&goodput) {
                outside.push(format!("{name}, step: {goodput:.3}, not {least} to {most}"));
            }
        }
        for goodput in each(&trials[1], "goodput").filter(|goodput| goodput < ours) {
            outside.push(format!("{name}, ours: {goodput:.3}, not {ours}"));
        }
        for figure in ["overcommits", "kills", "starved_seconds"] {
            let sum: f64 = each(&trials[1], figure).sum();
            if sum > 0.0 {
                outside.push(format!("{name}, ours: {sum} {figure}"));
            }
        }
    }
    assert!(outside.is_empty(), "{}", outside.join("\n"));
}

#[test]
fn each_plant_has_its_band() {
    let Some(folder) = plants() else { return };
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the plants")
        .map(|entry| entry.expect("a plant").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let banded: Vec<&str> = BANDS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, banded);
    assert!(names.len() >= 15);
}

#[test]
fn the_same_seed_gives_the_same_output() {
    let Some(folder) = plants() else { return };
    let plant = folder.join("cpu-wait.toml").display().to_string();
    let run = |seed| {
        let args = [&plant, "--controller", "gradient2", "--seeds", "1", "--seed", seed, "--json"];
        simulate(&args).stdout
    };
    assert_eq!(run("3"), run("3"));
    assert_ne!(run("3"), run("4"));
}

#[test]
fn what_the_oracle_says_is_what_its_limits_reach() {
    let Some(folder) = plants() else { return };
    let plant = folder.join("disk-thrash.toml").display().to_string();
    let oracle = json(&[&plant, "--oracle", "--seeds", "2", "--json"]);
    let limit = oracle["oracles"][0]["limits"][0][0].as_u64().expect("a limit");
    let fixed = format!("static:{limit}");
    let trials = json(&[&plant, "--controller", &fixed, "--seeds", "2", "--json"]);
    for run in trials[0]["runs"].as_array().expect("runs") {
        assert_eq!(run["goodput"].as_f64(), Some(1.0));
    }
}

#[test]
fn drawn_plants_can_be_kept_and_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("new");
    let keep = folder.display().to_string();
    let args = ["--random", "2", "--seed", "9", "--seeds", "1", "--controller", "step", "--json"];
    let drawn = json(&[&args[..], &["--keep", &keep]].concat());
    let kept = folder.join("9-1.toml").display().to_string();
    let again = json(&[&kept, "--seed", "9", "--seeds", "1", "--controller", "step", "--json"]);
    assert_eq!(drawn[1], again[0]);
}

#[test]
fn a_plant_that_cannot_be_used_is_refused_in_one_line_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.toml");
    let bad = |text: &str| {
        fs::write(&file, text).expect("a file");
        let output = simulate(&[&file.display().to_string()]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{text}: {stderr}");
        stderr
    };
    let connector = "[[connector]]\nname = 'a'\n[connector.job]\n";
    let host = "name = 'p'\n[host]\ncores = 4\n";
    let unknown = bad(&format!("{host}{connector}cpu_second = 1\n"));
    assert!(unknown.contains("bad.toml:7: "), "{unknown}");
    assert!(unknown.contains("did you mean `cpu_seconds`?"), "{unknown}");
    let dangling = bad(&format!("{host}{connector}disk = 'sda'\ndisk_mb = 4\n"));
    assert!(dangling.contains("bad.toml:7: no [[disk]] is called `sda`"), "{dangling}");
    for nonsense in ["cpu_seconds = -1", "cpu_seconds = nan", "threads = 0", "cpu_seconds = 0"] {
        bad(&format!("{host}{connector}{nonsense}\n"));
    }
    for profile in ["avg_cpu_cores = 0", "avg_cpu_cores = nan", "weight = -1", "cap = 3"] {
        bad(&format!("{host}{connector}cpu_seconds = 1\n[connector.profile]\n{profile}\n"));
    }
    bad("");
    bad("\u{0}\u{1}");
    bad(&"[".repeat(10_000));
}

#[test]
fn a_controller_that_is_not_there_is_refused_with_those_that_are() {
    let output = simulate(&["x.toml", "--controller", "magic"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gradient2"));
    assert_eq!(simulate(&["/nowhere.toml"]).status.code(), Some(2));
    assert_eq!(simulate(&[]).status.code(), Some(2));
}
