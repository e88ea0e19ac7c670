//! What goes when: by age and by size, a few rows at a time, so that nobody waits for it.

use std::time::Duration;

use rusqlite::{Connection, params};

/// What goes when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long anything is kept.
    pub keep: Duration,
    /// Size of the file's content from which on the oldest goes.
    pub max_bytes: u64,
}

/// Rows that go in one step: a few milliseconds.
const STEP_ROWS: u32 = 500;
/// Pages that one step gives back to the file system.
const STEP_PAGES: u32 = 256;
/// The tables whose rows grow old, with the column that says how old.
const AGEING: [(&str, &str); 4] = [
    ("jobs", "began_unix_ms + duration_ms"),
    ("decisions", "unix_ms"),
    ("audit", "unix_ms"),
    ("losses", "unix_ms"),
];

/// Whether there may be more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Done,
}

/// Removes a little of what should go.
pub(super) fn step(
    connection: &Connection,
    retention: Retention,
    now_unix_ms: u64,
) -> rusqlite::Result<Step> {
    let keep_ms = u64::try_from(retention.keep.as_millis()).unwrap_or(u64::MAX);
    let oldest_unix_ms = i64::try_from(now_unix_ms.saturating_sub(keep_ms)).unwrap_or(i64::MAX);
    let mut removed = 0;
    for (table, age) in AGEING {
        // Rows come in the order of time, near enough: the first that is young ends the search.
        let sql = format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {STEP_ROWS})
                 AND {age} < ?1"
        );
        removed += connection.prepare_cached(&sql)?.execute(params![oldest_unix_ms])?;
    }
    if removed == 0 && used_bytes(connection)? > retention.max_bytes {
        removed = remove_oldest(connection)?;
    }
    if give_back(connection)? || removed > 0 {
        return Ok(Step::More);
    }
    // The file itself shrinks when what was written beside it is brought into it.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(Step::Done)
}

/// Gives some free pages back to the file system; whether there were any.
fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    if pragma(connection, "freelist_count")? == 0 {
        return Ok(false);
    }
    // Each step of the statement gives back one page.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(true)
}

/// Removes the oldest rows of the largest history that there is.
fn remove_oldest(connection: &Connection) -> rusqlite::Result<usize> {
    for table in ["jobs", "decisions", "audit"] {
        let sql = format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {STEP_ROWS})"
        );
        let removed = connection.prepare_cached(&sql)?.execute([])?;
        if removed > 0 {
            return Ok(removed);
        }
    }
    Ok(0)
}

/// Bytes of the file that hold something.
pub(super) fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let (pages, free) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
    Ok(pages.saturating_sub(free) * pragma(connection, "page_size")?)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    Ok(value.unsigned_abs())
}
