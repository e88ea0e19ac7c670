//! What a job used, in a few lines.

use profiler_client::protocol::{Source, Usage};

use crate::model::units::{bytes, count, duration};
use crate::ui::text::plain;

/// Line by line what is known.
#[must_use]
pub fn usage(usage: &Usage) -> String {
    let times = [
        ("wall", usage.wall_ns),
        ("CPU", usage.cpu_ns),
        ("waited for a CPU", usage.run_queue_ns),
        ("for block I/O", usage.block_wait_ns),
    ];
    let sizes = [
        ("memory peak", usage.memory_peak_bytes),
        ("mean", usage.memory_mean_bytes),
        ("read", usage.read_bytes),
        ("written", usage.write_bytes),
        ("received", usage.net_rx_bytes),
        ("sent", usage.net_tx_bytes),
    ];
    let counts = [
        ("processes", usage.processes),
        ("tasks", usage.tasks),
        ("major faults", usage.major_faults),
    ];
    let mut text = String::new();
    for line in [line(&times, duration), line(&sizes, bytes), line(&counts, count)] {
        if !line.is_empty() {
            text += &format!("profiler: {line}\n");
        }
    }
    for (cause, lost) in &usage.lost {
        text += &format!("profiler: lost: {} {}\n", plain(cause), count(*lost));
    }
    if usage.source == Source::Procfs {
        text += "profiler: samples of /proc; these are lower bounds\n";
    }
    text
}

fn line(figures: &[(&str, Option<u64>)], shown: fn(u64) -> String) -> String {
    let known =
        figures.iter().filter_map(|(name, figure)| Some(format!("{name} {}", shown((*figure)?))));
    known.collect::<Vec<_>>().join(", ")
}
