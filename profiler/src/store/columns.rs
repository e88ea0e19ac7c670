//! The usage record as columns: one per figure, of the same name.

use std::collections::BTreeMap;

use rusqlite::types::{FromSqlError, ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, ToSql};

use crate::model::{Latency, Source, Usage};

/// A whole number of 64 bits without sign. SQLite's own have a sign; what is beyond them is kept as
/// text of 20 digits, which sorts after every number and in the right order, and adds up in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole(pub(super) u64);

impl From<Whole> for Value {
    fn from(Whole(whole): Whole) -> Self {
        i64::try_from(whole).map_or_else(|_| Self::Text(format!("{whole:020}")), Self::Integer)
    }
}

impl ToSql for Whole {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::from(*self)))
    }
}

impl rusqlite::types::FromSql for Whole {
    fn column_result(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        let whole = match value {
            ValueRef::Integer(value) => u64::try_from(value).ok(),
            ValueRef::Text(_) => value.as_str()?.parse().ok(),
            _ => return Err(FromSqlError::InvalidType),
        };
        whole.map(Self).ok_or(FromSqlError::InvalidType)
    }
}

/// Lists the figures that are counts. The compiler sees to it that none is left out.
macro_rules! figures {
    ($($figure:ident),+ $(,)?) => {
        /// The columns of the figures.
        pub(super) const FIGURES: &[&str] = &[$(stringify!($figure)),+];

        /// The figures, in the order of their columns.
        fn figures(usage: &Usage) -> [Option<u64>; FIGURES.len()] {
            let Usage {
                $($figure,)+ device_latency_us: _, exit_status: _, source: _, lost: _,
            } = usage;
            [$(*$figure),+]
        }

        /// A record with the figures of a row.
        fn with_figures(usage: Usage, row: &Row<'_>) -> rusqlite::Result<Usage> {
            Ok(Usage { $($figure: whole(row, stringify!($figure))?,)+ ..usage })
        }
    };
}

figures! {
    wall_ns,
    life_ns,
    cpu_ns,
    run_queue_ns,
    run_queue_managed_ns,
    run_queue_self_ns,
    run_queue_throttled_ns,
    run_queue_external_ns,
    block_wait_ns,
    other_wait_ns,
    voluntary_switches,
    involuntary_switches,
    read_bytes,
    write_bytes,
    cancelled_write_bytes,
    logical_read_bytes,
    logical_write_bytes,
    read_calls,
    write_calls,
    device_read_bytes,
    device_write_bytes,
    device_read_ops,
    device_write_ops,
    net_rx_bytes,
    net_tx_bytes,
    net_rx_ops,
    net_tx_ops,
    local_rx_bytes,
    local_tx_bytes,
    minor_faults,
    major_faults,
    memory_peak_bytes,
    memory_mean_bytes,
    memory_file_peak_bytes,
    tasks,
    tasks_peak,
    processes,
}

/// The columns of a usage record that are not in [`FIGURES`].
pub(super) const OTHERS: &[&str] = &[
    "device_latency_p50_us",
    "device_latency_p95_us",
    "device_latency_p99_us",
    "device_latency_max_us",
    "exit_status",
    "usage_source",
    "usage_lost",
];

/// The values of a usage record in the order of [`FIGURES`] and then [`OTHERS`].
pub(super) fn values(usage: &Usage) -> impl Iterator<Item = Value> {
    let latency = usage.device_latency_us;
    let quantiles = [
        latency.map(|latency| latency.p50),
        latency.map(|latency| latency.p95),
        latency.map(|latency| latency.p99),
        latency.map(|latency| latency.max),
    ];
    let whole = figures(usage).into_iter().chain(quantiles);
    // An exact record, nearly every one, has lost nothing.
    let lost = (!usage.lost.is_empty()).then(|| serde_json::to_string(&usage.lost).ok()).flatten();
    let others = [
        Value::from(usage.exit_status),
        Value::from(source_name(usage.source).to_owned()),
        Value::from(lost),
    ];
    whole.map(|value| Value::from(value.map(Whole))).chain(others)
}

/// The usage record of a row.
pub(super) fn usage(row: &Row<'_>) -> rusqlite::Result<Usage> {
    let source = match row.get::<_, String>("usage_source")?.as_str() {
        "ebpf" => Source::Ebpf,
        _ => Source::Procfs,
    };
    let quantiles = (
        whole(row, "device_latency_p50_us")?,
        whole(row, "device_latency_p95_us")?,
        whole(row, "device_latency_p99_us")?,
        whole(row, "device_latency_max_us")?,
    );
    let device_latency_us = match quantiles {
        (Some(p50), Some(p95), Some(p99), Some(max)) => Some(Latency { p50, p95, p99, max }),
        _ => None,
    };
    let lost = row.get::<_, Option<String>>("usage_lost")?;
    let lost: BTreeMap<String, u64> =
        lost.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let exit_status = row.get("exit_status")?;
    let usage = Usage { device_latency_us, exit_status, lost, ..Usage::unknown(source) };
    with_figures(usage, row)
}

fn whole(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<Whole>>(column)?.map(|whole| whole.0))
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Ebpf => "ebpf",
        Source::Procfs => "procfs",
    }
}
