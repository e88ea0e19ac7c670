use std::collections::BTreeMap;

use profiler_client::protocol::*;

use super::*;

fn connector(name: &str) -> Connector {
    Connector {
        connector: name.to_owned(),
        profile: Profile {
            max_concurrent_jobs: Some(4),
            avg_cpu_cores: Some(0.3),
            avg_memory_mb: Some(128.0),
            weight: Some(1.0),
            priority: Some(Priority::Normal),
            ..Profile::default()
        },
        limit: 4,
        constraint: Constraint::Cpu,
        level: Level::Normal,
        in_use: 3,
        waiting: 12,
        reserved_memory_bytes: 3 << 27,
        drained: false,
        override_limit: None,
        override_ends_ms: None,
        statistics: Statistics::default(),
    }
}

fn list() -> ConnectorsList {
    let by_hand = Connector {
        constraint: Constraint::Override,
        override_limit: Some(1),
        override_ends_ms: Some(90_000),
        limit: 1,
        statistics: Statistics {
            jobs: 1234,
            cpu_cores: Some(0.25),
            cpu_cores_peak: Some(1.5),
            memory_bytes: Some(1.5e8),
            memory_peak_bytes: Some(400 << 20),
            duration_p50_seconds: Some(1.25),
            duration_p95_seconds: Some(75.0),
            ..Statistics::default()
        },
        ..connector("local_files")
    };
    ConnectorsList { connectors: vec![connector("imap\u{1b}[31m_mailbox"), by_hand] }
}

