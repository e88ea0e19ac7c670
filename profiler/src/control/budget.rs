//! How much memory all jobs together may hold.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{Bytes, HostSample, Moment};

/// The memory budget: lowered at once, raised after a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Budget {
    /// Budgets that were computed lately, rising: the first is the least.
    lately: VecDeque<(Moment, Bytes)>,
    external: Bytes,
}

impl Budget {
    /// Takes a sample in, and gives the budget. `managed` is what all jobs hold now.
    pub(super) fn update(
        &mut self,
        settings: &Settings,
        now: Moment,
        host: &HostSample,
        managed: Bytes,
    ) -> Bytes {
        self.external = host.memory_total.less(host.memory_available).less(managed);
        let left = host.memory_total.less(self.external).less(settings.memory_reserve);
        let share = settings.memory_share.clamp(0.0, 1.0);
        let ceiling = settings.memory_ceiling.unwrap_or(Bytes(u64::MAX));
        let budget = Bytes::from_f64(left.as_f64() * share).min(ceiling);
        while self.lately.back().is_some_and(|(_, other)| *other >= budget) {
            self.lately.pop_back();
        }
        self.lately.push_back((now, budget));
        // One that held for long is what may be counted on; at least the latest stays.
        while self.lately.len() > 1
            && self
                .lately
                .front()
                .is_some_and(|(since, _)| now.since(*since) > settings.memory_raise_after)
        {
            self.lately.pop_front();
        }
        self.lately.front().map_or(budget, |(_, least)| *least)
    }

    /// Memory in use that no job holds.
    #[must_use]
    pub(super) fn external(&self) -> Bytes {
        self.external
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn at(second: u64) -> Moment {
        Moment(second * 1_000_000_000)
    }

    fn update(budget: &mut Budget, second: u64, available: u64, managed: u64) -> u64 {
        let host = HostSample {
            memory_total: Bytes(16 * GIB),
            memory_available: Bytes(available),
            ..HostSample::default()
        };
        let settings =
            Settings { memory_share: 1.0, memory_reserve: Bytes(GIB), ..Settings::default() };
        budget.update(&settings, at(second), &host, Bytes(managed)).0 / GIB
    }

    #[test]
    fn it_falls_at_once_and_rises_after_a_while() {
        let mut budget = Budget::default();
        assert_eq!(update(&mut budget, 0, 16 * GIB, 0), 15);
        assert_eq!(update(&mut budget, 1, 8 * GIB, 0), 7, "a neighbour took half");
        assert_eq!(update(&mut budget, 2, 16 * GIB, 0), 7);
        assert_eq!(update(&mut budget, 31, 16 * GIB, 0), 7);
        assert_eq!(update(&mut budget, 32, 16 * GIB, 0), 15);
    }

    #[test]
    fn what_jobs_hold_is_theirs() {
        let mut budget = Budget::default();
        assert_eq!(update(&mut budget, 0, 4 * GIB, 12 * GIB), 15);
        assert_eq!(budget.external(), Bytes(0));
    }

    #[test]
    fn a_ceiling_holds_whatever_is_free() {
        let host = HostSample {
            memory_total: Bytes(16 * GIB),
            memory_available: Bytes(16 * GIB),
            ..HostSample::default()
        };
        let settings = Settings { memory_ceiling: Some(Bytes(GIB)), ..Settings::default() };
        let budget = Budget::default().update(&settings, at(0), &host, Bytes(0));
        assert_eq!(budget, Bytes(GIB));
    }

    #[test]
    fn figures_that_contradict_each_other_give_a_budget_all_the_same() {
        let mut budget = Budget::default();
        assert_eq!(update(&mut budget, 0, u64::MAX, u64::MAX), 15);
        assert_eq!(update(&mut budget, 1, 0, 0), 0);
    }
}
