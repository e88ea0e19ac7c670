//! Records to rows, and rows to records.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;

use super::Recovered;
use super::columns::{self, FIGURES, OTHERS, Whole};
use super::record::{AuditEntry, Decision, Learned, Outcome, PastJob, Record, Statistics};

/// The columns of a job before those of its usage record.
const JOB: [&str; 14] = [
    "lease",
    "connector",
    "source",
    "label",
    "outcome",
    "uid",
    "pid",
    "began_unix_ms",
    "duration_ms",
    "waited_ms",
    "cpu_percent_mean",
    "cpu_percent_peak",
    "host_cpu_percent",
    "host_memory_percent",
];

static INSERT_JOB: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<_> = JOB.iter().chain(FIGURES).chain(OTHERS).copied().collect();
    let values = vec!["?"; columns.len()].join(", ");
    // A job that was handed over twice is there once, as it was last.
    format!("INSERT OR REPLACE INTO jobs ({}) VALUES ({values})", columns.join(", "))
});

/// Writes a record.
pub(super) fn write(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::Job(job) => write_job(transaction, job),
        Record::Statistics(statistics) => write_statistics(transaction, statistics),
        Record::Learned(learned) => run(
            transaction,
            "INSERT OR REPLACE INTO learned (connector, state, updated_unix_ms) VALUES (?, ?, ?)",
            params![learned.connector, learned.state, time(learned.updated_unix_ms)],
        ),
        Record::Decision(decision) => run(
            transaction,
            "INSERT INTO decisions (unix_ms, connector, decision, facts) VALUES (?, ?, ?, ?)",
            params![time(decision.unix_ms), decision.connector, decision.decision, decision.facts],
        ),
        Record::Audit(entry) => run(
            transaction,
            "INSERT INTO audit (unix_ms, uid, pid, action, subject, facts)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                time(entry.unix_ms),
                entry.uid,
                entry.pid,
                entry.action,
                entry.subject,
                entry.facts
            ],
        ),
    }
}

fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<()> {
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

fn write_job(transaction: &Transaction<'_>, job: &PastJob) -> rusqlite::Result<()> {
    let own: [Value; JOB.len()] = [
        Whole(job.lease).into(),
        job.connector.clone().into(),
        job.source.clone().into(),
        job.label.clone().into(),
        job.outcome.map(|outcome| outcome.as_str().to_owned()).into(),
        job.uid.into(),
        job.pid.into(),
        time(job.began_unix_ms).into(),
        time(job.duration_ms).into(),
        time(job.waited_ms).into(),
        job.cpu_percent_mean.into(),
        job.cpu_percent_peak.into(),
        job.host_cpu_percent.into(),
        job.host_memory_percent.into(),
    ];
    let values = own.into_iter().chain(columns::values(&job.usage));
    let mut statement = transaction.prepare_cached(&INSERT_JOB)?;
    statement.execute(rusqlite::params_from_iter(values)).map(drop)
}

fn write_statistics(transaction: &Transaction<'_>, it: &Statistics) -> rusqlite::Result<()> {
    run(
        transaction,
        "INSERT OR REPLACE INTO connector_statistics (connector, jobs, duration_seconds,
             duration_p50_seconds, duration_p95_seconds, cpu_cores, cpu_cores_peak, memory_bytes,
             memory_peak_bytes, read_bytes, write_bytes, io_operations, optimal_concurrency,
             updated_unix_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            it.connector,
            time(it.jobs),
            it.duration_seconds,
            it.duration_p50_seconds,
            it.duration_p95_seconds,
            it.cpu_cores,
            it.cpu_cores_peak,
            it.memory_bytes,
            it.memory_peak_bytes.map(Whole),
            it.read_bytes,
            it.write_bytes,
            it.io_operations,
            it.optimal_concurrency,
            time(it.updated_unix_ms),
        ],
    )
}

