//! History on disk: jobs that ended, statistics, what was learned, decisions, who changed what.
//!
//! One SQLite file, made for the `sqlite3` shell as much as for us. One thread writes it, fed by a
//! bounded queue, many records to a transaction. Whoever hands a record over never waits and never
//! fails: what cannot be kept, because the queue or the disk is full, the folder is read-only or the
//! file is damaged, is counted by cause, and told in the file itself as soon as that is possible. A
//! damaged file is kept aside, and a new one begun.

mod columns;
mod database;
mod losses;
mod query;
mod record;
mod retention;
mod rows;
mod schema;
mod writer;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use losses::{Cause, Losses};
pub use query::{JobFilter, Order, QueryError, Reader};
pub use record::{AuditEntry, Decision, Learned, Outcome, PastJob, Statistics};
pub use retention::Retention;
pub use rows::Loss;

use crate::background;
use database::Database;
use record::Record;
use writer::Writer;

/// How to keep history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file. Its folder is made if need be.
    pub file: PathBuf,
    /// What goes when.
    pub retention: Retention,
    /// Records that may wait to be written.
    pub queue: usize,
}

/// What was known when the agent ended the last time, in good order or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Statistics of connectors.
    pub statistics: Vec<Statistics>,
    /// What was learned of connectors.
    pub learned: Vec<Learned>,
}

/// The history, to be written to. Dropping it writes what waits.
#[derive(Debug)]
pub struct Store {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and those who feed it both see.
#[derive(Debug)]
struct Shared {
    file: PathBuf,
    losses: Losses,
    trouble: Mutex<Option<String>>,
    retention: Mutex<Retention>,
}

enum Message {
    Record(Record),
    /// To be answered when everything before it was tried: whether it was written.
    Flush(SyncSender<bool>),
    Stop,
}

impl Store {
    /// Opens the history, or goes on without one: [`Self::trouble`] says why then. Opening is tried
    /// again from time to time.
    ///
    /// # Errors
    ///
    /// Only if no thread can be started.
    pub fn start(settings: Settings) -> std::io::Result<(Self, Recovered)> {
        let (queue, records) = mpsc::sync_channel(settings.queue);
        let shared = Arc::new(Shared {
            file: settings.file,
            losses: Losses::default(),
            trouble: Mutex::new(None),
            retention: Mutex::new(settings.retention),
        });
        let (database, recovered) = open(&shared);
        let writer = Writer::new(Arc::clone(&shared), database);
        let run = move || writer.run(&records);
        let thread = background::spawn("history", run)?;
        Ok((Self { queue, shared, writer: Some(thread) }, recovered))
    }

    /// Keeps a job that ended.
    pub fn job_ended(&self, job: PastJob) {
        self.keep(Record::Job(Box::new(job)));
    }

    /// Keeps a connector's statistics in place of those before.
    pub fn statistics(&self, statistics: Statistics) {
        self.keep(Record::Statistics(statistics));
    }

    /// Keeps what was learned of a connector in place of what was known before.
    pub fn learned(&self, learned: Learned) {
        self.keep(Record::Learned(learned));
    }

    /// Keeps a decision about limits.
    pub fn decided(&self, decision: Decision) {
        self.keep(Record::Decision(decision));
    }

    /// Keeps who changed what.
    pub fn audit(&self, entry: AuditEntry) {
        self.keep(Record::Audit(entry));
    }

    /// Changes what goes when.
    pub fn set_retention(&self, retention: Retention) {
        *lock(&self.shared.retention) = retention;
    }

    /// How many records were lost, by cause, since the agent began.
    #[must_use]
    pub fn lost(&self) -> Vec<(Cause, u64)> {
        self.shared.losses.all()
    }

    /// Why nothing can be kept at the moment, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }

    /// Opens the history for reading. Call it where waiting for a disk is no harm.
    ///
    /// # Errors
    ///
    /// If there is no history to be read.
    pub fn reader(&self) -> Result<Reader, QueryError> {
        if let Some(why) = self.trouble() {
            return Err(QueryError::None(why));
        }
        Reader::open(&self.shared.file)
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.shared.file
    }

    /// Has everything that was handed over so far written now, and waits for it, at most so long.
    /// Whether it was.
    #[must_use]
    pub fn flush(&self, at_most: Duration) -> bool {
        let (done, is_done) = mpsc::sync_channel(1);
        // A full queue is being worked on; there is no other place to wait for it.
        let is_asked = self.queue.send(Message::Flush(done)).is_ok();
        is_asked && is_done.recv_timeout(at_most).unwrap_or(false)
    }

    fn keep(&self, record: Record) {
        match self.queue.try_send(Message::Record(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.shared.losses.add(Cause::QueueFull, 1),
            Err(TrySendError::Disconnected(_)) => self.shared.losses.add(Cause::Failed, 1),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Either can only fail if the thread has ended already.
        let _ = self.queue.send(Message::Stop);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Opens the database and reads what the agent needs to go on.
fn open(shared: &Shared) -> (Option<Database>, Recovered) {
    match Database::open_or_replace(&shared.file, &shared.losses) {
        Ok(database) => {
            let recovered = rows::recover(&database.connection).unwrap_or_default();
            (Some(database), recovered)
        }
        Err(error) => {
            *lock(&shared.trouble) = Some(error.to_string());
            (None, Recovered::default())
        }
    }
}

/// A lock whose holder never leaves half a change behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the writer receives.
type Records = Receiver<Message>;
