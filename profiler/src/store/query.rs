//! Questions to the history.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ToSql};

use super::Recovered;
use super::record::{AuditEntry, Decision, Learned, PastJob, Statistics};
use super::rows::{self, Loss};

/// The most rows of one answer.
const MOST_ROWS: u32 = 10_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no history at the moment.
    #[error("there is no history: {0}")]
    None(String),
    /// The file cannot be read.
    #[error("cannot read the history: {0}")]
    Database(#[from] rusqlite::Error),
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The job that ended last.
    #[default]
    Latest,
    /// The most CPU time.
    Cpu,
    /// The highest peak of memory.
    Memory,
    /// The longest.
    Duration,
    /// The longest wait for a slot.
    Waited,
    /// The most read.
    Read,
    /// The most written.
    Written,
}

impl Order {
    const fn column(self) -> &'static str {
        match self {
            Self::Latest => "id",
            Self::Cpu => "cpu_ns",
            Self::Memory => "memory_peak_bytes",
            Self::Duration => "duration_ms",
            Self::Waited => "waited_ms",
            Self::Read => "read_bytes",
            Self::Written => "write_bytes",
        }
    }
}

/// Which jobs, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only of this connector.
    pub connector: Option<String>,
    /// Only of this source.
    pub source: Option<String>,
    /// Only of this user.
    pub uid: Option<u32>,
    /// Only those that began at this time or later, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Only those that began before this time.
    pub until_unix_ms: Option<u64>,
    /// How many at most; 50 if it is not said, and never more than 10,000.
    pub limit: Option<u32>,
    /// What comes first.
    pub order: Order,
}

/// A history open for reading. Reading takes nothing from who writes.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// If it is not there, not ours to read, or no database.
    pub fn open(file: &Path) -> Result<Self, QueryError> {
        if !file.exists() {
            return Err(QueryError::None(format!("{} does not exist", file.display())));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        Ok(Self { connection })
    }

    /// Jobs that ended.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn jobs(&self, filter: &JobFilter) -> Result<Vec<PastJob>, QueryError> {
        let time = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let since = filter.since_unix_ms.map(time);
        let until = filter.until_unix_ms.map(time);
        let conditions: [(&str, Option<&dyn ToSql>); 5] = [
            ("connector = ?", filter.connector.as_ref().map(|it| it as &dyn ToSql)),
            ("source = ?", filter.source.as_ref().map(|it| it as &dyn ToSql)),
            ("uid = ?", filter.uid.as_ref().map(|it| it as &dyn ToSql)),
            ("began_unix_ms >= ?", since.as_ref().map(|it| it as &dyn ToSql)),
            ("began_unix_ms < ?", until.as_ref().map(|it| it as &dyn ToSql)),
        ];
        let mut clauses = vec!["TRUE"];
        let mut values = Vec::new();
        for (clause, value) in conditions {
            if let Some(value) = value {
                clauses.push(clause);
                values.push(value);
            }
        }
        let limit = filter.limit.unwrap_or(50).min(MOST_ROWS);
        let sql = format!(
            "SELECT * FROM jobs WHERE {} ORDER BY {} DESC NULLS LAST, id DESC LIMIT {limit}",
            clauses.join(" AND "),
            filter.order.column()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let jobs = statement.query_map(values.as_slice(), rows::past_job)?;
        Ok(jobs.collect::<Result<_, _>>()?)
    }

    /// Statistics of every connector, as they were last written.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn statistics(&self) -> Result<Vec<Statistics>, QueryError> {
        Ok(self.recovered()?.statistics)
    }

    /// What was learned of every connector.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn learned(&self) -> Result<Vec<Learned>, QueryError> {
        Ok(self.recovered()?.learned)
    }

    /// Decisions about limits, the latest first; of one connector or of all.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn decisions(
        &self,
        connector: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Decision>, QueryError> {
        let sql = "SELECT * FROM decisions WHERE ?1 IS NULL OR connector = ?1 OR connector IS NULL
                   ORDER BY id DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = rusqlite::params![connector, limit.min(MOST_ROWS)];
        let decisions = statement.query_map(values, rows::decision)?;
        Ok(decisions.collect::<Result<_, _>>()?)
    }

    /// What operators did, the latest first.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, QueryError> {
        let sql = "SELECT * FROM audit ORDER BY id DESC LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let entries = statement.query_map([limit.min(MOST_ROWS)], rows::audit_entry)?;
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// What should be in the history and is not, the latest first.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn losses(&self) -> Result<Vec<Loss>, QueryError> {
        let sql = format!("SELECT * FROM losses ORDER BY id DESC LIMIT {MOST_ROWS}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let losses = statement.query_map([], rows::loss)?;
        Ok(losses.collect::<Result<_, _>>()?)
    }

    fn recovered(&self) -> Result<Recovered, QueryError> {
        Ok(rows::recover(&self.connection)?)
    }
}
