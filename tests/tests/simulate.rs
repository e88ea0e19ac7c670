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

fn goodput(plant: &Path, controller: &str) -> Vec<f64> {
    let plant = plant.display().to_string();
    let trials = json(&[&plant, "--controller", controller, "--seeds", "2", "--json"]);
    let runs = trials[0]["runs"].as_array().expect("runs");
    runs.iter().map(|run| run["goodput"].as_f64().expect("a goodput")).collect()
}

/// What the rule "one more below 80 %, one less above" reaches on each plant: known well, and the same
/// each time, so that a change of the simulator shows.
const BANDS: &[(&str, f64, f64)] = &[
    ("agent-restart", 0.77, 0.85),
    ("burst", 0.96, 1.04),
    ("contention", 0.82, 0.90),
    ("cpu", 0.74, 0.83),
    ("cpu-wait", 0.77, 0.85),
    ("crashes", 0.79, 0.87),
    ("demand-step", 0.75, 0.83),
    ("disk-thrash", 0.01, 0.10),
    ("gpu", 0.96, 1.04),
    ("heavy-tail", 0.76, 0.84),
    ("hyper-threads", 0.90, 0.98),
    ("memory", 1.12, 1.25),
    ("mix-of-five", 0.35, 0.85),
    ("mix-of-three", 0.57, 0.69),
    ("noisy-neighbour", 0.71, 0.79),
    ("one-core", 0.88, 0.96),
    ("open-arrivals", 0.96, 1.04),
    ("profile-quarter", 0.77, 0.85),
    ("profile-times-four", 0.77, 0.85),
    ("quota", 0.74, 0.82),
    ("server-429", 0.11, 0.20),
    ("server-cap", 0.10, 0.18),
    ("square-neighbour", 0.70, 0.78),
    ("threads", 0.82, 0.90),
    ("tiny-memory", 1.15, 1.38),
];

#[test]
fn each_plant_gives_a_simple_rule_what_it_always_did() {
    let Some(folder) = plants() else { return };
    let mut outside = Vec::new();
    for (name, least, most) in BANDS {
        for goodput in goodput(&folder.join(format!("{name}.toml")), "step") {
            if !(*least..=*most).contains(&goodput) {
                outside.push(format!("{name}: {goodput:.3}, not {least} to {most}"));
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
    let keep = folder.path().display().to_string();
    let args = ["--random", "2", "--seed", "9", "--seeds", "1", "--controller", "step", "--json"];
    let drawn = json(&[&args[..], &["--keep", &keep]].concat());
    let kept = folder.path().join("9-1.toml").display().to_string();
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