#[test]
fn slots_show_what_binds() {
    insta::assert_snapshot!(slots(&list()), @r"
      connector          in use  limit  waiting  reserved  level   limited by
      imap�[31m_mailbox       3      4       12   384 MiB  normal  CPU
      local_files             3      1       12   384 MiB  normal  set by hand, for 90.0 s yet
    ");
}

#[test]
fn connectors_show_what_is_expected_beside_what_was_measured() {
    insta::assert_snapshot!(connectors(&list()), @r"
      expected           cap  cores  memory  weight  class
      imap�[31m_mailbox    4   0.30  128 MB       1  normal
      local_files          4   0.30  128 MB       1  normal

      measured            jobs  cores  peak   memory     peak     p50     p95
      imap�[31m_mailbox      0      -     -        -        -       -       -
      local_files        1,234   0.25  1.50  143 MiB  400 MiB  1.25 s  75.0 s
    ");
}

fn job(lease: u64, state: State) -> Job {
    Job {
        lease: LeaseId(lease),
        connector: "imap_mailbox".to_owned(),
        source: Some("inbox@example.org".to_owned()),
        label: None,
        state,
        uid: 1000,
        pid: 4321,
        age_ms: 61_500,
        tasks: 3,
        cpu_cores: Some(0.42),
        memory_bytes: None,
        reserved_memory_bytes: 0,
        usage: Usage { cpu_ns: Some(12_500_000_000), ..Usage::default() },
    }
}

#[test]
fn jobs_show_whose_worker_is_gone() {
    insta::assert_snapshot!(jobs(&[job(7, State::Running), job(8, State::Orphaned)]), @r"
      lease   pid     age  tasks  cores  memory     CPU  connector                   source             label
          7  4321  61.5 s      3   0.42       -  12.5 s  imap_mailbox                inbox@example.org
          8  4321  61.5 s      3   0.42       -  12.5 s  imap_mailbox (worker gone)  inbox@example.org
    ");
    assert_eq!(jobs(&[]), "No job runs.\n");
}

#[test]
fn history_shows_what_jobs_used() {
    let past = PastJob {
        lease: LeaseId(6),
        connector: "imap_mailbox".to_owned(),
        source: None,
        label: Some("nightly".to_owned()),
        outcome: Some("succeeded".to_owned()),
        uid: 1000,
        began_unix_ms: 1_700_000_000_000,
        duration_ms: 8_200,
        waited_ms: 0,
        usage: Usage {
            cpu_ns: Some(1_234_567_890),
            memory_peak_bytes: Some(180 << 20),
            read_bytes: Some(0),
            ..Usage::default()
        },
    };
    insta::assert_snapshot!(history(&[past]), @r"
      lease    took  waited     CPU   memory  read  written  connector     outcome    source  label
          6  8.20 s     0 s  1.23 s  180 MiB   0 B        -  imap_mailbox  succeeded          nightly
    ");
}

#[test]
fn status_shows_host_agent_and_slots() {
    let shown = status(&StatusReply {
        version: "0.1.0".to_owned(),
        source: Source::Ebpf,
        uptime_ms: 3_725_000,
        host: Host {
            hostname: "host".to_owned(),
            kernel: "6.18".to_owned(),
            cores: 8,
            cpu_percent: Some(42.4),
            memory_bytes: 16 << 30,
            memory_available_bytes: 9 << 30,
            level: Level::Elevated,
        },
        own: OwnCost {
            process_memory_bytes: 20 << 20,
            process_cpu_percent: 0.12,
            tracing_memory_overhead_bytes: Some(15 << 20),
            ..OwnCost::default()
        },
        connections: 5,
        leases: 6,
        waiting: 24,
        orphans: 1,
        draining: true,
        missing: vec!["network figures".to_owned()],
        lost: BTreeMap::from([("tasks_full".to_owned(), 3)]),
        connectors: list().connectors,
        providers: vec![Provider {
            provider: "OpenAI".to_owned(),
            cap: 5,
            in_use: 5,
            waiting: 2,
            closed_ms: 20_000,
        }],
    });
    insta::assert_snapshot!(shown, @r"
    host: elevated, 8 cores, 42 % in use, 9.00 GiB of 16.0 GiB available
    Agent 0.1.0: exact figures, up 1 h 02 m, 6 leases (1 without their worker), 24 waiting, 5 connections, draining: no new jobs
    Costs 0.12 % of one CPU and 20.0 MiB of memory; what it keeps in the kernel, mapped or not, is 15.0 MiB
    Missing: network figures
    Lost: tasks_full 3

      connector          in use  limit  waiting  reserved  level   limited by
      imap�[31m_mailbox       3      4       12   384 MiB  normal  CPU
      local_files             3      1       12   384 MiB  normal  set by hand, for 90.0 s yet

      provider  in use  cap  waiting  closed for
      OpenAI         5    5        2      20.0 s
    ");
}

#[test]
fn an_explanation_has_its_reasons_in_lines() {
    let text = explained(
        "imap_mailbox",
        &Explained {
            limit: 1,
            constraint: Constraint::Memory,
            lines: vec!["512 MB are free, a job takes 384 MB".to_owned()],
            next_slot_needs: Some("256 MB more".to_owned()),
            learned: BTreeMap::from([("avg_cpu_cores".to_owned(), 0.25)]),
            declared: BTreeMap::new(),
            recommendations: vec![Recommendation {
                advice: "avg_cpu_cores = 0.25".to_owned(),
                evidence: "the profile declares 0.90".to_owned(),
            }],
        },
    );
    insta::assert_snapshot!(text, @r"
    imap_mailbox: 1 job (memory)
      512 MB are free, a job takes 384 MB
      One more needs 256 MB more.
    Learned: avg_cpu_cores 0.25
    Better: avg_cpu_cores = 0.25 (the profile declares 0.90).
    ");
}

#[test]
fn usage_shows_what_is_known_and_nothing_else() {
    let known = Usage {
        wall_ns: Some(2_000_000_000),
        cpu_ns: Some(1_500_000_000),
        memory_peak_bytes: Some(64 << 20),
        ..Usage::default()
    };
    insta::assert_snapshot!(usage(&known), @r"
    profiler: wall 2.00 s, CPU 1.50 s
    profiler: memory peak 64.0 MiB
    ");
    let sampled = Usage { source: Source::Procfs, ..Usage::default() };
    assert_eq!(usage(&sampled), "profiler: samples of /proc; these are lower bounds\n");
}

#[test]
fn a_place_in_the_queue_says_what_has_to_come_free() {
    let place = Waiting {
        position: 3,
        constraint: Constraint::Memory,
        waited_ms: 0,
        estimate_ms: Some(12_000),
    };
    assert_eq!(waiting(&place), "waits for a slot, place 3 (memory), about 12.0 s");
}
