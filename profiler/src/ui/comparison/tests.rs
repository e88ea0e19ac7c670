//! What a comparison looks like.

use insta::assert_snapshot;

use super::*;
use crate::model::diff::compare;
use crate::model::{Latency, Source, Usage};

fn run(cpu_ms: u64, calls: u64) -> Usage {
    Usage {
        wall_ns: Some(cpu_ms * 1_100_000),
        cpu_ns: Some(cpu_ms * 1_000_000),
        read_bytes: Some(0),
        write_bytes: Some(cpu_ms % 7 * 4096),
        read_calls: Some(calls),
        device_latency_us: Some(Latency { p50: 90, p95: 100, p99: cpu_ms, max: 4000 }),
        memory_peak_bytes: None,
        ..Usage::unknown(Source::Ebpf)
    }
}

fn shown(a: &[Usage], b: &[Usage], notes: &[String], all: bool) -> String {
    let set = |runs: &[Usage]| Set { command: "sort -n \u{1b}[1mbig".to_owned(), runs: runs.len() };
    let sides = (a.iter().collect::<Vec<_>>(), b.iter().collect::<Vec<_>>());
    comparison(&[set(a), set(b)], &compare(&sides.0, &sides.1), notes, all)
}

#[test]
fn one_run_each() {
    assert_snapshot!(shown(&[run(100, 12)], &[run(250, 12)], &[], false), @r#"
    A: 1 run  sort -n �[1mbig
    B: 1 run  sort -n �[1mbig

                               A         B   B/A
    wall                  110 ms    275 ms  2.50
    cpu                   100 ms    250 ms  2.50
    write bytes         8.00 KiB  20.0 KiB  2.50
    read calls                12        12  1.00
    device latency p50   90.0 µs   90.0 µs  1.00
    device latency p95    100 µs    100 µs  1.00
    device latency p99    100 µs    250 µs  2.50
    device latency max   4.00 ms   4.00 ms  1.00

    One run each: no spread, so no verdict. With sets there is one:
    profiler diff A1.json A2.json A3.json -- B1.json B2.json B3.json
    "#);
}

#[test]
fn sets() {
    let a = [run(100, 12), run(104, 12), run(101, 12)];
    let b = [run(93, 12), run(91, 12), run(95, 12)];
    let notes = ["Note: some command failed.".to_owned()];
    let text = shown(&a, &b, &notes, false);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_snapshot!(text, @r#"
    A: 3 runs  sort -n �[1mbig
    B: 3 runs  sort -n �[1mbig

                               A         B    B/A      between  B is
    wall                  111 ms    102 ms  0.921  0.875–0.950  less
    cpu                   101 ms   93.0 ms  0.921  0.875–0.950  less
    write bytes         12.0 KiB  8.00 KiB  0.667       0–2.00  not shown
    read calls                12        12   1.00    1.00–1.00  equal
    device latency p50   90.0 µs   90.0 µs   1.00    1.00–1.00  equal
    device latency p95    100 µs    100 µs   1.00    1.00–1.00  equal
    device latency p99    101 µs   93.0 µs  0.921  0.875–0.950  less
    device latency max   4.00 ms   4.00 ms   1.00    1.00–1.00  equal

    A and B are medians. "not shown": there may be a difference, but these runs
    do not show it. Of figures that do not differ, up to 10 % get "more" or "less"
    by chance; more runs make it fewer.
    Note: some command failed.
    "#);
}

#[test]
fn too_few_runs() {
    let (a, b) = ([run(100, 12), run(104, 12)], [run(93, 12), run(91, 11)]);
    assert_snapshot!(shown(&a, &b, &[], false), @r#"
    A: 2 runs  sort -n �[1mbig
    B: 2 runs  sort -n �[1mbig

                               A         B    B/A      between  B is
    wall                  112 ms    101 ms  0.902  0.875–0.930  -
    cpu                   102 ms   92.0 ms  0.902  0.875–0.930  -
    write bytes         16.0 KiB  4.00 KiB  0.250       0–1.00  -
    read calls                12      11.5  0.958   0.917–1.00  -
    device latency p50   90.0 µs   90.0 µs   1.00    1.00–1.00  equal
    device latency p95    100 µs    100 µs   1.00    1.00–1.00  equal
    device latency p99    102 µs   92.0 µs  0.902  0.875–0.930  -
    device latency max   4.00 ms   4.00 ms   1.00    1.00–1.00  equal

    A and B are medians. Too few runs for a verdict: take at least 3 and 3.
    "#);
}

#[test]
fn all_figures_are_there_if_asked_for() {
    let text = shown(&[run(1, 1)], &[run(1, 1)], &[], true);
    for figure in crate::model::diff::FIGURES {
        let label = label(figure.name);
        assert!(text.lines().any(|line| line.starts_with(&format!("  {label} "))), "{label}");
    }
}
