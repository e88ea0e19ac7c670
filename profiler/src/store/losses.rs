//! What could not be kept, by cause.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;

/// Why a record is not in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// More came than could be written.
    QueueFull,
    /// No space left where the file is.
    DiskFull,
    /// The file or its folder cannot be written, or is another version's.
    NotWritable,
    /// The file was damaged. It is kept aside; this counts files, not records.
    Damaged,
    /// Writing failed in another way.
    Failed,
}

impl Cause {
    /// As it is written in the file and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "history_queue_full",
            Self::DiskFull => "history_disk_full",
            Self::NotWritable => "history_not_writable",
            Self::Damaged => "history_damaged",
            Self::Failed => "history_failed",
        }
    }

    /// What happened, and what to do.
    pub(super) const fn explanation(self) -> &'static str {
        match self {
            Self::QueueFull => {
                "more records came than could be written: raise history.queue, or put the file on a \
                 faster disk"
            }
            Self::DiskFull => "no space was left: free some, or lower history.max_size",
            Self::NotWritable => "the file could not be written: see the log",
            Self::Damaged => "the file before this one was damaged, and is kept beside it",
            Self::Failed => "the database refused them: see the log",
        }
    }
}

/// Counts of what was lost.
#[derive(Debug, Default)]
pub struct Losses(Mutex<BTreeMap<Cause, Count>>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u64,
    /// Of `all`, what the file says already.
    told: u64,
}

impl Losses {
    /// Counts records as lost.
    pub(super) fn add(&self, cause: Cause, records: u64) {
        lock(&self.0).entry(cause).or_default().all += records;
    }

    /// All causes that occurred.
    pub(super) fn all(&self) -> Vec<(Cause, u64)> {
        lock(&self.0).iter().map(|(cause, count)| (*cause, count.all)).collect()
    }

    /// What the file does not say yet.
    pub(super) fn untold(&self) -> Vec<(Cause, u64)> {
        let counts = lock(&self.0);
        let untold = counts.iter().map(|(cause, count)| (*cause, count.all - count.told));
        untold.filter(|(_, records)| *records > 0).collect()
    }

    /// Notes that the file says this now.
    pub(super) fn told(&self, told: &[(Cause, u64)]) {
        let mut counts = lock(&self.0);
        for (cause, records) in told {
            counts.entry(*cause).or_default().told += records;
        }
    }
}
