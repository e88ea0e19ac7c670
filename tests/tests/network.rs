//! Sockets: bytes and calls of a command are those that it counted itself.

use profiler_tests::record::Process;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, scale, skip};

const NET: [&str; 4] = ["net_rx_bytes", "net_rx_ops", "net_tx_bytes", "net_tx_ops"];
const LOCAL: [&str; 2] = ["local_rx_bytes", "local_tx_bytes"];

/// Runs the workload and compares all figures with its own count.
fn exact(what: &str, words: &[&str]) -> Result<Finished, String> {
    let kib = scale(2048, 256).to_string();
    let words = [&["sockets", "--what", what, "--kib", &kib], words].concat();
    let run = Run::workload(&words).finish();
    run.assert_success();
    if let Some(why) = run.excuse() {
        return Err(why);
    }
    let usage = &run.session().usage;
    let mut wrong = Vec::new();
    for name in NET.into_iter().chain(LOCAL) {
        let (expected, got) = (run.counted(name), usage.figure(name));
        // Kernels without the hooks cannot tell local sockets; both figures are unknown then.
        if LOCAL.contains(&name) && usage.figure(LOCAL[0]).is_none() {
            assert_eq!(got, None, "{name} is known and {} is not", LOCAL[0]);
        } else if got != Some(expected) {
            wrong.push(format!("{name}: expected {expected}, got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{words:?}: {}", wrong.join("; "));
    assert!(usage.is_complete(), "lost: {}", usage.lost);
    for name in NET.into_iter().chain(LOCAL) {
        let threads = &run.session().threads;
        let sum: u64 = threads.iter().filter_map(|thread| thread.usage.figure(name)).sum();
        assert_eq!(sum, usage.figure(name).unwrap_or(0), "{name}: sum of the threads");
    }
    Ok(run)
}

macro_rules! exact {
    ($($word:expr),* ; $($option:expr),*) => {
        match exact($($word),*, &[$($option),*]) {
            Ok(run) => run,
            Err(why) => skip!("{why}"),
        }
    };
}

#[test]
fn a_tcp_connection_is_counted_by_whichever_call() {
    require_bpf!();
    for calls in ["send", "file", "vector", "message"] {
        exact!("tcp"; "--calls", calls);
    }
}

#[test]
fn a_tcp_connection_over_ipv6_is_counted() {
    require_bpf!();
    for calls in ["send", "message"] {
        exact!("tcp"; "--calls", calls, "--family", "6");
    }
}

#[test]
fn a_call_that_would_block_is_not_counted() {
    require_bpf!();
    for wait in ["poll", "epoll"] {
        for family in ["4", "6"] {
            exact!("tcp"; "--wait", wait, "--family", family);
        }
    }
}

#[test]
fn datagrams_are_counted_by_whichever_call() {
    require_bpf!();
    for calls in ["send", "file", "vector", "message"] {
        exact!("udp"; "--calls", calls);
    }
}

#[test]
fn datagrams_over_ipv6_are_counted() {
    require_bpf!();
    for calls in ["send", "message"] {
        exact!("udp"; "--calls", calls, "--family", "6");
    }
}

#[test]
fn datagrams_over_ipv4_between_ipv6_sockets_are_counted_once() {
    require_bpf!();
    exact!("udp-mapped"; "--calls", "send", "--family", "6");
}

#[test]
fn local_sockets_are_counted_apart() {
    require_bpf!();
    for what in ["unix", "unix-named", "unix-datagrams"] {
        for calls in ["send", "file", "vector", "message"] {
            let run = exact!(what; "--calls", calls);
            assert!(run.counted("local_tx_bytes") > 0, "{what}: nothing was sent");
        }
    }
}

#[test]
fn local_sockets_that_do_not_block_are_counted_apart() {
    require_bpf!();
    exact!("unix"; "--wait", "poll");
    exact!("unix"; "--wait", "epoll");
}

#[test]
fn looking_at_what_is_there_is_not_counted() {
    require_bpf!();
    exact!("peek";);
}

#[test]
fn looking_at_what_is_there_over_ipv6_is_not_counted() {
    require_bpf!();
    exact!("peek"; "--family", "6");
}

#[test]
fn calls_that_fail_are_not_counted() {
    require_bpf!();
    exact!("errors";);
}

#[test]
fn calls_that_fail_over_ipv6_are_not_counted() {
    require_bpf!();
    exact!("errors"; "--family", "6");
}

#[test]
fn datagrams_without_payload_are_not_counted() {
    require_bpf!();
    exact!("empty";);
    exact!("empty"; "--family", "6");
}

#[test]
fn a_file_sent_without_a_buffer_is_counted() {
    require_bpf!();
    exact!("sendfile"; "--chunk", "4096");
}

#[test]
fn a_file_sent_in_pieces_by_one_call_is_one_call() {
    require_bpf!();
    // The kernel gives a file to the socket in pieces, each of which it shows.
    exact!("sendfile"; "--chunk", "262144");
    exact!("sendfile"; "--chunk", "1048576", "--family", "6");
}

#[test]
fn a_socket_that_was_handed_on_is_charged_to_who_uses_it() {
    require_bpf!();
    let run = exact!("passed";);
    let pids = run.counters("net_tx_bytes");
    assert_eq!(pids.len(), 2, "processes that used the connection");
    for process in run.session().processes.iter().filter(|process| pids.contains(&process.pid)) {
        for name in NET {
            let expected = run.counted_by(process.pid, name);
            let got = process.usage.figure(name);
            assert_eq!(got, Some(expected), "{name} of process {}", process.pid);
        }
    }
}

#[test]
fn two_processes_of_one_id_that_use_one_socket_are_told_apart() {
    require_bpf!();
    let run = exact!("reused";);
    let sent = |process: &&Process| process.usage.figure("net_tx_bytes") != Some(0);
    let senders: Vec<_> = run.session().processes.iter().filter(sent).collect();
    assert_eq!(senders.len(), 2, "processes that sent");
    assert_eq!(senders[0].pid, senders[1].pid, "they had the same id");
    let mut bytes = [0, 1].map(|one| senders[one].usage.figure("net_tx_bytes"));
    bytes.sort_unstable();
    assert_eq!(bytes, [Some(50 * 51 / 2), Some(100 * 101 / 2)]);
}

#[test]
fn sockets_of_io_uring_are_counted() {
    require_bpf!();
    exact!("uring"; "--async", "0");
}

#[test]
fn sockets_of_io_uring_workers_are_counted() {
    require_bpf!();
    exact!("uring"; "--async", "1");
}
