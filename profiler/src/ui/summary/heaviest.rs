//! The processes and threads that used most.

use crate::model::units::{count, duration};
use crate::model::{RunRecord, Usage};
use crate::ui::table::Table;
use crate::ui::text::plain;

/// One line of a list.
struct Entry<'a> {
    usage: &'a Usage,
    /// What stands between the times and the name.
    ids: [String; 2],
    name: &'a str,
}

/// The lists of processes and of threads, with at most `top` lines each.
pub(super) fn heaviest(record: &RunRecord, top: usize) -> String {
    let (processes, threads) = (&record.processes, &record.threads);
    let mut text = String::new();
    if top > 0 && processes.len() > 1 {
        let entries = processes.iter().map(|process| {
            let tasks = process.usage.tasks.map_or_else(|| "-".to_owned(), count);
            let ids = [tasks, process.pid.to_string()];
            Entry { usage: &process.usage, ids, name: &process.comm }
        });
        text += &list(entries.collect(), ["threads", "pid", "process"], top);
    }
    // With one thread a process the list would only repeat the one above.
    if top > 0 && threads.len() > 1 && threads.len() != processes.len() {
        let entries = threads.iter().map(|thread| {
            let ids = [thread.pid.to_string(), thread.tid.to_string()];
            Entry { usage: &thread.usage, ids, name: &thread.comm }
        });
        text += &list(entries.collect(), ["pid", "tid", "thread"], top);
    }
    text
}

/// Entries that only slept are left out, and counted below the list.
fn list(mut entries: Vec<Entry<'_>>, headings: [&'static str; 3], top: usize) -> String {
    let all = entries.len();
    entries.retain(|entry| did_something(entry.usage));
    let busy = entries.len();
    let has_block = entries.iter().any(|entry| entry.usage.block_wait_ns.unwrap_or(0) > 0);
    let mut heading = vec!["CPU", "run queue"];
    heading.extend(has_block.then_some("block I/O"));
    heading.extend(headings);
    let mut table = Table::new(&heading, 0..heading.len() - 1);
    for Entry { usage, ids, name } in entries.into_iter().take(top) {
        let mut row = vec![shown(usage.cpu_ns), shown(usage.run_queue_ns)];
        row.extend(has_block.then(|| shown(usage.block_wait_ns)));
        row.extend(ids);
        row.push(plain(name));
        table.row(row);
    }
    let below = match (busy.saturating_sub(top), all - busy) {
        (1.., _) => {
            format!("  … and {} more (--top N shows more, --json all)\n", count((all - top) as u64))
        }
        (0, idle @ 1..) => format!("  … and {} that only slept\n", count(idle as u64)),
        (0, 0) => String::new(),
    };
    if busy == 0 { String::new() } else { format!("\n{}{below}", table.render()) }
}

fn did_something(usage: &Usage) -> bool {
    [usage.cpu_ns, usage.run_queue_ns, usage.block_wait_ns].iter().any(|ns| ns.unwrap_or(0) > 0)
}

fn shown(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), duration)
}
