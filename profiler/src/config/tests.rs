mod documentation;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::section::Section;
use super::*;
use crate::model::{Bytes, Partial};

/// A folder with a configuration in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(text: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.file(), text).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("profiler.toml")
    }

    fn drop_in(self, name: &str, text: &str) -> Self {
        let folder = self.0.path().join("profiler.toml.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
        self
    }

    fn layers(&self) -> Layers {
        Layers {
            file: None,
            set: Vec::new(),
            environment: Vec::new(),
            surroundings: Surroundings {
                file: self.file(),
                runtime_directory: PathBuf::from("/run/profiler"),
                state_directory: PathBuf::from("/var/lib/profiler"),
            },
        }
    }

    fn load(&self) -> Result<Config, Problems> {
        Config::load(&self.layers())
    }

    /// The problems, a line each, with the folder's name left out.
    fn problems(&self) -> String {
        let problems = self.load().expect_err("it should have been refused").to_string();
        problems.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn it_runs_with_no_configuration_at_all() {
    let config = Folder::new().load().unwrap();
    assert_eq!(config.sockets.worker, Path::new("/run/profiler/worker.sock"));
    assert_eq!(config.history_file(), Path::new("/var/lib/profiler/history.db"));
    assert!((config.thresholds.cpu_percent - 85.0).abs() < f64::EPSILON);
    assert!((config.thresholds.memory_percent - 80.0).abs() < f64::EPSILON);
    assert_eq!(config.memory.reserve, Bytes(500 << 20));
    assert_eq!(config.streaming.chunk_size, Bytes(1 << 20));
    assert_eq!(config.streaming.stream_above, Bytes(10 << 20));
    assert_eq!(config.profile("imap_mailbox", None).max_concurrent_jobs, Some(2));
    assert!(config.connectors.is_empty() && config.providers.is_empty());
}

#[test]
fn each_place_goes_before_the_one_earlier() {
    let folder = Folder::with("thresholds.cpu_percent = 51\nthresholds.memory_percent = 61")
        .drop_in("20-late.toml", "[thresholds]\ncpu_percent = 53")
        .drop_in("10-early.toml", "[thresholds]\ncpu_percent = 52\n[memory]\nreserve = '1 GiB'")
        .drop_in(".20-late.toml.swp.toml", "not even TOML")
        .drop_in("notes.txt", "not even TOML");
    let config = folder.load().unwrap();
    assert!((config.thresholds.cpu_percent - 53.0).abs() < f64::EPSILON);
    assert!((config.thresholds.memory_percent - 61.0).abs() < f64::EPSILON);
    assert_eq!(config.memory.reserve, Bytes(1 << 30));

    let mut layers = folder.layers();
    layers.environment = environment(&[("RESOURCE_CPU_THRESHOLD", "54")]);
    let config = Config::load(&layers).unwrap();
    assert!((config.thresholds.cpu_percent - 54.0).abs() < f64::EPSILON);

    layers.set = vec!["thresholds.cpu_percent=55".to_owned(), "intervals.plan = 2s".to_owned()];
    let config = Config::load(&layers).unwrap();
    assert!((config.thresholds.cpu_percent - 55.0).abs() < f64::EPSILON);
    assert_eq!(config.intervals.plan, Duration::from_secs(2));
}

#[test]
fn a_named_file_must_be_there() {
    let mut layers = Folder::new().layers();
    layers.file = Some(PathBuf::from("/nowhere/profiler.toml"));
    let problems = Config::load(&layers).unwrap_err().to_string();
    assert!(problems.starts_with("/nowhere/profiler.toml: cannot be read"), "{problems}");
}

#[test]
fn every_environment_variable_sets_what_its_name_says() {
    let mut layers = Folder::new().layers();
    layers.environment = environment(&[
        ("RESOURCE_MONITORING_ENABLED", "false"),
        ("RESOURCE_MONITORING_INTERVAL", "2.5"),
        ("RESOURCE_CPU_THRESHOLD", "70"),
        ("RESOURCE_MEMORY_THRESHOLD", "60.5"),
        ("RESOURCE_MAX_MEMORY_MB", "2048"),
        ("RESOURCE_STREAMING_CHUNK_SIZE", "65536"),
        ("RESOURCE_ATTRIBUTION_ENABLED", "0"),
        ("RESOURCE_ATTRIBUTION_UPDATE_INTERVAL_SECS", "5"),
    ]);
    let config = Config::load(&layers).unwrap();
    assert!(!config.monitoring.enabled && !config.attribution.enabled);
    assert_eq!(config.monitoring.interval, Duration::from_millis(2500));
    assert!((config.thresholds.cpu_percent - 70.0).abs() < f64::EPSILON);
    assert!((config.thresholds.memory_percent - 60.5).abs() < f64::EPSILON);
    assert_eq!(config.memory.ceiling, Some(Bytes(2 << 30)));
    assert_eq!(config.streaming.chunk_size, Bytes(65_536));
    assert_eq!(config.attribution.update_interval, Duration::from_secs(5));

    layers.environment = environment(&[("RESOURCE_MONITORING_INTERVAL", "250ms")]);
    let config = Config::load(&layers).unwrap();
    assert_eq!(config.monitoring.interval, Duration::from_millis(250));
}

#[test]
fn the_environment_is_checked_like_a_file() {
    let mut layers = Folder::new().layers();
    layers.environment = environment(&[
        ("RESOURCE_CPU_THRESHOLD", "0.85"),
        ("RESOURCE_MAX_MEMORY_MB", "-5"),
        ("RESOURCE_MONITORING_ENABLED", ""),
        ("RESOURCE_CPU_TRESHOLD", "70"),
        ("RESOURCE_GROUP", "production"),
    ]);
    insta::assert_snapshot!(Config::load(&layers).unwrap_err().to_string(), @r##"
    environment variable RESOURCE_CPU_THRESHOLD: thresholds.cpu_percent is "0.85"; must be a number from 5 to 100
    environment variable RESOURCE_MAX_MEMORY_MB: memory.ceiling is "-5"; must be a size from 1 MiB to 1024 TiB, such as "500 MB" or "1 GiB"
    "##);
    layers.environment.drain(..2);
    insta::assert_snapshot!(Config::load(&layers).unwrap().warnings.join("\n"), @"environment variable RESOURCE_CPU_TRESHOLD is not known; did you mean RESOURCE_CPU_THRESHOLD?");
}

#[test]
fn everything_wrong_is_said_at_once_with_its_place_and_what_would_be_right() {
    let folder = Folder::with(
        r#"
thresholds.cpu_percent = 850
state_directory = "var"
treshold = 3

[connectors.imap]
max_concurent_jobs = 4
weight = nan
io_pattern = "sideways"
avg_cpu_cores = "0.5"
preferred_concurrency = -1
[connectors.imap.sources.work]
max_memory_mb = 0
colour = "red"

[intervals]
plan = 250
cpu_percent = 80

[memory]
reserve = "lots"
ceiling = 1e300

[log]
format = { json = true }
filter = "inof"

[providers]
openai = 5
[providers."bad\u0007name"]
"#,
    )
    .drop_in("more.toml", "[history]\nkeep = '1 parsec'");
    insta::assert_snapshot!(folder.problems(), @r##"
    profiler.toml:2: thresholds.cpu_percent is 850; must be a number from 5 to 100
    profiler.toml:3: state_directory is "var"; must be an absolute path in quotes
    profiler.toml:4: treshold is not known; did you mean thresholds?
    profiler.toml:7: connectors.imap.max_concurent_jobs is not known; did you mean max_concurrent_jobs?
    profiler.toml:8: connectors.imap.weight is NaN; must be a number from 0.001 to 1000
    profiler.toml:9: connectors.imap.io_pattern is "sideways"; must be one of "sequential", "random", "network", "mixed"
    profiler.toml:10: connectors.imap.avg_cpu_cores is "0.5"; must be a number from 0.001 to 4096
    profiler.toml:11: connectors.imap.preferred_concurrency is -1; must be a whole number from 1 to 100000
    profiler.toml:13: connectors.imap.sources.work.max_memory_mb is 0; must be a number from 0.1 to 16777216
    profiler.toml:14: connectors.imap.sources.work.colour is not known; known here: cpu_intensity, memory_intensity, io_intensity, io_pattern, max_concurrent_jobs, preferred_concurrency, avg_cpu_cores, avg_memory_mb, avg_duration_seconds, adaptive_concurrency, backpressure_threshold, weight, priority, providers, max_memory_mb, gpu
    profiler.toml:17: intervals.plan is 250; must be a time from 50ms to 1h, such as "250ms", "30s", "5m", "2h" or "7d"
    profiler.toml:18: intervals.cpu_percent is not known; did you mean thresholds.cpu_percent?
    profiler.toml:21: memory.reserve is "lots"; must be a size from 0 B to 1024 TiB, such as "500 MB" or "1 GiB"
    profiler.toml:22: memory.ceiling is 1e300; must be a size from 1 MiB to 1024 TiB, such as "500 MB" or "1 GiB"
    profiler.toml:25: log.format is a table; must be one of "text", "json"
    profiler.toml:26: log.filter is "inof"; must be a level, one of "error", "warn", "info", "debug", "trace" or "off", or levels by module, such as "warn,profiler::agent=debug"
    profiler.toml:29: providers.openai is 5; must be a section: [providers.openai]
    profiler.toml:30: providers."bad\u0007name" has no usable name; it must be a name of 1 to 63 bytes without control characters
    profiler.toml.d/more.toml:2: history.keep is "1 parsec"; must be a time from 1h to 3650d, such as "250ms", "30s", "5m", "2h" or "7d"
    "##);
}

#[test]
fn what_is_not_toml_is_said_line_by_line() {
    insta::assert_snapshot!(
        Folder::with("[sockets\nworker = \n\n[limits]\nconnections = 1 2\n").problems(),
        @r##"
    profiler.toml:1: unclosed table, expected `]`
    profiler.toml:5: string values must be quoted, expected literal string
    "##
    );
    let folder = Folder::new();
    fs::write(folder.file(), b"a = \"\xff\"").unwrap();
    assert_eq!(folder.problems(), "profiler.toml: cannot be read: not UTF-8 text");
    fs::write(folder.file(), " ".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(folder.problems(), "profiler.toml: cannot be read: larger than 1048576 bytes");
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    insta::assert_snapshot!(Folder::with(
        r#"
sockets = { worker = "/run/a.sock", control = "/run/a.sock" }
limits = { connections = 10, connections_per_user = 20 }
capacities.connectors = 1
[connectors.imap]
max_concurrent_jobs = 2
preferred_concurrency = 3
providers = ["opanai"]
[connectors.vault]
max_memory_mb = 100
[connectors.vault.sources.big]
avg_memory_mb = 200
[providers.openai]
"#
    )
    .problems(), @r##"
    profiler.toml:2: sockets.control is the same path as sockets.worker; each needs its own
    profiler.toml:3: limits.connections_per_user is 20, above limits.connections, which is 10
    profiler.toml:4: capacities.connectors is 1, but 2 connectors are configured
    profiler.toml:7: connectors.imap.preferred_concurrency is 3, above connectors.imap.max_concurrent_jobs, which is 2
    profiler.toml:8: connectors.imap.providers names "opanai", which has no section [providers.opanai]; did you mean "openai"?
    profiler.toml:12: connectors.vault.sources.big.avg_memory_mb is 200, above connectors.vault.max_memory_mb, which is 100
    "##);
}

#[test]
fn a_default_gives_way_to_what_is_written() {
    // Fewer connections in all than a user may have by default.
    let config = Folder::with("limits.connections = 10").load().unwrap();
    assert_eq!((config.limits.connections, config.limits.connections_per_user), (10, 10));
    // More jobs than tasks by default.
    let config = Folder::with("capacities.jobs = 100_000").load().unwrap();
    assert_eq!(config.capacities.tasks, 100_000);
    // Fewer jobs than the built-in profile prefers.
    let config = Folder::with("connectors.local_files.max_concurrent_jobs = 1").load().unwrap();
    assert_eq!(config.profile("local_files", None).preferred_concurrency, 1);
    // Fewer jobs of one source than the connector prefers.
    let text = "[connectors.a]\npreferred_concurrency = 3\n\
                [connectors.a.sources.b]\nmax_concurrent_jobs = 2\n";
    let config = Folder::with(text).load().unwrap();
    assert_eq!(config.profile("a", Some("b")).preferred_concurrency, 2);
    assert_eq!(config.profile("a", None).preferred_concurrency, 3);
}

#[test]
fn a_source_has_its_connectors_profile_but_for_what_it_says() {
    let config = Folder::with(
        r#"
[connectors.imap_mailbox]
avg_memory_mb = 400
[connectors.imap_mailbox.sources."me@example.org"]
max_concurrent_jobs = 1
"#,
    )
    .load()
    .unwrap();
    let profile = config.profile("imap_mailbox", Some("me@example.org"));
    assert_eq!((profile.max_concurrent_jobs, profile.avg_memory_mb), (Some(1), 400.0));
    let other = config.profile("imap_mailbox", Some("you@example.org"));
    assert_eq!((other.max_concurrent_jobs, other.avg_memory_mb), (Some(2), 400.0));
    assert_eq!(config.profile("imap_mailbox", None), other);
}

#[test]
fn a_reload_says_what_changes_and_what_waits_for_a_restart() {
    let before = Folder::with("[connectors.imap_mailbox]\navg_cpu_cores = 0.25\n").load().unwrap();
    let after = Folder::with(
        r#"
sockets.worker = "/run/other.sock"
thresholds.cpu_percent = 85.0
thresholds.memory_percent = 90
memory.ceiling = "4 GiB"
[connectors.imap_mailbox]
max_concurrent_jobs = 4
[connectors.imap_mailbox.sources.work]
weight = 2
[providers.openai]
calls_per_minute = 60
"#,
    )
    .load()
    .unwrap();
    let lines = |changes: Vec<Change>| {
        changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(lines(Config::changes(&before, &after)), @r##"
    connectors.imap_mailbox.avg_cpu_cores: 0.25 -> 0.2
    connectors.imap_mailbox.max_concurrent_jobs: 2 -> 4
    connectors.imap_mailbox.sources.work.avg_cpu_cores: 0.25 -> 0.2
    connectors.imap_mailbox.sources.work.max_concurrent_jobs: 2 -> 4
    connectors.imap_mailbox.sources.work.weight: 1.0 -> 2.0
    memory.ceiling: unset -> "4 GiB"
    providers.openai.calls_per_minute: unset -> 60.0
    providers.openai.cap: unset -> 5
    sockets.worker: "/run/profiler/worker.sock" -> "/run/other.sock" (takes effect at the next start)
    thresholds.memory_percent: 80.0 -> 90.0
    "##);
    assert_eq!(Config::changes(&after, &after), []);
    let there_and_back = Config::changes(&before, &after).len();
    assert_eq!(Config::changes(&after, &before).len(), there_and_back);
}

#[test]
fn what_is_said_of_one_source_and_can_only_hold_for_all_is_warned_of() {
    let folder = Folder::with("[connectors.a.sources.b]\npriority = \"background\"\nweight = 2\n");
    let warnings = folder.load().unwrap().warnings;
    let expected = "connectors.a.sources.b.weight has no effect: it holds for all of a connector or \
                    not at all";
    assert_eq!(warnings, [expected]);
}

#[test]
fn what_is_shown_gives_the_same_configuration() {
    let config = Folder::with(
        r#"
log.filter = "warn,profiler::agent=debug"
history = { keep = "90m", max_size = "1.5 GB", file = "/data/a \"b\".db" }
[connectors."my.mail"]
providers = ["openai"]
weight = 0.5
[connectors."my.mail".sources."a b"]
max_concurrent_jobs = 7
[providers.openai]
cap = 3
"#,
    )
    .load()
    .unwrap();
    let again = Folder::with(&config.shown());
    assert_eq!(Config::changes(&config, &again.load().unwrap()), [], "{}", config.shown());
    assert!(config.shown().contains("weight = 0.5  # /"), "{}", config.shown());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_what_it_takes_makes_sense(text in "[ -~\n]{0,200}") {
        let mut merged = merged::Merged::default();
        let origin = |_| Origin::Default;
        let _ = written::read(&text, &origin, &keys::Known::new(), &mut merged);
    }

    #[test]
    fn any_values_are_taken_or_refused_and_never_something_between(
        cpu in any::<f64>(),
        cap in any::<i64>(),
        preferred in -2_i64..8,
        name in "[a-z.\" ]{1,8}",
    ) {
        let name = key_path::quoted(&name);
        let folder = Folder::with(&format!(
            "thresholds.cpu_percent = {cpu:?}\n[connectors.{name}]\n\
             max_concurrent_jobs = {cap}\npreferred_concurrency = {preferred}\n"
        ));
        let makes_sense = (5.0..=100.0).contains(&cpu)
            && (1..=100_000).contains(&cap)
            && (1..=cap).contains(&preferred);
        prop_assert_eq!(folder.load().is_ok(), makes_sense);
    }
}
