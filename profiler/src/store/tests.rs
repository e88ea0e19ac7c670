use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;

use super::columns::FIGURES;
use super::*;
use crate::model::{Latency, Source, Usage};

pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) fn settings(folder: &Path) -> Settings {
    // Longer than there was time: some tests have jobs of 1970.
    let keep = Duration::from_hours(24 * 365 * 200);
    let retention = Retention { keep, max_bytes: 1 << 30 };
    Settings { file: folder.join("state").join("history.db"), retention, queue: 100_000 }
}

pub(super) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

pub(super) fn job(lease: u64) -> PastJob {
    PastJob {
        lease,
        connector: "imap_mailbox".to_owned(),
        source: Some("me@example.org".to_owned()),
        label: None,
        outcome: Some(Outcome::Succeeded),
        uid: 1000,
        pid: 4242,
        began_unix_ms: now_ms(),
        duration_ms: 1500,
        waited_ms: 20,
        cpu_percent_mean: Some(37.5),
        cpu_percent_peak: Some(99.0),
        host_cpu_percent: Some(12.0),
        host_memory_percent: None,
        usage: Usage {
            cpu_ns: Some(562_500_000),
            memory_peak_bytes: Some(lease << 20),
            ..Usage::unknown(Source::Ebpf)
        },
    }
}

pub(super) fn start(folder: &Path) -> (Store, Recovered) {
    Store::start(settings(folder)).unwrap()
}

#[test]
fn a_job_is_read_as_it_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (store, recovered) = start(folder.path());
    assert_eq!((store.trouble(), recovered), (None, Recovered::default()));
    let mut full = job(1);
    full.usage.exit_status = Some(-1);
    full.usage.device_latency_us = Some(Latency { p50: 1, p95: 2, p99: 3, max: u64::MAX });
    full.usage.lost = BTreeMap::from([("entries_full".to_owned(), u64::MAX)]);
    store.job_ended(full.clone());
    store.job_ended(job(2));
    assert!(store.flush(LONG));
    let jobs = store.reader().unwrap().jobs(&JobFilter::default()).unwrap();
    assert_eq!(jobs, [job_like(&job(2), &jobs[0]), job_like(&full, &jobs[1])]);
    assert_eq!(store.lost(), []);
    // Nobody else may read what other users' jobs are called.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.file()), 0o600);
    assert_eq!(mode(store.file().parent().unwrap()), 0o700);
}

/// The first with the time of the second.
fn job_like(job: &PastJob, other: &PastJob) -> PastJob {
    PastJob { began_unix_ms: other.began_unix_ms, ..job.clone() }
}

#[test]
fn every_figure_has_a_column_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let connection = rusqlite::Connection::open(store.file()).unwrap();
    let sql = format!("SELECT {} FROM jobs", FIGURES.join(", "));
    assert!(connection.prepare(&sql).is_ok());
    // What the record has as counts, as JSON names it.
    let record = serde_json::to_value(Usage::unknown(Source::Ebpf)).unwrap();
    let names = record.as_object().unwrap().keys().map(String::as_str);
    let others = ["device_latency_us", "exit_status", "source", "lost"];
    let counts: Vec<_> = names.filter(|name| !others.contains(name)).collect();
    assert!(counts.iter().all(|name| FIGURES.contains(name)), "{counts:?}");
    assert_eq!(counts.len(), FIGURES.len());
}

#[test]
fn numbers_beyond_what_the_database_counts_in_are_kept_sorted_and_added_up() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let large = u64::try_from(i64::MAX).unwrap();
    let values = [large + 1, 5, u64::MAX, large, 9_300_000_000_000_000_000];
    for (lease, value) in (1..).zip(values) {
        let usage = Usage { cpu_ns: Some(value), ..job(lease).usage };
        store.job_ended(PastJob { usage, ..job(lease) });
    }
    store.job_ended(PastJob { lease: u64::MAX, ..job(0) });
    assert!(store.flush(LONG));
    let filter = JobFilter { order: Order::Cpu, ..JobFilter::default() };
    let jobs = store.reader().unwrap().jobs(&filter).unwrap();
    let found: Vec<_> = jobs.iter().take(5).map(|job| job.usage.cpu_ns.unwrap()).collect();
    let mut sorted = values;
    sorted.sort_unstable_by_key(|value| std::cmp::Reverse(*value));
    assert_eq!(found, sorted[..4].iter().copied().chain([562_500_000]).collect::<Vec<_>>());
    assert_eq!(jobs[4].lease, u64::MAX);
    let connection = rusqlite::Connection::open(store.file()).unwrap();
    let sum: f64 =
        connection.query_row("SELECT total(cpu_ns) FROM jobs", [], |row| row.get(0)).unwrap();
    assert!(sum > 4.0e19, "{sum}");
}

