//! Opening the file, and putting a damaged one aside.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::losses::{Cause, Losses};
use super::schema::{self, SchemaError};

/// How long a statement waits for somebody who writes from a shell.
const BUSY: Duration = Duration::from_secs(2);
/// A file up to this size is looked through when it is opened; it takes about a second for 1 GiB.
const LOOK_THROUGH_BYTES: u64 = 256 << 20;

/// The file, open for writing and in the present shape.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Its folder cannot be made.
    #[error("cannot make the folder {}: {error}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It has another shape.
    #[error("cannot use {}: {error}", .file.display())]
    Schema {
        /// The file.
        file: PathBuf,
        /// Why.
        error: SchemaError,
    },
    /// It is damaged and cannot be put aside.
    #[error("{} is damaged and cannot be renamed: {error}", .file.display())]
    Aside {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Database {
    /// Opens a file; if it is damaged, keeps it aside and begins a new one.
    pub(super) fn open_or_replace(file: &Path, losses: &Losses) -> Result<Self, OpenError> {
        make_folder(file)?;
        let refused = match Self::open(file) {
            Ok(database) => return Ok(database),
            Err(refused) => refused,
        };
        if is_damage(&refused) {
            put_aside(file, losses)?;
            return Self::open(file).map_err(|error| unusable(file, error));
        }
        Err(unusable(file, refused))
    }

    fn open(file: &Path) -> Result<Self, SchemaError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(BUSY)?;
        // Other users' jobs have names that are nobody else's business. The file is ours or this
        // fails, and then so does the rest.
        let _ = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
        // Before the first table, or it has no effect.
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A crash of ours loses nothing; one of the host may lose the last second.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        // 2 MiB.
        connection.pragma_update(None, "cache_size", -2048)?;
        look_through(&connection, file)?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection })
    }
}

/// Reads every page of a file of moderate size, so that damage shows now rather than some day.
fn look_through(connection: &Connection, file: &Path) -> Result<(), SchemaError> {
    if fs::metadata(file).map_or(0, |file| file.len()) > LOOK_THROUGH_BYTES {
        return Ok(());
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(found)).into())
}

fn make_folder(file: &Path) -> Result<(), OpenError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| OpenError::Folder { folder: folder.to_owned(), error })
}

fn unusable(file: &Path, error: SchemaError) -> OpenError {
    OpenError::Schema { file: file.to_owned(), error }
}

/// Renames a damaged file, and what SQLite keeps beside it, so that somebody may look at it.
pub(super) fn put_aside(file: &Path, losses: &Losses) -> Result<(), OpenError> {
    let aside = free_name(file);
    let failed = |error| OpenError::Aside { file: file.to_owned(), error };
    fs::rename(file, &aside).map_err(failed)?;
    for suffix in ["-wal", "-shm"] {
        match fs::rename(with_suffix(file, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    losses.add(Cause::Damaged, 1);
    tracing::error!(
        file = %file.display(),
        kept_as = %aside.display(),
        "the history is damaged; it is kept aside, and a new one begun"
    );
    Ok(())
}

/// `history.db.damaged-1700000000`, with a number after it if that exists.
fn free_name(file: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = with_suffix(file, &format!(".damaged-{now}"));
    let numbered = (1..1000).map(|number| with_suffix(&name, &format!("-{number}")));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !name.exists()).unwrap_or(name)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_damage(error: &SchemaError) -> bool {
    match error {
        SchemaError::Database(error) => cause(error) == Cause::Damaged,
        SchemaError::Newer { .. } => false,
    }
}

/// What a failure of the database means for the records that it concerns.
pub(super) fn cause(error: &rusqlite::Error) -> Cause {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Cause::Damaged,
        Some(ErrorCode::DiskFull) => Cause::DiskFull,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            Cause::NotWritable
        }
        _ => Cause::Failed,
    }
}
