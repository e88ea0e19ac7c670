//! Who waits for slots of one connector: a first-in-first-out queue for each class.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Moment, Priority, Ticket};

/// A request in its queue, with what an attempt to grant it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    pub(super) arrived: Moment,
    pub(super) class: Priority,
    pub(super) memory: Option<Bytes>,
    pub(super) uses_providers: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Queue {
    classes: [VecDeque<Entry>; 3],
}

/// A class after a wait: one step up per `step`, up to the most urgent.
pub(super) fn aged(class: Priority, waited: Duration, step: Duration) -> usize {
    let urgent = Priority::Interactive.index();
    if class.index() >= urgent || waited < step {
        return class.index();
    }
    // In 64 bits, which last for centuries: this is on the path of every grant.
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let steps = nanoseconds(waited) / nanoseconds(step).max(1);
    class.index() + usize::try_from(steps).unwrap_or(urgent).min(urgent - class.index())
}

impl Queue {
    pub(super) fn push(&mut self, entry: Entry) {
        // Tickets are numbered as they come, so each queue is in order of tickets.
        self.classes[entry.class.index()].push_back(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    /// Who goes next: the most urgent class as it is now, then the earliest.
    pub(super) fn head(&self, now: Moment, step: Duration) -> Option<(usize, Entry)> {
        let mut best: Option<(usize, Entry)> = None;
        for entry in self.classes.iter().filter_map(VecDeque::front) {
            let class = aged(entry.class, now.since(entry.arrived), step);
            let earlier = |other: &Entry| entry.ticket < other.ticket;
            let better = |(other, than): &(usize, Entry)| {
                class > *other || (class == *other && earlier(than))
            };
            if best.as_ref().is_none_or(better) {
                best = Some((class, *entry));
            }
        }
        best
    }

    pub(super) fn remove(&mut self, ticket: Ticket, class: Priority) -> bool {
        let queue = &mut self.classes[class.index()];
        if queue.front().is_some_and(|entry| entry.ticket == ticket) {
            queue.pop_front();
            return true;
        }
        match queue.binary_search_by_key(&ticket, |entry| entry.ticket) {
            Ok(place) => queue.remove(place).is_some(),
            Err(_) => false,
        }
    }

    /// How many would go before a request of this class that came at this moment.
    pub(super) fn ahead(
        &self,
        ticket: Ticket,
        class: Priority,
        arrived: Moment,
        now: Moment,
        step: Duration,
    ) -> usize {
        let mine = aged(class, now.since(arrived), step);
        let all = self.classes.iter().flatten();
        all.filter(|entry| {
            let other = aged(entry.class, now.since(entry.arrived), step);
            other > mine || (other == mine && entry.ticket < ticket)
        })
        .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(30);

    fn entry(ticket: u64, second: u64, class: Priority) -> Entry {
        Entry {
            ticket: Ticket(ticket),
            arrived: Moment(second * 1_000_000_000),
            class,
            memory: None,
            uses_providers: false,
        }
    }

    fn at(second: u64) -> Moment {
        Moment(second * 1_000_000_000)
    }

    #[test]
    fn a_class_rises_with_the_wait_and_no_further_than_the_most_urgent() {
        let classes = [0, 29, 30, 60, 10_000]
            .map(|waited| aged(Priority::Background, Duration::from_secs(waited), STEP));
        assert_eq!(classes, [0, 0, 1, 2, 2]);
        assert_eq!(aged(Priority::Interactive, Duration::MAX, STEP), 2);
    }

    #[test]
    fn the_urgent_go_first_until_others_have_waited_as_long_as_it_takes() {
        let mut queue = Queue::default();
        queue.push(entry(1, 0, Priority::Background));
        queue.push(entry(2, 10, Priority::Interactive));
        assert_eq!(queue.head(at(20), STEP).unwrap().1.ticket, Ticket(2));
        assert_eq!(queue.head(at(61), STEP).unwrap().1.ticket, Ticket(1));
        assert_eq!(queue.ahead(Ticket(1), Priority::Background, at(0), at(20), STEP), 1);
        assert_eq!(queue.ahead(Ticket(2), Priority::Interactive, at(10), at(61), STEP), 1);
    }

    #[test]
    fn who_gives_up_leaves_the_others_in_their_order() {
        let mut queue = Queue::default();
        for ticket in 1..=5 {
            queue.push(entry(ticket, ticket, Priority::Normal));
        }
        assert!(queue.remove(Ticket(3), Priority::Normal));
        assert!(!queue.remove(Ticket(3), Priority::Normal));
        assert!(queue.remove(Ticket(1), Priority::Normal));
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.head(at(6), STEP).unwrap().1.ticket, Ticket(2));
        assert_eq!(queue.ahead(Ticket(5), Priority::Normal, at(5), at(6), STEP), 2);
    }
}
