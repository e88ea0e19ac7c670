//! Limits that do not change: all that are worth trying, in turn.

use std::time::Duration;

use serde::Serialize;

use super::interrupt::Interrupted;
use super::trial::Trial;
use crate::bench::median;
use crate::chance::Chance;

/// How often each limit is tried, each time in another order: what else the host did in one second
/// is not held against a limit.
const TIMES: u32 = 3;

/// What came of a limit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Tried {
    /// The limit.
    pub(super) limit: u32,
    /// Pieces a second, each time.
    pub(super) goodputs: Vec<f64>,
    /// Workers that were killed for want of memory.
    pub(super) killed: u64,
    /// Whether as many jobs may want more memory than there is: whether anybody is killed in a trial is
    /// luck then.
    pub(super) may_kill: bool,
}

impl Tried {
    /// The middle one of its times.
    #[must_use]
    pub(super) fn goodput(&self) -> f64 {
        median(self.goodputs.clone())
    }
}

/// Tries all limits of the workload, each for so long.
///
/// # Errors
/// If it is to end.
pub(super) fn search(trial: &mut Trial<'_>, length: Duration) -> Result<Vec<Tried>, Interrupted> {
    let workload = trial.workload();
    let fresh = |limit: &u32| Tried {
        limit: *limit,
        goodputs: Vec::new(),
        killed: 0,
        may_kill: workload.fit().is_some_and(|fit| *limit > fit),
    };
    let mut all: Vec<Tried> = workload.limits.iter().map(fresh).collect();
    let mut chance = Chance::new(0xbe57);
    for time in 1..=TIMES {
        shuffle(&mut all, &mut chance);
        for tried in &mut all {
            trial.set_limit(tried.limit)?;
            trial.settle()?;
            let stretch = trial.run(length, |_, _, _| Ok(()))?;
            tried.goodputs.push(stretch.goodput());
            tried.killed += stretch.killed;
            let (limit, goodput) = (tried.limit, stretch.goodput());
            eprintln!("  static {limit:>3}, {time} of {TIMES}: {goodput:.1} a second");
        }
    }
    all.sort_by_key(|tried| tried.limit);
    Ok(all)
}

/// The best one under which nobody was killed, nor could have been; without any such, the lowest.
#[must_use]
pub(super) fn best(all: &[Tried]) -> u32 {
    let safe = all.iter().filter(|tried| tried.killed == 0 && !tried.may_kill);
    let best = safe.max_by(|a, b| a.goodput().total_cmp(&b.goodput())).or(all.first());
    best.map_or(1, |tried| tried.limit)
}

/// Notes who was killed when a limit was measured again, for longer; whether it is the best no more.
pub(super) fn rules_out(all: &mut [Tried], limit: u32, killed: u64) -> bool {
    if let Some(tried) = all.iter_mut().find(|tried| tried.limit == limit) {
        tried.killed += killed;
    }
    best(all) != limit
}

fn shuffle(all: &mut [Tried], chance: &mut Chance) {
    for last in (1..all.len()).rev() {
        let other = chance.below(last as u64 + 1);
        all.swap(last, usize::try_from(other).expect("an index"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(limit: u32, goodputs: &[f64], killed: u64) -> Tried {
        Tried { limit, goodputs: goodputs.to_vec(), killed, may_kill: false }
    }

    #[test]
    fn the_best_limit_is_the_one_that_is_best_most_of_the_time() {
        let lucky = tried(2, &[5.0, 50.0, 5.0], 0);
        assert_eq!(best(&[lucky, tried(3, &[9.0, 1.0, 10.0], 0)]), 3);
    }

    #[test]
    fn a_limit_under_which_somebody_was_killed_is_not_the_best() {
        assert_eq!(best(&[tried(4, &[8.0], 0), tried(6, &[11.0], 1)]), 4);
        assert_eq!(best(&[tried(4, &[8.0], 2), tried(6, &[11.0], 1)]), 4, "the lowest");
    }

    #[test]
    fn nor_is_one_under_which_nobody_was_by_luck() {
        let lucky = Tried { may_kill: true, ..tried(7, &[9.0], 0) };
        assert_eq!(best(&[tried(6, &[8.0], 0), lucky]), 6);
    }

    #[test]
    fn nor_is_one_under_which_somebody_is_killed_in_the_longer_trial() {
        let mut all = [tried(6, &[8.0], 0), tried(7, &[10.0], 0), tried(8, &[11.0], 0)];
        assert!(!rules_out(&mut all, 8, 0));
        assert!(rules_out(&mut all, 8, 2));
        assert_eq!(best(&all), 7);
        let mut only = [tried(4, &[8.0], 0)];
        assert!(!rules_out(&mut only, 4, 1), "there is no other");
    }

    #[test]
    fn each_limit_is_tried_each_time() {
        let mut all: Vec<Tried> = (1..=8).map(|limit| tried(limit, &[], 0)).collect();
        shuffle(&mut all, &mut Chance::new(7));
        assert!(!all.is_sorted_by_key(|tried| tried.limit), "in another order");
        all.sort_by_key(|tried| tried.limit);
        assert!(all.iter().map(|tried| tried.limit).eq(1..=8));
    }
}