/// A time or a count; SQLite's numbers reach 292 million years and as many jobs.
fn time(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A time or a count out of a row. Nothing of ours is negative.
fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A job out of its row.
pub(super) fn past_job(row: &Row<'_>) -> rusqlite::Result<PastJob> {
    let outcome = row.get::<_, Option<String>>("outcome")?;
    Ok(PastJob {
        lease: row.get::<_, Whole>("lease")?.0,
        connector: row.get("connector")?,
        source: row.get("source")?,
        label: row.get("label")?,
        outcome: outcome.as_deref().and_then(Outcome::read),
        uid: row.get("uid")?,
        pid: row.get("pid")?,
        began_unix_ms: unsigned(row, "began_unix_ms")?,
        duration_ms: unsigned(row, "duration_ms")?,
        waited_ms: unsigned(row, "waited_ms")?,
        cpu_percent_mean: row.get("cpu_percent_mean")?,
        cpu_percent_peak: row.get("cpu_percent_peak")?,
        host_cpu_percent: row.get("host_cpu_percent")?,
        host_memory_percent: row.get("host_memory_percent")?,
        usage: columns::usage(row)?,
    })
}

/// What was known when the file was last written.
pub(super) fn recover(connection: &Connection) -> rusqlite::Result<Recovered> {
    Ok(Recovered {
        statistics: all(connection, "connector_statistics ORDER BY connector", statistics)?,
        learned: all(connection, "learned ORDER BY connector", learned)?,
    })
}

/// Every row of a table, which is ours to name.
fn all<T>(
    connection: &Connection,
    table: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let rows = statement.query_map([], read)?;
    rows.collect()
}

fn statistics(row: &Row<'_>) -> rusqlite::Result<Statistics> {
    let peak: Option<Whole> = row.get("memory_peak_bytes")?;
    Ok(Statistics {
        connector: row.get("connector")?,
        jobs: unsigned(row, "jobs")?,
        duration_seconds: row.get("duration_seconds")?,
        duration_p50_seconds: row.get("duration_p50_seconds")?,
        duration_p95_seconds: row.get("duration_p95_seconds")?,
        cpu_cores: row.get("cpu_cores")?,
        cpu_cores_peak: row.get("cpu_cores_peak")?,
        memory_bytes: row.get("memory_bytes")?,
        memory_peak_bytes: peak.map(|peak| peak.0),
        read_bytes: row.get("read_bytes")?,
        write_bytes: row.get("write_bytes")?,
        io_operations: row.get("io_operations")?,
        optimal_concurrency: row.get("optimal_concurrency")?,
        updated_unix_ms: unsigned(row, "updated_unix_ms")?,
    })
}

fn learned(row: &Row<'_>) -> rusqlite::Result<Learned> {
    Ok(Learned {
        connector: row.get("connector")?,
        state: row.get("state")?,
        updated_unix_ms: unsigned(row, "updated_unix_ms")?,
    })
}

/// A decision out of its row.
pub(super) fn decision(row: &Row<'_>) -> rusqlite::Result<Decision> {
    Ok(Decision {
        unix_ms: unsigned(row, "unix_ms")?,
        connector: row.get("connector")?,
        decision: row.get("decision")?,
        facts: row.get("facts")?,
    })
}

/// An administrative action out of its row.
pub(super) fn audit_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        unix_ms: unsigned(row, "unix_ms")?,
        uid: row.get("uid")?,
        pid: row.get("pid")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        facts: row.get("facts")?,
    })
}

/// Records that should be in the file and are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// When it was told, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Why, in a word.
    pub cause: String,
    /// How many.
    pub records: u64,
    /// What happened, and what to do.
    pub explanation: String,
}

/// A loss out of its row.
pub(super) fn loss(row: &Row<'_>) -> rusqlite::Result<Loss> {
    Ok(Loss {
        unix_ms: unsigned(row, "unix_ms")?,
        cause: row.get("cause")?,
        records: unsigned(row, "records")?,
        explanation: row.get("explanation")?,
    })
}

/// Writes a loss.
pub(super) fn write_loss(transaction: &Transaction<'_>, loss: &Loss) -> rusqlite::Result<()> {
    run(
        transaction,
        "INSERT INTO losses (unix_ms, cause, records, explanation) VALUES (?, ?, ?, ?)",
        params![time(loss.unix_ms), loss.cause, time(loss.records), loss.explanation],
    )
}
