//! Jobs that run, and jobs that ended.

use profiler_client::protocol::{Job, PastJob, State, Usage};

use super::{cores, duration_ms, label, name, or_dash};
use crate::model::units;
use crate::ui::table::Table;

/// Jobs that run.
#[must_use]
pub fn jobs(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "No job runs.\n".to_owned();
    }
    let heading =
        ["lease", "pid", "age", "tasks", "cores", "memory", "CPU", "connector", "source", "label"];
    let mut table = Table::new(&heading, 0..7);
    for job in jobs {
        let orphan = if job.state == State::Orphaned { " (worker gone)" } else { "" };
        table.row(vec![
            job.lease.to_string(),
            job.pid.to_string(),
            duration_ms(job.age_ms),
            units::count(job.tasks),
            or_dash(job.cpu_cores, cores),
            or_dash(job.memory_bytes, units::bytes),
            or_dash(job.usage.cpu_ns, units::duration),
            name(&job.connector) + orphan,
            label(job.source.as_deref()),
            label(job.label.as_deref()),
        ]);
    }
    table.render()
}

/// Jobs that ended.
#[must_use]
pub fn history(jobs: &[PastJob]) -> String {
    if jobs.is_empty() {
        return "No job ended yet.\n".to_owned();
    }
    let heading = [
        "lease",
        "took",
        "waited",
        "CPU",
        "memory",
        "read",
        "written",
        "connector",
        "outcome",
        "source",
        "label",
    ];
    let mut table = Table::new(&heading, 0..7);
    for job in jobs {
        let Usage { cpu_ns, memory_peak_bytes, read_bytes, write_bytes, .. } = job.usage;
        table.row(vec![
            job.lease.to_string(),
            duration_ms(job.duration_ms),
            duration_ms(job.waited_ms),
            or_dash(cpu_ns, units::duration),
            or_dash(memory_peak_bytes, units::bytes),
            or_dash(read_bytes, units::bytes),
            or_dash(write_bytes, units::bytes),
            name(&job.connector),
            job.outcome.as_deref().map_or_else(|| "-".to_owned(), name),
            label(job.source.as_deref()),
            label(job.label.as_deref()),
        ]);
    }
    table.render()
}
