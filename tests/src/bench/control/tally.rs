//! What the workers of a workload have done, counted by themselves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts that all workers of one crew share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pieces: AtomicU64,
    killed: AtomicU64,
    ended: Mutex<Vec<Duration>>,
    is_over: AtomicBool,
}

impl Tally {
    /// A piece of work is done.
    pub(super) fn count_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// A job is done that took so long from its grant on.
    pub(super) fn count_job(&self, took: Duration) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }

    /// A worker was killed for want of memory.
    pub(super) fn count_killed(&self) {
        self.killed.fetch_add(1, Ordering::Relaxed);
    }

    /// Pieces so far.
    #[must_use]
    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Workers killed so far.
    #[must_use]
    pub(super) fn killed(&self) -> u64 {
        self.killed.load(Ordering::Relaxed)
    }

    /// How long each job took that ended since this was last asked.
    #[must_use]
    pub(super) fn take_ended(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody is to begin another job.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether nobody is to begin another job.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}
