//! Connectors: how many jobs there may be, what is expected of them, and why.

use std::collections::BTreeMap;

use profiler_client::protocol::{
    Connector, ConnectorsList, Explained, ExplainedJob, LeaseId, Profile,
};

use super::{binding, cores, duration_ms, mean_bytes, name, or_dash, seconds};
use crate::model::units;
use crate::ui::table::Table;
use crate::ui::text::plain;

const NONE: &str = "No connector is known yet; the first job of one makes it known.\n";

/// How many jobs there may be, there are, and wait.
#[must_use]
pub fn slots(list: &ConnectorsList) -> String {
    if list.connectors.is_empty() {
        return NONE.to_owned();
    }
    let heading = ["connector", "in use", "limit", "waiting", "reserved", "level", "limited by"];
    let mut table = Table::new(&heading, 1..5);
    for connector in &list.connectors {
        table.row(vec![
            name(&connector.connector),
            connector.in_use.to_string(),
            connector.limit.to_string(),
            connector.waiting.to_string(),
            units::bytes(connector.reserved_memory_bytes),
            connector.level.to_string(),
            limited_by(connector),
        ]);
    }
    table.render()
}

fn limited_by(connector: &Connector) -> String {
    let mut text = binding(connector.constraint).to_owned();
    if let Some(ends) = connector.override_ends_ms {
        text += &format!(", for {} yet", duration_ms(ends));
    }
    if connector.drained {
        text += ", drained";
    }
    text
}

/// What jobs are expected to need, and what they did.
#[must_use]
pub fn connectors(list: &ConnectorsList) -> String {
    if list.connectors.is_empty() {
        return NONE.to_owned();
    }
    let mut profiles = Table::new(&["expected", "cap", "cores", "memory", "weight", "class"], 1..5);
    let mut seen =
        Table::new(&["measured", "jobs", "cores", "peak", "memory", "peak", "p50", "p95"], 1..8);
    for connector in &list.connectors {
        profiles.row(expected(&connector.connector, &connector.profile));
        let statistics = &connector.statistics;
        seen.row(vec![
            name(&connector.connector),
            units::count(statistics.jobs),
            or_dash(statistics.cpu_cores, cores),
            or_dash(statistics.cpu_cores_peak, cores),
            or_dash(statistics.memory_bytes, mean_bytes),
            or_dash(statistics.memory_peak_bytes, units::bytes),
            or_dash(statistics.duration_p50_seconds, seconds),
            or_dash(statistics.duration_p95_seconds, seconds),
        ]);
    }
    format!("{}\n{}", profiles.render(), seen.render())
}

fn expected(connector: &str, profile: &Profile) -> Vec<String> {
    vec![
        name(connector),
        or_dash(profile.max_concurrent_jobs, |cap| cap.to_string()),
        or_dash(profile.avg_cpu_cores, cores),
        or_dash(profile.avg_memory_mb, |mb| format!("{mb:.0} MB")),
        or_dash(profile.weight, |weight| format!("{weight}")),
        or_dash(profile.priority, |priority| priority.to_string()),
    ]
}

/// Why a limit is what it is.
#[must_use]
pub fn explained(connector: &str, explained: &Explained) -> String {
    let mut text = format!(
        "{}: {} ({})\n",
        plain(connector),
        units::counted(explained.limit.into(), "job"),
        binding(explained.constraint)
    );
    for line in &explained.lines {
        text += &format!("  {}\n", plain(line));
    }
    if let Some(needs) = &explained.next_slot_needs {
        text += &format!("  One more needs {}.\n", plain(needs));
    }
    for (heading, values) in [("Learned", &explained.learned), ("Declared", &explained.declared)] {
        text += &listed(heading, values);
    }
    for better in &explained.recommendations {
        text += &format!("Better: {} ({}).\n", plain(&better.advice), plain(&better.evidence));
    }
    text
}

/// How a live job stands.
#[must_use]
pub fn explained_job(lease: LeaseId, explained: &ExplainedJob) -> String {
    let mut text = format!("job {lease} of {}\n", plain(&explained.connector));
    for line in &explained.lines {
        text += &format!("  {}\n", plain(line));
    }
    text
}

/// Two digits after the point, where they mean something.
fn figure(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn listed(heading: &str, values: &BTreeMap<String, f64>) -> String {
    if values.is_empty() {
        return String::new();
    }
    let values: Vec<String> =
        values.iter().map(|(name, value)| format!("{} {}", plain(name), figure(*value))).collect();
    format!("{heading}: {}\n", values.join(", "))
}
