//! The summary of a run, as people read it: pure, and safe to print on a terminal whatever the
//! measured processes are called.

mod bar;
mod bound;
mod heaviest;
mod rows;

use crate::model::units::{bytes, count, counted, duration};
use crate::model::{RunRecord, Source};
use crate::ui::paint::{Paint, Style};
use crate::ui::text::{folded, plain, shortened};

use rows::{NAME, Row};

/// How the summary looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most processes, and most threads, that are listed.
    pub top: usize,
    /// Columns of the terminal.
    pub width: usize,
    /// Whether there are colours.
    pub paint: Paint,
}

/// What is known at the end of a measurement besides the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Tasks that still run.
    pub still_running: u64,
    /// What the measurement cost itself.
    pub own: Option<OwnCost>,
}

/// What the measurement cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnCost {
    /// Time on CPU of this program, since it started.
    pub cpu_ns: u64,
    /// Its resident memory at its highest.
    pub memory_peak_bytes: u64,
    /// Time that the eBPF programs ran; `None` unless the kernel keeps it.
    pub bpf_ns: Option<u64>,
}

/// The summary of `record`.
#[must_use]
pub fn summary(record: &RunRecord, ending: &Ending, options: &Options) -> String {
    let Options { top, width, paint } = *options;
    let mut lines = vec![String::new(), heading(record, width, paint)];
    let rows = [
        warnings(record),
        bound_by(record),
        rows::time(record, width, paint),
        rows::counts(&record.usage),
        at_the_end(ending),
    ];
    for row in rows.iter().flatten() {
        add(&mut lines, row, width, paint);
    }
    lines.join("\n") + "\n" + &heaviest::heaviest(record, top)
}

fn heading(record: &RunRecord, width: usize, paint: Paint) -> String {
    let status = record.usage.exit_status;
    let status = status.map_or_else(String::new, |status| format!(": exit status {status}"));
    let before = "profiler: ";
    let what = if record.command.is_empty() {
        let name = |process: &crate::model::ProcessRecord| {
            format!("process {} ({})", process.pid, process.comm)
        };
        bound::main_process(record).map_or_else(|| "process".to_owned(), name)
    } else {
        record.command.join(" ")
    };
    let room = width.saturating_sub(before.len() + status.len()).max(16);
    format!("{before}{}{status}", paint.text(Style::Strong, &shortened(&plain(&what), room)))
}

fn bound_by(record: &RunRecord) -> Vec<Row> {
    let line = bound::bound(record).map(|bound| format!("  {}", bound.text(record)));
    line.map(|line| Row { style: Some(Style::Strong), ..Row::new("bound by", line) })
        .into_iter()
        .collect()
}

/// What makes the figures less than exact.
fn warnings(record: &RunRecord) -> Vec<Row> {
    let warning = |text: String| Row {
        style: Some(Style::Warning),
        ..Row::new("WARNING", format!("  {text}"))
    };
    if record.usage.source == Source::Procfs {
        let text = "samples of /proc, lower bounds; `profiler doctor` says why";
        return vec![warning(text.to_owned())];
    }
    let lost = record.usage.lost.iter().filter(|(_, number)| **number > 0);
    lost.map(|(cause, number)| warning(loss(cause, *number))).collect()
}

/// A loss in words; each cause is explained in the documentation of the record.
fn loss(cause: &str, number: u64) -> String {
    let threads = counted(number, "thread");
    match cause {
        "tasks_untagged" => format!("{threads} not measured at all: no memory for a tag"),
        "tasks_unlisted" => format!("{threads} beyond --max-tasks: in no figure until they end"),
        "ends_unlisted" => format!("{threads} missing from the lists; the totals have them"),
        "tasks_beyond_list" => format!("{threads} beyond --max-listed; the totals have them"),
        "jobs_unsettled" => {
            "a thread that was just ending may be missing or counted twice".to_owned()
        }
        "tasks_unsettled" => format!("the last microseconds of {threads} are missing"),
        "missed_events" => format!("the kernel skipped {}", counted(number, "event")),
        "requests_untimed" => {
            format!("{} missing from the latencies", counted(number, "block request"))
        }
        _ => format!("lost: {} {}", count(number), plain(cause).replace('_', " ")),
    }
}

fn at_the_end(ending: &Ending) -> Vec<Row> {
    let mut rows = Vec::new();
    if ending.still_running > 0 {
        let text = format!("  {}, counted up to now", counted(ending.still_running, "thread"));
        rows.push(Row::new("still running", text));
    }
    if let Some(OwnCost { cpu_ns, memory_peak_bytes, bpf_ns }) = ending.own {
        let kernel = bpf_ns.map(|ns| format!(", {} in the kernel", duration(ns)));
        let (memory, kernel) = (bytes(memory_peak_bytes), kernel.unwrap_or_default());
        let text =
            format!("  {} CPU{kernel}, {memory} at its peak, loading included", duration(cpu_ns));
        rows.push(Row { style: Some(Style::Quiet), ..Row::new("profiler's own", text) });
    }
    rows
}

/// Adds a row, its value broken into as many lines as it takes.
fn add(lines: &mut Vec<String>, row: &Row, width: usize, paint: Paint) {
    let mut name = match row.glyph {
        Some(part) => format!("{} {}", part.glyph, row.name),
        None => row.name.to_owned(),
    };
    name = format!("{name:<NAME$}");
    if let Some(part) = row.glyph {
        let glyph = part.glyph.to_string();
        name = name.replacen(part.glyph, &paint.text(part.style, &glyph), 1);
    }
    let styled =
        |text: &str| row.style.map_or_else(|| text.to_owned(), |style| paint.text(style, text));
    let room = width.saturating_sub(2 + NAME).max(24);
    for (number, text) in folded(&row.value, room).iter().enumerate() {
        let name = if number == 0 { styled(&name) } else { " ".repeat(NAME + 2) };
        let bar = if number == 0 && !row.bar.is_empty() {
            format!("  {}", row.bar)
        } else {
            String::new()
        };
        lines.push(format!("  {name}{}{bar}", styled(text)).trim_end().to_owned());
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
