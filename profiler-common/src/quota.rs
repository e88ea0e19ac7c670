//! Which part of a wait for a CPU a quota is to blame for.
//!
//! The kernel adds up, for each run queue (one for each group of tasks and CPU), how long a quota of
//! the group, or of one above it, kept the queue off the CPU. It does so when that ends. Who stands
//! in the queue meanwhile counts as waiting for a CPU.

/// A run queue and how long it had been throttled when somebody looked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled {
    /// Address of the queue; 0 for none.
    pub queue: u64,
    /// How long it had been throttled in all.
    pub total_ns: u64,
}

/// What a CPU knows of the throttling of a run queue, from the tasks of jobs that left it.
///
/// A queue is not throttled while a task of it runs. So if its total stands where it stood, it was
/// not throttled since the first task that found it there arrived on the CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steady {
    /// The queue and its total when the last task left.
    pub last: Throttled,
    /// When the first task arrived that found the total so, by the scheduler's clock of this CPU.
    pub since_ns: u64,
    /// By how much the total had grown just before that, as far as that was seen.
    pub grown_ns: u64,
}

/// A task's wait for the CPU that it is about to leave again.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// How long it was.
    pub waited_ns: u64,
    /// When it ended, by the clock of [`Steady::since_ns`].
    pub arrived_ns: u64,
    /// Whether the task slept before it.
    pub slept: bool,
}

impl Steady {
    /// A task leaves after this wait, and finds its queue like this.
    ///
    /// Of a queue that the CPU has not seen, or has lost sight of, nobody knows how much is new. If
    /// all there ever was fits into the wait it is taken for that, else none of it.
    #[inline(always)]
    pub fn renew(&mut self, now: Throttled, wait: &Wait) {
        let is_known = self.last.queue == now.queue;
        if is_known && self.last.total_ns == now.total_ns {
            return;
        }
        let grown_ns = if is_known {
            now.total_ns.saturating_sub(self.last.total_ns)
        } else if now.total_ns <= wait.waited_ns {
            now.total_ns
        } else {
            0
        };
        *self = Self { last: now, since_ns: wait.arrived_ns, grown_ns };
    }

    /// A task that was moved to another CPU while it waited finds the queue that it left like this,
    /// and takes the growth for its own. What is new was before it was moved, and so before it arrived
    /// there. Without this, a task that is moved back would find it new once more.
    #[inline(always)]
    pub fn renew_from_elsewhere(&mut self, there: Throttled, wait: &Wait) {
        if self.last.queue == there.queue {
            self.renew(there, wait);
        }
    }
}

