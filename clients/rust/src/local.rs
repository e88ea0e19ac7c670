//! Bounds on jobs while no agent is there: per client, per connector.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Jobs that run without an agent, by connector.
#[derive(Debug, Default)]
pub(crate) struct LocalBound {
    running: Mutex<HashMap<String, u32>>,
    ended: Condvar,
}

impl LocalBound {
    /// Takes a place, over the limit too.
    pub(crate) fn take_anyway(&self, connector: &str) {
        add(&mut self.lock(), connector);
    }

    /// Waits for a place at most so long, and takes it; whether there was one.
    pub(crate) fn take(&self, connector: &str, limit: u32, patience: Option<Duration>) -> bool {
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut running = self.lock();
        while running.get(connector).copied().unwrap_or(0) >= limit {
            running = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.ended.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.ended.wait(running).unwrap_or_else(PoisonError::into_inner),
            };
        }
        add(&mut running, connector);
        true
    }

    /// Gives a place back.
    pub(crate) fn give_back(&self, connector: &str) {
        let mut running = self.lock();
        if let Some(count) = running.get_mut(connector) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                running.remove(connector);
            }
        }
        drop(running);
        self.ended.notify_all();
    }

    /// Nothing in here can be left half-done by a panic.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(running: &mut HashMap<String, u32>, connector: &str) {
    *running.entry(connector.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_jobs_run_and_the_next_waits_for_an_end() {
        let bound = LocalBound::default();
        let now = Some(Duration::ZERO);
        assert!(bound.take("a", 2, now) && bound.take("a", 2, now) && bound.take("b", 2, now));
        assert!(!bound.take("a", 2, now));
        assert!(!bound.take("a", 2, Some(Duration::from_millis(5))));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| bound.take("a", 2, None));
            bound.give_back("a");
            assert!(waiting.join().unwrap());
        });
        bound.take_anyway("a");
        bound.give_back("a");
        assert!(!bound.take("a", 2, now));
    }
}
