//! Settings: `profiler check-config`, from outside, and what the agent makes of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use profiler_tests::agent::{Agent, wait_until};
use profiler_tests::binaries::profiler;
use profiler_tests::hand::Hand;
use profiler_tests::require_bpf;
use serde_json::json;

/// Runs it on a configuration file with this text.
fn check(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profiler.toml");
    fs::write(&file, text).expect("a file");
    run(&file, arguments)
}

fn run(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(profiler());
    command.args(["check-config", "--config"]).arg(file).args(arguments);
    // Whatever the tests' own surroundings set.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RESOURCE_") {
            command.env_remove(name);
        }
    }
    command.output().expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_configuration_that_can_be_used_is_silent_and_ends_in_0() {
    let found = check("thresholds.cpu_percent = 90\n", &[]);
    assert_eq!(found.status.code(), Some(0));
    assert_eq!((text(&found.stdout), text(&found.stderr)), (String::new(), String::new()));
}

#[test]
fn everything_that_is_wrong_is_a_line_with_its_place_and_the_status_is_2() {
    let found = check("[thresholds]\ncpu_percent = 900\n\n[thresholdz]\n", &[]);
    assert_eq!(found.status.code(), Some(2));
    assert_eq!(text(&found.stdout), "");
    let lines = text(&found.stderr);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with(
        "profiler.toml:2: thresholds.cpu_percent is 900; must be a number from 5 to 100"
    ));
    assert!(
        lines[1].ends_with("profiler.toml:4: thresholdz is not known; did you mean thresholds?")
    );
}

#[test]
fn what_it_shows_is_a_configuration_that_it_takes() {
    let shown = check(
        "[connectors.video]\navg_cpu_cores = 4\n",
        &["--show", "--set", "memory.reserve=1 GiB"],
    );
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    assert!(shown.contains("reserve = \"1 GiB\"  # --set memory.reserve=1 GiB"), "{shown}");
    assert!(shown.contains("[connectors.local_files]"), "{shown}");
    let again = check(&shown, &["--show"]);
    let without_origins = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split("  # ").next().unwrap_or(line));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(without_origins(&text(&again.stdout)), without_origins(&shown));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let found = run(Path::new("/nowhere/profiler.toml"), &[]);
    assert_eq!(found.status.code(), Some(2));
    let line = text(&found.stderr);
    assert!(line.contains("/nowhere/profiler.toml: cannot be read"), "{line}");
}

/// How much of tables in the kernel a process has mapped; others it reads by calls.
fn mapped_tables_bytes(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the agent's maps");
    let tables = maps.lines().filter(|line| line.ends_with("anon_inode:bpf-map"));
    let held = |line: &str| {
        let mut fields = line.split_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let length = u64::from_str_radix(to, 16).ok()? - u64::from_str_radix(from, 16).ok()?;
        let offset = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
        // Behind its first page a ring is mapped twice, so that what passes its end is in one piece.
        Some(if offset == 0 { length } else { length / 2 })
    };
    tables.map(|line| held(line).expect("an address range and an offset")).sum()
}

#[test]
fn an_agent_that_is_not_to_count_in_the_kernel_samples_and_leaves_nothing_there() {
    require_bpf!();
    let mut agent = Agent::start(&[]);
    let status = |agent: &Agent| agent.ask("Status", json!({}));
    let source = |agent: &Agent| status(agent)["source"].take();
    let in_kernel = |agent: &Agent| status(agent)["own"]["tracing_memory_overhead_bytes"].as_u64();
    assert_eq!(source(&agent), "ebpf");
    wait_until("it has looked at its own cost", || in_kernel(&agent).is_some());
    let (said, least) = (in_kernel(&agent), mapped_tables_bytes(agent.pid()));
    assert!(
        said > Some(least) && least > (1 << 20),
        "{said:?}, and {least} bytes of tables mapped"
    );
    agent.kill();
    assert!(agent.pins().exists(), "it goes on counting after a crash");
    agent.set("attribution.enabled=false");
    agent.start_again();
    assert!(!agent.pins().exists());
    assert!(agent.told().contains("as attribution.enabled is false"), "{}", agent.told());
    assert_eq!(source(&agent), "procfs");
    wait_until("it has looked at its own cost", || in_kernel(&agent) == Some(0));
    let (hand, mut worker) = (Hand::hire(), agent.worker());
    let lease = worker.acquire(json!({ "connector": "a", "scope": "thread", "tid": hand.tid() }));
    let usage = worker.release(lease);
    assert_eq!((&usage["source"], &usage["tasks"]), (&json!("procfs"), &json!(1)), "{usage}");
    assert_eq!(agent.stop(), Some(0));
}
