//! The summary of a run, as people read it.

use std::fmt::Write;

use super::table::Table;
use crate::model::units::{bytes, count, duration};
use crate::model::{RunRecord, Source, Usage};

/// The summary of `record`, with at most `top` processes and threads, and what still runs.
#[must_use]
pub fn summary(record: &RunRecord, top: usize, still_running: u64) -> String {
    let usage = &record.usage;
    let mut text = String::from("\n");
    heading(&mut text, record);
    for (name, value) in figures(usage) {
        line(&mut text, name, &value);
    }
    if usage.source == Source::Procfs {
        line(&mut text, "source", "samples of /proc, not exact: run `profiler doctor` to see why");
    }
    if still_running > 0 {
        line(&mut text, "still running", &format!("{} tasks", count(still_running)));
    }
    for (cause, number) in usage.lost.iter().filter(|_| usage.source == Source::Ebpf) {
        line(&mut text, "lost", &format!("{} {}", count(*number), cause.replace('_', " ")));
    }
    if top > 0 {
        processes(&mut text, record, top);
        threads(&mut text, record, top);
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {name:<14}{value}");
}

fn heading(text: &mut String, record: &RunRecord) {
    let command = record.command.join(" ");
    let status = match record.usage.exit_status {
        None => String::new(),
        Some(status) => format!(": exit status {status}"),
    };
    let what = if command.is_empty() { "process".to_owned() } else { shortened(&command) };
    // As above.
    let _ = writeln!(text, "profiler: {what}{status}");
}

fn shortened(command: &str) -> String {
    const MOST: usize = 60;
    let shown: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.chars().count() <= MOST {
        return shown;
    }
    shown.chars().take(MOST - 1).chain(['…']).collect()
}

fn figures(usage: &Usage) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    let mut add = |name, value: Option<String>| figures.extend(value.map(|value| (name, value)));
    add("wall", usage.wall_ns.map(duration));
    add("on CPU", usage.cpu_ns.map(|cpu| format!("{}{}", duration(cpu), cpus(cpu, usage))));
    add(
        "run queue",
        usage.run_queue_ns.map(|wait| format!("{}{}", duration(wait), holders(usage))),
    );
    add(
        "off CPU",
        both(usage.block_wait_ns, usage.other_wait_ns, |block, other| {
            format!("{} for block I/O, {} for anything else", duration(block), duration(other))
        }),
    );
    add(
        "switches",
        both(usage.voluntary_switches, usage.involuntary_switches, |waited, preempted| {
            format!("{} to wait, {} preempted", count(waited), count(preempted))
        }),
    );
    add(
        "faults",
        both(usage.minor_faults, usage.major_faults, |minor, major| {
            format!("{} minor, {} major", count(minor), count(major))
        }),
    );
    add(
        "storage",
        both(usage.read_bytes, usage.write_bytes, |read, written| {
            format!("{} read, {} written", bytes(read), bytes(written))
        }),
    );
    add(
        "tasks",
        both(usage.tasks, usage.processes, |tasks, processes| {
            let peak = usage.tasks_peak.map(|peak| format!(", {} at once", count(peak)));
            let peak = peak.unwrap_or_default();
            format!("{} in {} processes{peak}", count(tasks), count(processes))
        }),
    );
    figures
}

fn both(a: Option<u64>, b: Option<u64>, show: impl Fn(u64, u64) -> String) -> Option<String> {
    a.zip(b).map(|(a, b)| show(a, b))
}

fn cpus(cpu_ns: u64, usage: &Usage) -> String {
    match usage.wall_ns {
        Some(wall @ 1..) => format!("  ({:.2} CPUs)", cpu_ns as f64 / wall as f64),
        _ => String::new(),
    }
}

fn holders(usage: &Usage) -> String {
    let (Some(own), Some(others)) = (usage.run_queue_self_ns, usage.run_queue_external_ns) else {
        return String::new();
    };
    format!("  (behind its own threads {}, behind others {})", duration(own), duration(others))
}

fn heaviest(heading: &[&'static str]) -> Table {
    Table::new(heading, heading.len() - 1)
}

fn cells(usage: &Usage) -> [String; 2] {
    let shown = |figure: Option<u64>| figure.map_or_else(|| "-".to_owned(), duration);
    [shown(usage.cpu_ns), shown(usage.run_queue_ns)]
}

fn processes(text: &mut String, record: &RunRecord, top: usize) {
    if record.processes.len() < 2 {
        return;
    }
    let mut table = heaviest(&["CPU", "run queue", "threads", "pid", "process"]);
    for process in record.processes.iter().take(top) {
        let [cpu, wait] = cells(&process.usage);
        let tasks = process.usage.tasks.map_or_else(|| "-".to_owned(), count);
        table.row(vec![cpu, wait, tasks, process.pid.to_string(), process.comm.clone()]);
    }
    section(text, &table, record.processes.len(), top);
}

fn threads(text: &mut String, record: &RunRecord, top: usize) {
    // With one thread a process the list would only repeat the one above.
    if record.threads.len() < 2 || record.threads.len() == record.processes.len() {
        return;
    }
    let mut table = heaviest(&["CPU", "run queue", "pid", "tid", "thread"]);
    for thread in record.threads.iter().take(top) {
        let [cpu, wait] = cells(&thread.usage);
        let (pid, tid) = (thread.pid.to_string(), thread.tid.to_string());
        table.row(vec![cpu, wait, pid, tid, thread.comm.clone()]);
    }
    section(text, &table, record.threads.len(), top);
}

fn section(text: &mut String, table: &Table, all: usize, top: usize) {
    text.push('\n');
    text.push_str(&table.render());
    if all > top {
        // As above.
        let _ = writeln!(
            text,
            "  … and {} more (--top N shows more, --json all)",
            count((all - top) as u64)
        );
    }
}
