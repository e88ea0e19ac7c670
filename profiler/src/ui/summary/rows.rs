//! The rows of the summary: a name, one or two figures, what there is to say about them.
//!
//! A figure that is unknown has no row, and neither has one that is 0.

use super::bar::{PARTS, Part, bar, parts};
use crate::model::units::{bytes, count, counted, duration, percent, plural};
use crate::model::{RunRecord, Usage};
use crate::ui::paint::{Paint, Style};

/// Columns before the first figure: the indentation and the name.
pub(super) const NAME: usize = 14;
/// Columns of a figure.
const FIGURE: usize = 10;
/// Columns of the bar, at least and at most.
const BAR: std::ops::RangeInclusive<usize> = 10..=60;

/// One row. The value may be broken into lines, the glyph and the bar not.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) style: Option<Style>,
    pub(super) glyph: Option<Part>,
    pub(super) value: String,
    pub(super) bar: String,
}

impl Row {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, style: None, glyph: None, value: value.into(), bar: String::new() }
    }
}

/// The wall time, the bar, and what it is made of.
pub(super) fn time(record: &RunRecord, width: usize, paint: Paint) -> Vec<Row> {
    let usage = &record.usage;
    let mut rows = Vec::new();
    rows.extend(usage.wall_ns.map(|wall| Row::new("wall", one(duration(wall), ""))));
    let known = parts(usage);
    if let Some(parts) = known {
        let taken = 2 + NAME + FIGURE + 2 + 2;
        let width = width.saturating_sub(taken).clamp(*BAR.start(), *BAR.end());
        let life = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        let life = usage.life_ns.unwrap_or(life);
        let bar = bar(parts, width as u64, paint);
        rows.push(Row { bar, ..Row::new("threads' life", one(duration(life), "")) });
    }
    for part in PARTS {
        let Some(ns) = (part.of)(usage).filter(|ns| *ns > 0) else { continue };
        let share = known.map(|parts| {
            let all: f64 = parts.iter().map(|part| *part as f64).sum();
            format!("{:>5}  ", percent(ns as f64 / all))
        });
        let value = one(duration(ns), &(share.unwrap_or_default() + &about(part, ns, record)));
        rows.push(Row { glyph: known.map(|_| part), ..Row::new(part.name, value) });
    }
    rows
}

/// What there is to say about a part of the threads' life.
fn about(part: Part, ns: u64, record: &RunRecord) -> String {
    let usage = &record.usage;
    match (part.style, usage.wall_ns) {
        (Style::Cpu, Some(wall @ 1..)) => {
            let used = match ns as f64 / wall as f64 {
                ..0.005 => "less than 0.01".to_owned(),
                used => format!("{used:.2}"),
            };
            format!("{used} of {}", counted(record.host.cpus.into(), "CPU"))
        }
        (Style::RunQueue, _) => holders(usage),
        (Style::Quiet, _) => "timers, locks, pipes, network, children".to_owned(),
        _ => String::new(),
    }
}

/// Who is to blame for the wait for a CPU.
fn holders(usage: &Usage) -> String {
    let quota = usage.run_queue_throttled_ns.filter(|ns| *ns > 0);
    let quota = quota.map(|ns| format!("CPU quota {}", duration(ns)));
    let holders = [
        ("own threads", usage.run_queue_self_ns),
        ("other jobs", usage.run_queue_managed_ns),
        ("others", usage.run_queue_external_ns),
    ];
    let shown = holders.into_iter().filter_map(|(who, ns)| {
        ns.filter(|ns| *ns > 0).map(|ns| format!("{who} {}", duration(ns)))
    });
    let shown: Vec<String> = shown.collect();
    let behind = (!shown.is_empty()).then(|| format!("behind {}", shown.join(", ")));
    quota.into_iter().chain(behind).collect::<Vec<String>>().join("; ")
}