#[test]
fn jobs_are_found_by_what_they_are_and_sorted_by_what_they_used() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let began = |lease: u64| 1_000 * lease;
    for lease in 1..=10 {
        let connector = if lease % 2 == 0 { "even" } else { "odd" };
        store.job_ended(PastJob {
            connector: connector.to_owned(),
            source: (lease > 5).then(|| "late".to_owned()),
            uid: u32::try_from(lease).unwrap(),
            began_unix_ms: began(lease),
            duration_ms: 100 - lease,
            ..job(lease)
        });
    }
    assert!(store.flush(LONG));
    let reader = store.reader().unwrap();
    let leases = |filter: JobFilter| -> Vec<u64> {
        reader.jobs(&filter).unwrap().iter().map(|job| job.lease).collect()
    };
    let all = JobFilter::default;
    assert_eq!(leases(all()), (1..=10).rev().collect::<Vec<_>>());
    assert_eq!(leases(JobFilter { limit: Some(2), ..all() }), [10, 9]);
    assert_eq!(
        leases(JobFilter { connector: Some("even".to_owned()), limit: Some(2), ..all() }),
        [10, 8]
    );
    assert_eq!(leases(JobFilter { source: Some("late".to_owned()), ..all() }), [10, 9, 8, 7, 6]);
    assert_eq!(leases(JobFilter { uid: Some(3), ..all() }), [3]);
    let between = JobFilter {
        since_unix_ms: Some(began(3)),
        until_unix_ms: Some(began(5)),
        order: Order::Duration,
        ..all()
    };
    assert_eq!(leases(between), [3, 4]);
    assert_eq!(leases(JobFilter { connector: Some("' OR 1 --".to_owned()), ..all() }), [0; 0]);
    assert_eq!(leases(JobFilter { order: Order::Memory, limit: Some(1), ..all() }), [10]);
}

#[test]
fn what_was_known_is_known_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let statistics = |jobs| Statistics {
        connector: "imap".to_owned(),
        jobs,
        cpu_cores: Some(0.25),
        memory_peak_bytes: Some(u64::MAX),
        updated_unix_ms: 7,
        ..Statistics::default()
    };
    let learned = |state: &str| Learned {
        connector: "imap".to_owned(),
        state: state.to_owned(),
        updated_unix_ms: 7,
    };
    for round in 1..=3 {
        store.statistics(statistics(round));
        store.learned(learned(&format!("{{\"round\":{round}}}")));
    }
    drop(store);
    let (_store, recovered) = start(folder.path());
    assert_eq!(recovered.statistics, [statistics(3)]);
    assert_eq!(recovered.learned, [learned("{\"round\":3}")]);
}

#[test]
fn a_job_that_is_handed_over_twice_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let twice = PastJob { began_unix_ms: 5, ..job(1) };
    store.job_ended(twice.clone());
    store.job_ended(twice);
    assert!(store.flush(LONG));
    assert_eq!(store.reader().unwrap().jobs(&JobFilter::default()).unwrap().len(), 1);
}

#[test]
fn decisions_and_administrative_actions_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let decision = |connector: Option<&str>| Decision {
        unix_ms: now_ms(),
        connector: connector.map(str::to_owned),
        decision: "limit 4 -> 5".to_owned(),
        facts: "{\"free_cores\":1.5}".to_owned(),
    };
    let decisions = [decision(Some("imap")), decision(None), decision(Some("vault"))];
    decisions.iter().for_each(|it| store.decided(it.clone()));
    let entry = AuditEntry {
        unix_ms: now_ms(),
        uid: 0,
        pid: 77,
        action: "SetLimit".to_owned(),
        subject: Some("imap".to_owned()),
        facts: "{\"limit\":5}".to_owned(),
    };
    store.audit(entry.clone());
    assert!(store.flush(LONG));
    let reader = store.reader().unwrap();
    let found = reader.decisions(Some("imap"), 10).unwrap();
    assert_eq!(found, [decisions[1].clone(), decisions[0].clone()]);
    assert_eq!(reader.audit(10).unwrap(), [entry]);
}

