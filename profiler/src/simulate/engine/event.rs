//! What is going to happen at a known time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::model::LeaseId;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The controller looks.
    Tick,
    /// Memory is held against what there is.
    Memory,
    /// A job's wait is over, if it is still on that visit.
    Wakes { slot: usize, visit: u64 },
    /// A job crashes, if it is still there.
    Crash { slot: usize, lease: LeaseId },
    /// All jobs of a connector crash.
    CrashAll { connector: usize },
    /// A job comes from outside.
    Arrival { connector: usize },
    /// Many jobs come.
    Burst { connector: usize, jobs: u32 },
    /// Work begins to come.
    Busy { connector: usize },
    /// No more work comes.
    Idle { connector: usize },
    /// The load from outside may have changed.
    Neighbours,
    /// A phase begins.
    Phase { phase: usize },
    /// The agent goes away.
    Down,
    /// The agent is back.
    Up,
    /// The run is over.
    End,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: f64,
    number: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// Events in the order of their times, and of equal times in the order in which they were planned.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    heap: BinaryHeap<Reverse<Entry>>,
    planned: u64,
}

impl Calendar {
    pub(super) fn plan(&mut self, at: f64, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse(Entry { at, number: self.planned, event }));
    }

    pub(super) fn next_at(&self) -> f64 {
        self.heap.peek().map_or(f64::INFINITY, |Reverse(entry)| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.heap.pop().map(|Reverse(entry)| entry.event)
    }
}
