//! The shape of the file, and how an older one becomes the present one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::columns::FIGURES;

/// What each version adds to the one before; version 1 first. Never changed once it was released.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
];

/// Why the shape of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    /// It is from the future.
    #[error("the history has version {found}, which only a newer program can write")]
    Newer {
        /// Its version.
        found: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// Brings a file to the present version, in one transaction: all of it, or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), SchemaError> {
    migrate_to(connection, MIGRATIONS.len())
}

fn migrate_to(connection: &mut Connection, version: usize) -> Result<(), SchemaError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > MIGRATIONS.len() {
        return Err(SchemaError::Newer { found });
    }
    for migration in MIGRATIONS.iter().take(version).skip(found) {
        transaction.execute_batch(migration)?;
    }
    add_figures(&transaction)?;
    if found < version {
        transaction.pragma_update(
            None,
            "user_version",
            u32::try_from(version).unwrap_or(u32::MAX),
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// Adds a column for each figure that the table lacks; in rows that are there already it is unknown.
fn add_figures(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let present = columns(transaction, "jobs")?;
    for figure in FIGURES {
        if !present.iter().any(|column| column == figure) {
            // The name is one of ours.
            transaction.execute_batch(&format!("ALTER TABLE jobs ADD COLUMN {figure} ANY"))?;
        }
    }
    Ok(())
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_file_is_brought_to_the_present_version_with_its_jobs() {
        let mut connection = Connection::open_in_memory().unwrap();
        // As the first version left it, before some figures existed.
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
            .execute_batch(
                "ALTER TABLE jobs ADD COLUMN cpu_ns ANY;
                 INSERT INTO jobs (lease, connector, uid, pid, began_unix_ms, duration_ms,
                                   waited_ms, usage_source, cpu_ns)
                 VALUES (7, 'imap', 1000, 42, 5, 6, 0, 'ebpf', 123)",
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let version: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 3);
        let job: (i64, Option<i64>, String) = connection
            .query_row(
                "SELECT cpu_ns, net_rx_bytes, began FROM jobs JOIN recent_jobs USING (lease)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!((job.0, job.1), (123, None));
        // Doing it again changes nothing.
        migrate(&mut connection).unwrap();
        let present = columns(&connection, "jobs").unwrap();
        assert!(FIGURES.iter().all(|figure| present.iter().any(|column| column == figure)));
    }

    #[test]
    fn a_file_of_a_newer_program_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE future (x)").unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let refused = migrate(&mut connection).unwrap_err().to_string();
        assert_eq!(refused, "the history has version 99, which only a newer program can write");
        assert_eq!(columns(&connection, "jobs").unwrap(), [""; 0]);
    }
}
