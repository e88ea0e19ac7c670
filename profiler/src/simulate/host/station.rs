//! A place where customers are served at the same speed: processor sharing by attained service.
//!
//! Each customer that is present gets the same service per second. So it is enough to keep what one
//! that was there from the beginning would have got by now, and a queue of the amounts at which
//! those present are done: an event costs the logarithm of their number, however many there are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// When a customer is done.
#[derive(Clone, Copy, Debug)]
pub struct Finish {
    /// At this much attained service.
    pub attained: f64,
    /// Which visit of a customer this is; no two are alike.
    pub visit: u64,
    /// Where the customer is kept.
    pub slot: usize,
}

impl Ord for Finish {
    fn cmp(&self, other: &Self) -> Ordering {
        self.attained.total_cmp(&other.attained).then(self.visit.cmp(&other.visit))
    }
}

impl PartialOrd for Finish {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Finish {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Finish {}

/// A place where customers are served at the same speed.
#[derive(Clone, Debug, Default)]
pub struct Station {
    attained: f64,
    speed: f64,
    present: f64,
    served: f64,
    busy_seconds: f64,
    finishes: BinaryHeap<Reverse<Finish>>,
}

impl Station {
    /// What a customer that was there from the beginning would have got.
    #[must_use]
    pub const fn attained(&self) -> f64 {
        self.attained
    }

    /// How many are present; a job counts as often as it has threads here.
    #[must_use]
    pub const fn present(&self) -> f64 {
        self.present
    }

    /// Service per second that each of those present gets from now on.
    pub const fn set_speed(&mut self, speed: f64) {
        self.speed = speed;
    }

    /// A customer of `weight` threads comes and needs `need` of service for each of them.
    pub fn enter(&mut self, slot: usize, visit: u64, need: f64, weight: f64) {
        self.present += weight;
        self.finishes.push(Reverse(Finish { attained: self.attained + need, visit, slot }));
    }

    /// A customer goes, done or not.
    pub fn leave(&mut self, weight: f64) {
        self.present = (self.present - weight).max(0.0);
    }

    /// Who is done next, and in how many seconds from now. Customers that went before they were done
    /// are those that `is_current` does not know; they are forgotten here.
    pub fn next(&mut self, is_current: impl Fn(&Finish) -> bool) -> Option<(f64, Finish)> {
        while let Some(Reverse(finish)) = self.finishes.peek() {
            if is_current(finish) {
                let left = (finish.attained - self.attained).max(0.0);
                return (self.speed > 0.0).then(|| (left / self.speed, *finish));
            }
            self.finishes.pop();
        }
        None
    }

    /// `seconds` pass.
    pub fn advance(&mut self, seconds: f64) {
        self.attained += self.speed * seconds;
        self.served += self.speed * self.present * seconds;
        if self.present > 0.0 {
            self.busy_seconds += seconds;
        }
    }

    /// Service that all customers got together.
    #[must_use]
    pub const fn served(&self) -> f64 {
        self.served
    }

    /// How long somebody was present.
    #[must_use]
    pub const fn busy_seconds(&self) -> f64 {
        self.busy_seconds
    }

    /// The customer that [`Self::next`] named is done.
    pub fn finish(&mut self, finish: &Finish) {
        // Exactly then, whatever rounding made of the sum of the steps.
        self.attained = self.attained.max(finish.attained);
        self.finishes.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_share_finish_in_the_order_of_their_needs() {
        let mut station = Station::default();
        station.enter(0, 0, 3.0, 1.0);
        station.enter(1, 1, 1.0, 1.0);
        station.set_speed(0.5);
        let (seconds, finish) = station.next(|_| true).unwrap();
        assert_eq!((seconds, finish.slot), (2.0, 1));
        station.advance(seconds);
        station.finish(&finish);
        station.leave(1.0);
        station.set_speed(1.0);
        let (seconds, finish) = station.next(|_| true).unwrap();
        assert_eq!((seconds, finish.slot), (2.0, 0));
    }

    #[test]
    fn who_went_early_is_forgotten() {
        let mut station = Station::default();
        station.set_speed(1.0);
        station.enter(0, 0, 1.0, 1.0);
        station.enter(0, 1, 2.0, 1.0);
        let next = station.next(|finish| finish.visit != 0).unwrap();
        assert_eq!((next.0, next.1.visit), (2.0, 1));
    }
}
