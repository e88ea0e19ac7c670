//! The thread that writes. It takes many records at a time, and survives whatever the disk does.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::database::{self, Database};
use super::losses::Cause;
use super::record::Record;
use super::retention::{self, Step};
use super::rows::{self, Loss};
use super::{Message, Records, Shared, lock};

/// Records of one transaction at most.
const BATCH: usize = 4_096;
/// How long records are collected before they are written. A crash of the host, or of the agent,
/// loses at most what came in that time.
const COLLECT: Duration = Duration::from_millis(100);
/// Between looks for what has grown too old.
const RETENTION: Duration = Duration::from_secs(60);
/// Between attempts to open a file that could not be opened, or to write again after a failure.
const RETRY: Duration = Duration::from_secs(2);

pub(super) struct Writer {
    shared: Arc<Shared>,
    database: Option<Database>,
    /// Records that wait to be written, in order.
    batch: Vec<Record>,
    /// Who wants to know when they are.
    flushes: Vec<SyncSender<bool>>,
    /// Why the last attempt failed; `None` if it did not.
    failing: Option<Cause>,
    retry_at: Instant,
    retention_at: Instant,
    stopped: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, database: Option<Database>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            database,
            batch: Vec::new(),
            flushes: Vec::new(),
            failing: None,
            retry_at: now,
            retention_at: now,
            stopped: false,
        }
    }

    /// Writes what comes until told to stop, and then what is left.
    pub(super) fn run(mut self, records: &Records) {
        while !self.stopped {
            self.collect(records);
            self.settle();
            self.maintain();
        }
        // The last attempt: whoever stops us does not wait for a disk to become free.
        if !self.batch.is_empty() {
            self.attempt();
        }
        if !self.batch.is_empty() {
            self.give_up();
        }
    }

    /// Waits for records, and then a moment for more of them.
    fn collect(&mut self, records: &Records) {
        let wait = match self.batch.is_empty() {
            true => self.retention_at.saturating_duration_since(Instant::now()),
            false => self.retry_at.saturating_duration_since(Instant::now()),
        };
        match records.recv_timeout(wait) {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => self.stopped = true,
        }
        let until = Instant::now() + COLLECT;
        while self.batch.len() < BATCH && !self.stopped && self.flushes.is_empty() {
            match records.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.stopped = true,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record(record) if self.batch.len() >= BATCH => {
                // The disk fails, and what waits for it has taken its share of memory.
                drop(record);
                self.shared.losses.add(self.failing.unwrap_or(Cause::QueueFull), 1);
            }
            Message::Record(record) => self.batch.push(record),
            Message::Flush(done) => self.flushes.push(done),
            Message::Stop => self.stopped = true,
        }
    }

    /// Writes what was collected, unless a failure is too recent.
    fn settle(&mut self) {
        let is_due = self.failing.is_none() || Instant::now() >= self.retry_at;
        if !self.batch.is_empty() && (is_due || !self.flushes.is_empty()) {
            self.attempt();
        }
        for done in self.flushes.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = done.send(self.batch.is_empty());
        }
    }

    /// Writes the batch. If that fails it stays, and the next attempt is later.
    fn attempt(&mut self) {
        if self.database.is_none() && !self.open() {
            return self.failed(Cause::NotWritable);
        }
        let Some(database) = &mut self.database else { return };
        coalesce(&mut self.batch);
        match write(database, &self.batch, &self.shared) {
            Ok(()) => {
                self.batch.clear();
                self.failing = None;
                *lock(&self.shared.trouble) = None;
            }
            Err(error) => {
                self.failed(database::cause(&error));
                self.react(&error);
            }
        }
    }

    fn failed(&mut self, cause: Cause) {
        self.failing = Some(cause);
        self.retry_at = Instant::now() + RETRY;
    }

    /// Opens the file anew.
    fn open(&mut self) -> bool {
        match Database::open_or_replace(&self.shared.file, &self.shared.losses) {
            Ok(database) => {
                self.database = Some(database);
                tracing::info!(file = %self.shared.file.display(), "the history is kept again");
                true
            }
            Err(error) => {
                self.say(&error.to_string());
                false
            }
        }
    }

    /// What a failure calls for.
    fn react(&mut self, error: &rusqlite::Error) {
        self.say(&format!("cannot write {}: {error}", self.shared.file.display()));
        match database::cause(error) {
            Cause::Damaged => {
                // Closed before it is renamed, so that nothing is written to it any more.
                self.database = None;
                if let Err(error) = database::put_aside(&self.shared.file, &self.shared.losses) {
                    self.say(&error.to_string());
                } else if self.open() {
                    // What waits is written to the new file at once.
                    self.retry_at = Instant::now();
                }
            }
            Cause::NotWritable => self.database = None,
            _ => {}
        }
    }

    /// Says what is wrong, in the log once until something else is.
    fn say(&self, trouble: &str) {
        let mut known = lock(&self.shared.trouble);
        if known.as_deref() != Some(trouble) {
            tracing::warn!("history: {trouble}");
            *known = Some(trouble.to_owned());
        }
    }

    /// Gives up what could not be written, and counts it.
    fn give_up(&mut self) {
        let records = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
        let cause = self.failing.unwrap_or(Cause::Failed);
        self.shared.losses.add(cause, records);
        self.batch.clear();
        tracing::error!(records, cause = cause.as_str(), "the history ends without records");
    }

    /// Now and then, when there is nothing else to do, removes a little of what is too old.
    fn maintain(&mut self) {
        if Instant::now() < self.retention_at {
            return;
        }
        let retention = *lock(&self.shared.retention);
        let Some(database) = &self.database else {
            self.retention_at = Instant::now() + RETENTION;
            return;
        };
        let step = retention::step(&database.connection, retention, now_unix_ms());
        let wait = match step {
            // Room for records between the steps.
            Ok(Step::More) => Duration::from_millis(20),
            Ok(Step::Done) => RETENTION,
            Err(error) => {
                self.react(&error);
                RETENTION
            }
        };
        self.retention_at = Instant::now() + wait;
    }
}

/// Writes records and what was lost since the last time, all of it or nothing.
fn write(database: &mut Database, batch: &[Record], shared: &Shared) -> rusqlite::Result<()> {
    let transaction = database.connection.transaction()?;
    for record in batch {
        rows::write(&transaction, record)?;
    }
    let untold = shared.losses.untold();
    for (cause, records) in &untold {
        let loss = Loss {
            unix_ms: now_unix_ms(),
            cause: cause.as_str().to_owned(),
            records: *records,
            explanation: cause.explanation().to_owned(),
        };
        rows::write_loss(&transaction, &loss)?;
    }
    transaction.commit()?;
    shared.losses.told(&untold);
    Ok(())
}

/// Leaves out what a later record of the same batch makes void.
fn coalesce(batch: &mut Vec<Record>) {
    let mut later = HashSet::new();
    let mut kept: Vec<bool> = batch
        .iter()
        .rev()
        .map(|record| match record {
            Record::Statistics(it) => later.insert(("statistics", it.connector.clone())),
            Record::Learned(it) => later.insert(("learned", it.connector.clone())),
            Record::Job(_) | Record::Decision(_) | Record::Audit(_) => true,
        })
        .collect();
    kept.reverse();
    let mut kept = kept.into_iter();
    batch.retain(|_| kept.next().unwrap_or(true));
}

fn now_unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