impl Wait {
    /// The part of the wait during which the task's queue was throttled. `before` and `now` are what
    /// was found when the task last left a CPU and what is found now, `steady` what this CPU knows,
    /// brought up to date. `growth_there` is asked for the growth of the queue of `before`, if that
    /// is another one.
    #[must_use]
    #[inline(always)]
    pub fn throttled_ns(
        &self,
        before: Throttled,
        now: Throttled,
        steady: &Steady,
        growth_there: impl FnOnce() -> u64,
    ) -> u64 {
        let began_ns = self.arrived_ns.wrapping_sub(self.waited_ns);
        // After this much of the wait the queue here was not throttled any more.
        let latest = steady.since_ns.saturating_sub(began_ns);
        let growth = now.total_ns.saturating_sub(before.total_ns);
        let throttled = match (before.queue == now.queue, self.slept) {
            // It has waited ever since.
            (true, false) => growth,
            // The queue may have been throttled while it slept.
            (true, true) => growth.min(latest),
            // It woke up here.
            (false, true) => steady.grown_ns.min(latest),
            // It waited there, and then here.
            (false, false) => steady.grown_ns.min(latest).saturating_add(growth_there()),
        };
        throttled.min(self.waited_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u64 = 0x1000;
    const THERE: u64 = 0x2000;

    fn found(queue: u64, total_ns: u64) -> Throttled {
        Throttled { queue, total_ns }
    }

    /// The queue here was throttled for 80 up to the moment 1000, when its first task arrived.
    fn steady() -> Steady {
        Steady { last: found(HERE, 180), since_ns: 1000, grown_ns: 80 }
    }

    fn part(wait: Wait, before: Throttled) -> u64 {
        wait.throttled_ns(before, found(HERE, 180), &steady(), || 50)
    }

    #[test]
    fn a_task_that_lost_the_cpu_was_throttled_for_as_long_as_its_queue() {
        let wait = Wait { waited_ns: 95, arrived_ns: 1010, slept: false };
        assert_eq!(part(wait, found(HERE, 100)), 80);
        assert_eq!(part(wait, found(HERE, 180)), 0, "it was not throttled meanwhile");
    }

    #[test]
    fn no_part_is_longer_than_the_wait() {
        for slept in [false, true] {
            let wait = Wait { waited_ns: 7, arrived_ns: 1000, slept };
            for before in [found(HERE, 0), found(THERE, 0), found(0, 0)] {
                assert!(part(wait, before) <= 7, "{before:?}");
            }
        }
    }

    #[test]
    fn throttling_that_fell_into_a_sleep_is_none_of_the_wait() {
        let woke_after = Wait { waited_ns: 20, arrived_ns: 1030, slept: true };
        assert_eq!(part(woke_after, found(HERE, 100)), 0);
        let woke_before = Wait { waited_ns: 40, arrived_ns: 1030, slept: true };
        assert_eq!(part(woke_before, found(HERE, 100)), 10, "10 of it before the first arrival");
    }

    #[test]
    fn a_task_that_woke_up_on_another_cpu_was_throttled_as_that_cpu_saw() {
        let wait = Wait { waited_ns: 300, arrived_ns: 1030, slept: true };
        assert_eq!(part(wait, found(THERE, 5)), 80);
    }

    #[test]
    fn a_task_that_was_moved_while_it_waited_was_throttled_there_and_here() {
        let wait = Wait { waited_ns: 300, arrived_ns: 1030, slept: false };
        assert_eq!(part(wait, found(THERE, 5)), 80 + 50);
    }

    #[test]
    fn a_total_that_went_back_is_of_another_queue_at_the_same_address() {
        let wait = Wait { waited_ns: 300, arrived_ns: 1030, slept: false };
        assert_eq!(part(wait, found(HERE, 999)), 0);
    }

    #[test]
    fn a_cpu_knows_since_when_a_total_stands_still() {
        let at = |arrived_ns| Wait { waited_ns: 90, arrived_ns, slept: false };
        let mut known = Steady::default();
        known.renew(found(HERE, 100), &at(500));
        assert_eq!(known, Steady { last: found(HERE, 100), since_ns: 500, grown_ns: 0 });
        known.renew(found(HERE, 100), &at(600));
        assert_eq!(known.since_ns, 500, "nothing changed");
        known.renew(found(HERE, 180), &at(1000));
        assert_eq!(known, steady());
    }

    #[test]
    fn what_a_task_counted_after_it_was_moved_away_is_not_new_when_it_comes_back() {
        let mut known = Steady { last: found(HERE, 100), since_ns: 500, grown_ns: 0 };
        let away = Wait { waited_ns: 90, arrived_ns: 1000, slept: false };
        known.renew_from_elsewhere(found(HERE, 180), &away);
        assert_eq!(known, steady());
        let back = Wait { waited_ns: 40, arrived_ns: 1100, slept: false };
        known.renew(found(HERE, 180), &back);
        let there = || 0;
        assert_eq!(back.throttled_ns(found(THERE, 5), found(HERE, 180), &known, there), 0);
        known.renew_from_elsewhere(found(THERE, 900), &away);
        assert_eq!(known, steady(), "of another queue the CPU keeps nothing");
    }

    #[test]
    fn a_queue_seen_for_the_first_time_was_throttled_within_the_wait_or_who_knows_when() {
        let wait = Wait { waited_ns: 90, arrived_ns: 1000, slept: false };
        for (total_ns, grown_ns) in [(0, 0), (89, 89), (91, 0)] {
            let mut steady = Steady::default();
            steady.renew(found(HERE, total_ns), &wait);
            assert_eq!(steady.grown_ns, grown_ns, "of {total_ns} ns");
        }
    }
}
