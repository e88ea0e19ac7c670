//! Who waits, and who may go: one queue per connector, first come first served, up to its limit.

use std::collections::VecDeque;

/// A request for a slot.
#[derive(Clone, Debug)]
pub struct Request<T> {
    /// When it was made, in virtual seconds.
    pub asked: f64,
    /// What is to be done, where that was tried before.
    pub again: Option<T>,
}

/// The queues and what is in use.
#[derive(Clone, Debug)]
pub struct Admission<T> {
    queues: Vec<VecDeque<Request<T>>>,
    in_use: Vec<u32>,
    limits: Vec<u32>,
}

impl<T> Admission<T> {
    /// The most requests that wait for a connector; more are turned away and counted.
    pub const MOST_WAITING: usize = 100_000;

    /// Empty queues for so many connectors, and limits of one.
    #[must_use]
    pub fn new(connectors: usize) -> Self {
        Self {
            queues: (0..connectors).map(|_| VecDeque::new()).collect(),
            in_use: vec![0; connectors],
            limits: vec![1; connectors],
        }
    }

    /// Sets the limits. None is below one.
    pub fn set_limits(&mut self, limits: &[u32]) {
        for (limit, new) in self.limits.iter_mut().zip(limits) {
            *limit = (*new).max(1);
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &[u32] {
        &self.limits
    }

    /// Slots in use, by connector.
    #[must_use]
    pub fn in_use(&self) -> &[u32] {
        &self.in_use
    }

    /// Requests of a connector that wait.
    #[must_use]
    pub fn waiting(&self, connector: usize) -> usize {
        self.queues[connector].len()
    }

    /// Somebody asks for a slot. False: too many wait already.
    pub fn ask(&mut self, connector: usize, request: Request<T>) -> bool {
        let queue = &mut self.queues[connector];
        let has_room = queue.len() < Self::MOST_WAITING;
        if has_room {
            queue.push_back(request);
        }
        has_room
    }

    /// All who wait for a connector go away.
    pub fn withdraw(&mut self, connector: usize) -> VecDeque<Request<T>> {
        std::mem::take(&mut self.queues[connector])
    }

    /// The next of a connector's requests that may go.
    pub fn grant(&mut self, connector: usize) -> Option<Request<T>> {
        if self.in_use[connector] >= self.limits[connector] {
            return None;
        }
        let request = self.queues[connector].pop_front()?;
        self.in_use[connector] += 1;
        Some(request)
    }

    /// A slot is given back.
    pub fn release(&mut self, connector: usize) {
        self.in_use[connector] = self.in_use[connector].saturating_sub(1);
    }
}