/// Everything that is counted in bytes and pieces.
pub(super) fn counts(usage: &Usage) -> Vec<Row> {
    let switches = [usage.voluntary_switches, usage.involuntary_switches];
    let device = [usage.device_read_bytes, usage.device_write_bytes];
    let network = [usage.net_rx_bytes, usage.net_tx_bytes];
    let local = [usage.local_rx_bytes, usage.local_tx_bytes];
    let rows = [
        pair("switches", switches, ["to wait", "preempted"], count),
        pair("storage", [usage.read_bytes, usage.write_bytes], ["read", "written"], bytes),
        pair("at devices", device, ["read", "written"], bytes),
        requests(usage),
        pair("network", network, ["received", "sent"], bytes).map(|row| more(row, calls(usage))),
        pair("local sockets", local, ["received", "sent"], bytes),
        memory(usage),
        pair("faults", [usage.minor_faults, usage.major_faults], ["minor", "major"], count),
        tasks(usage),
    ];
    rows.into_iter().flatten().collect()
}

fn requests(usage: &Usage) -> Option<Row> {
    let (reads, writes) = usage.device_read_ops.zip(usage.device_write_ops)?;
    let are = [plural(reads, "read"), plural(writes, "write")];
    let row = pair("requests", [Some(reads), Some(writes)], [&are[0], &are[1]], count)?;
    Some(more(row, latency(usage)))
}

/// The mean may be unknown where the peak is known.
fn memory(usage: &Usage) -> Option<Row> {
    let mean = usage.memory_mean_bytes;
    let row = match pair("memory", [usage.memory_peak_bytes, mean], ["peak", "mean"], bytes) {
        Some(row) => row,
        None => {
            let peak = usage.memory_peak_bytes.filter(|peak| *peak > 0 && mean.is_none())?;
            Row::new("memory", format!("{:>FIGURE$} peak", bytes(peak)))
        }
    };
    Some(more(row, files(usage)))
}

fn latency(usage: &Usage) -> Option<String> {
    let us = |us: u64| duration(us.saturating_mul(1000));
    usage.device_latency_us.map(|took| format!("p50 {}, p99 {}", us(took.p50), us(took.p99)))
}

fn calls(usage: &Usage) -> Option<String> {
    let (received, sent) = usage.net_rx_ops.zip(usage.net_tx_ops)?;
    Some(format!("in {} + {} calls", count(received), count(sent)))
}

fn files(usage: &Usage) -> Option<String> {
    usage.memory_file_peak_bytes.map(|peak| format!("files {}", bytes(peak)))
}

fn tasks(usage: &Usage) -> Option<Row> {
    let (tasks, processes) = usage.tasks.zip(usage.processes)?;
    let are = [plural(tasks, "thread"), plural(processes, "process")];
    let row = pair("tasks", [Some(tasks), Some(processes)], [&are[0], &are[1]], count)?;
    let peak = usage.tasks_peak.filter(|peak| *peak > 1);
    Some(more(row, peak.map(|peak| format!("{} at once", count(peak)))))
}

/// A row of two figures and what they are; `None` if both are 0 or one is not known.
fn pair(
    name: &'static str,
    figures: [Option<u64>; 2],
    are: [&str; 2],
    shown: fn(u64) -> String,
) -> Option<Row> {
    let [a, b] = figures;
    let (a, b) = a.zip(b).filter(|(a, b)| *a > 0 || *b > 0)?;
    let (a, b) = (shown(a), shown(b));
    let value = format!("{a:>FIGURE$} {:<9}{b:>FIGURE$} {:<7}", are[0], are[1]);
    Some(Row::new(name, value))
}

/// One figure and what there is to say about it.
pub(super) fn one(figure: String, about: &str) -> String {
    format!("{figure:>FIGURE$}  {about}")
}

fn more(row: Row, about: Option<String>) -> Row {
    let value = row.value + "  " + &about.unwrap_or_default();
    Row { value, ..row }
}