#[test]
fn what_is_too_old_goes_and_what_is_young_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.retention.keep = Duration::from_hours(1);
    let old = |lease| PastJob { began_unix_ms: now_ms() - 7_200_000, ..job(lease) };
    let (store, _) = Store::start(settings.clone()).unwrap();
    for lease in 0..2_000 {
        store.job_ended(old(lease));
    }
    for lease in 2_000..2_010 {
        store.job_ended(job(lease));
    }
    assert!(store.flush(LONG));
    drop(store);
    // The first look is right after the start.
    let (store, _) = Store::start(settings).unwrap();
    wait_until(|| count(&store) == 10);
    assert_eq!(store.reader().unwrap().jobs(&JobFilter::default()).unwrap().len(), 10);
}

#[test]
fn a_history_that_is_too_large_loses_its_oldest_jobs_and_gives_the_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let (store, _) = Store::start(settings.clone()).unwrap();
    for lease in 0..20_000 {
        store.job_ended(job(lease));
    }
    assert!(store.flush(LONG));
    drop(store);
    let large = fs::metadata(&settings.file).unwrap().len();
    settings.retention.max_bytes = 1 << 20;
    let (store, _) = Store::start(settings).unwrap();
    let used = |store: &Store| {
        let connection = rusqlite::Connection::open(store.file()).unwrap();
        retention::used_bytes(&connection).unwrap()
    };
    wait_until(|| used(&store) <= 1 << 20 && fs::metadata(store.file()).unwrap().len() < large / 2);
    let left = count(&store);
    assert!(left > 1_000, "{left}");
    let latest = &store.reader().unwrap().jobs(&JobFilter::default()).unwrap()[0];
    assert_eq!(latest.lease, 19_999);
}

fn count(store: &Store) -> u64 {
    let connection = rusqlite::Connection::open(store.file()).unwrap();
    let count: i64 =
        connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap();
    count.unsigned_abs()
}

pub(super) fn wait_until(is_so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_writer_that_lags_loses_records_and_counts_them_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.queue = 16;
    let (store, _) = Store::start(settings).unwrap();
    // Somebody writes from a shell and does not finish.
    let other = rusqlite::Connection::open(store.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = std::time::Instant::now();
    for lease in 0..20_000 {
        store.job_ended(job(lease));
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "handing over took {took:?}");
    other.execute_batch("COMMIT").unwrap();
    // A record is kept or counted, never neither.
    wait_until(|| store.flush(LONG));
    let lost: u64 = store.lost().iter().map(|(_, records)| records).sum();
    assert_eq!(count(&store) + lost, 20_000);
    assert!(lost > 0);
    // The file says so too.
    store.job_ended(job(20_000));
    assert!(store.flush(LONG));
    let told: u64 = store.reader().unwrap().losses().unwrap().iter().map(|it| it.records).sum();
    assert_eq!(told, lost);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_record_is_read_as_it_was_written(
        lease in any::<u64>(),
        texts in proptest::collection::vec(any::<String>(), 3),
        numbers in proptest::collection::vec(any::<Option<u64>>(), 4),
        percent in proptest::option::of(0.0..1e6),
    ) {
        let text = |at: usize| texts[at].replace('\0', " ");
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = start(folder.path());
        let written = PastJob {
            connector: text(0),
            source: Some(text(1)),
            label: Some(text(2)),
            cpu_percent_peak: percent,
            usage: Usage {
                wall_ns: numbers[0],
                cpu_ns: numbers[1],
                read_bytes: numbers[2],
                processes: numbers[3],
                ..Usage::unknown(Source::Procfs)
            },
            ..job(lease)
        };
        store.job_ended(written.clone());
        prop_assert!(store.flush(LONG));
        let jobs = store.reader().unwrap().jobs(&JobFilter::default()).unwrap();
        prop_assert_eq!(jobs, [written]);
    }
}

/// How fast it is, for the documentation: `cargo test --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "it measures"]
fn speed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    let many = 100_000;
    let begin = std::time::Instant::now();
    for lease in 0..many {
        store.job_ended(job(lease));
    }
    let handed_over = begin.elapsed();
    assert!(store.flush(LONG));
    let written = begin.elapsed();
    let bytes = fs::metadata(store.file()).unwrap().len();
    let size = bytes / many;
    println!(
        "handed over {many} jobs in {handed_over:?}, written in {written:?}, {size} bytes each"
    );
}
