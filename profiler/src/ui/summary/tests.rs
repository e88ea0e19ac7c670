//! What the summary looks like, over records made by hand.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::sample::{busy, record, thread, usage};
use super::*;
use crate::model::{Latency, Usage};

const MS: u64 = 1_000_000;
const MIB: u64 = 1 << 20;
const PLAIN: Options = Options { top: 5, width: 80, paint: Paint { colour: false } };

fn shown(record: &RunRecord) -> String {
    summary(record, &Ending::default(), &PLAIN)
}

#[test]
fn bound_by_cpu() {
    let usage = Usage {
        voluntary_switches: Some(4),
        involuntary_switches: Some(1_322),
        minor_faults: Some(65),
        major_faults: Some(0),
        memory_peak_bytes: Some(24 * MIB),
        memory_mean_bytes: Some(12 * MIB),
        memory_file_peak_bytes: Some(3 * MIB),
        ..usage([970 * MS, 20 * MS, 0, 10 * MS])
    };
    let mut record = record(1000 * MS, &["python3", "-c", "compute()"], usage.clone());
    record.threads = vec![thread(100, 100, "python3", usage)];
    let own = OwnCost { cpu_ns: 118 * MS, memory_peak_bytes: 24 * MIB, bpf_ns: Some(300_000) };
    let ending = Ending { still_running: 0, own: Some(own) };
    assert_snapshot!(summary(&record, &ending, &PLAIN), @r#"

    profiler: python3 -c compute(): exit status 0
      bound by        CPU: python3 (100) ran 97 % of wall
      wall              1.00 s
      threads' life     1.00 s  █████████████████████████████████████████████████▓
      █ on CPU          970 ms   97 %  0.97 of 2 CPUs
      ▓ run queue      20.0 ms    2 %
      ░ other wait     10.0 ms    1 %  timers, locks, pipes, network, children
      switches               4 to wait       1,322 preempted
      memory          24.0 MiB peak       12.0 MiB mean     files 3.00 MiB
      faults                65 minor             0 major
      tasks                  1 thread            1 process
      profiler's own  118 ms CPU, 300 µs in the kernel, 24.0 MiB at its peak,
                      loading included
    "#);
}

#[test]
fn bound_by_storage() {
    let usage = Usage {
        read_bytes: Some(300 * MIB),
        write_bytes: Some(4096),
        device_read_bytes: Some(300 * MIB),
        device_write_bytes: Some(0),
        device_read_ops: Some(4_800),
        device_write_ops: Some(0),
        device_latency_us: Some(Latency { p50: 120, p95: 800, p99: 12_000, max: 40_000 }),
        net_rx_bytes: Some(12_288),
        net_tx_bytes: Some(3 * MIB),
        net_rx_ops: Some(12),
        net_tx_ops: Some(1_200),
        local_rx_bytes: Some(0),
        local_tx_bytes: Some(0),
        ..usage([190 * MS, 80 * MS, 710 * MS, 20 * MS])
    };
    let mut record = record(1000 * MS, &["dd", "if=disk", "iflag=direct"], usage.clone());
    record.threads = vec![thread(100, 100, "dd", usage)];
    assert_snapshot!(shown(&record), @r#"

    profiler: dd if=disk iflag=direct: exit status 0
      bound by        block I/O: dd (100) waited 71 % of wall, p99 12.0 ms
      wall              1.00 s
      threads' life     1.00 s  ██████████▓▓▓▓▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒░
      █ on CPU          190 ms   19 %  0.19 of 2 CPUs
      ▓ run queue      80.0 ms    8 %
      ▒ block I/O       710 ms   71 %
      ░ other wait     20.0 ms    2 %  timers, locks, pipes, network, children
      storage          300 MiB read       4.00 KiB written
      at devices       300 MiB read            0 B written
      requests           4,800 reads             0 writes   p50 120 µs, p99 12.0 ms
      network         12.0 KiB received   3.00 MiB sent     in 12 + 1,200 calls
      tasks                  1 thread            1 process
    "#);
}

#[test]
fn many_children_of_which_some_only_slept() {
    let mut all = usage([900 * MS, 2100 * MS, 5 * MS, 1005 * MS]);
    all.run_queue_self_ns = Some(1900 * MS);
    all.run_queue_managed_ns = Some(0);
    all.run_queue_external_ns = Some(200 * MS);
    all.tasks = Some(5);
    all.processes = Some(4);
    all.tasks_peak = Some(4);
    let mut record = record(1000 * MS, &["make", "-j3"], all);
    record.usage.exit_status = Some(2);
    record.threads = vec![
        thread(101, 101, "cc1", usage([300 * MS, 700 * MS, 5 * MS, 0])),
        thread(102, 102, "cc1", usage([300 * MS, 700 * MS, 0, 0])),
        thread(103, 103, "cc1", usage([300 * MS, 700 * MS, 0, 0])),
        thread(103, 104, "pool", usage([0, 0, 0, 5 * MS])),
        thread(100, 100, "make", usage([0, 0, 0, 1000 * MS])),
    ];
    record.processes = busy(&record.threads);
    let ending = Ending { still_running: 1, own: None };
    assert_snapshot!(summary(&record, &ending, &Options { top: 2, ..PLAIN }), @r#"

    profiler: make -j3: exit status 2
      bound by        CPU contention: on average 2.10 threads queued behind each
                      other
      wall              1.00 s
      threads' life     4.01 s  ███████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░░░░░░░░░░░░░
      █ on CPU          900 ms   22 %  0.90 of 2 CPUs
      ▓ run queue       2.10 s   52 %  behind own threads 1.90 s, others 200 ms
      ▒ block I/O      5.00 ms   <1 %
      ░ other wait      1.00 s   25 %  timers, locks, pipes, network, children
      tasks                  5 threads           4 processes  4 at once
      still running   1 thread, counted up to now

         CPU  run queue  block I/O  threads  pid  process
      300 ms     700 ms    5.00 ms        1  101  cc1
      300 ms     700 ms       0 ns        1  102  cc1
      … and 2 more (--top N shows more, --json all)

         CPU  run queue  block I/O  pid  tid  thread
      300 ms     700 ms    5.00 ms  101  101  cc1
      300 ms     700 ms       0 ns  102  102  cc1
      … and 3 more (--top N shows more, --json all)
    "#);
}

#[test]
fn a_run_under_a_quota() {
    let mut all = usage([200 * MS, 800 * MS, 0, 0]);
    all.run_queue_throttled_ns = Some(780 * MS);
    all.run_queue_self_ns = Some(0);
    all.run_queue_managed_ns = Some(0);
    all.run_queue_external_ns = Some(20 * MS);
    all.processes = Some(1);
    let record = record(1000 * MS, &["make"], all);
    let shown = shown(&record);
    assert!(shown.contains("bound by        CPU quota: make (100) was throttled 78 % of wall"));
    assert!(shown.contains("CPU quota 780 ms; behind others 20.0 ms"), "{shown}");
}

#[test]
fn samples() {
    let usage = Usage {
        wall_ns: Some(848 * MS),
        cpu_ns: Some(272 * MS),
        run_queue_ns: Some(553 * MS),
        voluntary_switches: Some(1),
        involuntary_switches: Some(218),
        tasks: Some(1),
        tasks_peak: Some(1),
        processes: Some(1),
        lost: BTreeMap::from([("not_sampled".to_owned(), 1)]),
        ..Usage::unknown(Source::Procfs)
    };
    let record = record(848 * MS, &["dd"], usage);
    assert_snapshot!(shown(&record), @r#"

    profiler: dd: exit status 0
      WARNING         samples of /proc, lower bounds; `profiler doctor` says why
      wall              848 ms
      on CPU            272 ms  0.32 of 2 CPUs
      run queue         553 ms
      switches               1 to wait         218 preempted
      tasks                  1 thread            1 process
    "#);
}

#[test]
fn losses_come_first() {
    let mut usage = usage([100 * MS, 0, 0, 900 * MS]);
    let causes = [
        "tasks_untagged",
        "tasks_unlisted",
        "ends_unlisted",
        "tasks_beyond_list",
        "tasks_unsettled",
        "missed_events",
        "requests_untimed",
        "a_cause_to_come",
    ];
    usage.lost = causes.iter().map(|cause| ((*cause).to_owned(), 1200)).collect();
    let record = record(1000 * MS, &["stress"], usage);
    assert_snapshot!(shown(&record), @r#"

    profiler: stress: exit status 0
      WARNING         lost: 1,200 a cause to come
      WARNING         1,200 threads missing from the lists; the totals have them
      WARNING         the kernel skipped 1,200 events
      WARNING         1,200 block requests missing from the latencies
      WARNING         1,200 threads beyond --max-listed; the totals have them
      WARNING         1,200 threads beyond --max-tasks: in no figure until they end
      WARNING         the last microseconds of 1,200 threads are missing
      WARNING         1,200 threads not measured at all: no memory for a tag
      wall              1.00 s
      threads' life     1.00 s  █████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
      █ on CPU          100 ms   10 %  0.10 of 2 CPUs
      ░ other wait      900 ms   90 %  timers, locks, pipes, network, children
      tasks                  1 thread            1 process
    "#);
}

#[test]
fn a_narrow_terminal_and_hostile_names() {
    let mut all = usage([900 * MS, 50 * MS, 0, 1050 * MS]);
    all.run_queue_external_ns = Some(50 * MS);
    let hostile = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n";
    let mut record = record(1000 * MS, &["sh", "-c", "printf '\u{1b}[31m' and so on and on"], all);
    record.threads = vec![
        thread(100, 100, hostile, usage([900 * MS, 50 * MS, 0, 50 * MS])),
        thread(100, 101, "fifteen-letters", usage([1, 0, 0, 1000 * MS])),
    ];
    let text = summary(&record, &Ending::default(), &Options { width: 50, ..PLAIN });
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(50), "{widest:?} columns: {text}");
    assert_snapshot!(text, @r#"

    profiler: sh -c printf '�[31m' and…: exit status 0
      bound by        CPU: �[2J�]0;x��� (100) ran 90 %
                      of wall
      wall              1.00 s
      threads' life     2.00 s  █████████▓░░░░░░░░░░
      █ on CPU          900 ms   45 %  0.90 of 2 CPUs
      ▓ run queue      50.0 ms    3 %  behind others
                      50.0 ms
      ░ other wait      1.05 s   53 %  timers, locks,
                      pipes, network, children
      tasks                  1 thread            1
                      process

         CPU  run queue  pid  tid  thread
      900 ms    50.0 ms  100  100  �[2J�]0;x���
        1 ns       0 ns  100  101  fifteen-letters
    "#);
}

#[test]
fn colours_change_nothing_but_colours() {
    let record = record(1000 * MS, &["x"], usage([100 * MS, 200 * MS, 300 * MS, 400 * MS]));
    let colour = Options { paint: Paint { colour: true }, ..PLAIN };
    let coloured = summary(&record, &Ending::default(), &colour);
    let mut plain = String::new();
    let mut pieces = coloured.split("\u{1b}[");
    plain += pieces.next().unwrap();
    for piece in pieces {
        plain += piece.split_once('m').unwrap().1;
    }
    assert!(coloured.contains("\u{1b}[32m█"));
    assert_eq!(plain, shown(&record));
}

#[test]
fn what_knows_nothing_says_nothing() {
    let mut record = record(0, &[], Usage::unknown(Source::Ebpf));
    record.processes.clear();
    record.threads.clear();
    assert_eq!(shown(&record), "\nprofiler: process\n");
}
