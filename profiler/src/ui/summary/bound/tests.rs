//! Each rule by an example, and what keeps a rule from speaking.

use super::*;
use crate::model::Latency;
use crate::model::conservation::{Balance, Conservation, DeviceAccount};
use crate::ui::summary::sample::{busy, record, thread, usage};

/// The line for a run of 1000 ns with this leader, and the whole's parts.
fn line_of(leader: [u64; 4], whole: [u64; 4]) -> String {
    let mut record = record(1000, &["sh"], usage(whole));
    record.threads = vec![thread(100, 100, "sh", usage(leader))];
    line(&record)
}

fn line(record: &RunRecord) -> String {
    bound(record).map_or_else(String::new, |bound| bound.text(record))
}

#[test]
fn a_thread_that_runs_nearly_always_bounds_the_run_whoever_it_is() {
    let mut record = record(1000, &["sh"], usage([900, 50, 0, 1050]));
    record.threads = vec![
        thread(101, 101, "sort", usage([850, 50, 0, 0])),
        thread(100, 100, "sh", usage([50, 0, 0, 950])),
    ];
    record.processes = busy(&record.threads);
    assert_eq!(line(&record), "CPU: sort (101) ran 85 % of wall");
}

#[test]
fn the_leaders_greatest_part_bounds_the_run_from_half_on() {
    let alone = |parts| line_of(parts, parts);
    assert_eq!(alone([600, 300, 50, 50]), "CPU: sh (100) ran 60 % of wall");
    assert_eq!(alone([300, 600, 50, 50]), "CPU contention: sh (100) queued 60 % of wall");
    assert_eq!(alone([200, 50, 710, 40]), "block I/O: sh (100) waited 71 % of wall");
    assert_eq!(alone([5, 0, 0, 995]), "neither CPU nor disk: sh (100) slept 100 % of wall");
}

#[test]
fn what_a_sleeping_leader_waits_for_bounds_the_run() {
    let slept = [10, 0, 0, 990];
    let others = |parts: [u64; 4]| {
        let mut whole = slept;
        for (whole, part) in whole.iter_mut().zip(parts) {
            *whole += part;
        }
        line_of(slept, whole)
    };
    assert_eq!(others([700, 100, 100, 5000]), "CPU: others used 0.70 CPUs while sh (100) waited");
    assert_eq!(others([300, 1900, 0, 0]), "CPU contention: on average 1.90 threads queued");
    assert_eq!(others([100, 0, 1250, 0]), "block I/O: 1.25 threads waited on average");
    // Each of these is less than half, and they may have been at the same time.
    assert_eq!(
        others([360, 340, 0, 700]),
        "no single thing: others used 0.36 CPUs, 0.34 queued, 0.00 in block I/O"
    );
    // Together less than half: they slept too.
    assert_eq!(others([100, 100, 200, 9000]), "neither CPU nor disk: sh (100) slept 99 % of wall");
}

#[test]
fn no_single_thing_is_said_with_its_numbers() {
    assert_eq!(
        line_of([400, 200, 100, 300], [400, 200, 100, 300]),
        "no single thing: sh (100) ran 40 %, queued 20 %, block I/O 10 %, slept 30 %"
    );
}

#[test]
fn the_one_device_and_its_latency_are_named() {
    let mut record = record(1000, &["dd"], usage([200, 50, 710, 40]));
    record.usage.device_latency_us = Some(Latency { p50: 1, p95: 2, p99: 12_000, max: 20_000 });
    let device = |name: &str, managed| {
        let balance = Balance { managed, unattributed: 0, host: managed };
        DeviceAccount {
            name: name.to_owned(),
            read_bytes: balance,
            write_bytes: balance,
            read_ops: balance,
            write_ops: balance,
        }
    };
    let devices = vec![device("vda", 7), device("vdb", 0)];
    record.host.conservation = Some(Conservation { devices, ..Conservation::default() });
    assert_eq!(line(&record), "block I/O: dd (100) waited 71 % of wall on vda, p99 12.0 ms");
    let devices = vec![device("vda", 7), device("vdb", 1)];
    record.host.conservation = Some(Conservation { devices, ..Conservation::default() });
    assert_eq!(line(&record), "block I/O: dd (100) waited 71 % of wall, p99 12.0 ms");
}

#[test]
fn who_was_in_front_is_said_where_it_is_known() {
    let mut record = record(1000, &["sh"], usage([300, 600, 50, 50]));
    record.threads[0].usage.run_queue_self_ns = Some(500);
    assert!(line(&record).ends_with(" behind its own threads"), "nobody else did anything");
    record.threads[0].usage.run_queue_self_ns = Some(100);
    assert!(line(&record).ends_with(" behind others"));
}

#[test]
fn a_wait_that_a_quota_caused_is_not_called_contention() {
    let mut record = record(1000, &["sh"], usage([200, 800, 0, 0]));
    record.threads[0].usage.run_queue_throttled_ns = Some(790);
    assert_eq!(line(&record), "CPU quota: sh (100) was throttled 79 % of wall");
    record.threads[0].usage.run_queue_throttled_ns = Some(300);
    record.threads[0].usage.run_queue_self_ns = Some(100);
    assert_eq!(line(&record), "CPU contention: sh (100) queued 80 % of wall behind others");
}

#[test]
fn a_quota_that_holds_back_the_leaders_threads_is_named_with_how_many() {
    let mut record = record(1000, &["sh"], usage([410, 3600, 0, 1990]));
    record.usage.run_queue_throttled_ns = Some(3190);
    let mut leader = usage([10, 0, 0, 990]);
    leader.run_queue_throttled_ns = Some(0);
    record.threads = vec![thread(100, 100, "sh", leader)];
    assert_eq!(line(&record), "CPU quota: on average 3.19 threads throttled");
    record.threads.clear();
    record.processes.clear();
    assert_eq!(line(&record), "CPU quota: on average 3.19 threads throttled");
}

#[test]
fn a_leader_that_stands_behind_its_children_waits_for_them() {
    let mut record = record(1000, &["sh"], usage([950, 700, 0, 300]));
    let mut leader = usage([50, 700, 0, 250]);
    leader.run_queue_self_ns = Some(600);
    record.threads = vec![thread(100, 100, "sh", leader)];
    assert_eq!(line(&record), "CPU: others used 0.90 CPUs while sh (100) waited");
}

#[test]
fn without_a_leader_the_whole_speaks() {
    let mut record = record(1000, &["sh"], usage([700, 100, 100, 5000]));
    record.threads.clear();
    record.processes.clear();
    assert_eq!(line(&record), "CPU: 0.70 CPUs in use on average");
    record.usage = Usage { wall_ns: Some(1000), ..usage([10, 0, 0, 5000]) };
    assert_eq!(line(&record), "");
}

#[test]
fn what_is_not_known_says_nothing() {
    let mut sampled = record(1000, &["sh"], usage([600, 100, 0, 300]));
    for usage in [&mut sampled.usage, &mut sampled.threads[0].usage] {
        usage.block_wait_ns = None;
    }
    assert_eq!(line(&sampled), "");
    let mut lossy = record(1000, &["sh"], usage([10, 0, 0, 990]));
    lossy.usage.lost.insert("tasks_untagged".to_owned(), 1);
    assert_eq!(line(&lossy), "");
    assert_eq!(line(&record(0, &["sh"], usage([10, 0, 0, 990]))), "");
}
