//! Whether what the clients hold can be: no lease twice, and no more of a connector than its limit
//! allowed when the last of them was granted.

use std::collections::VecDeque;

use super::board::{Board, CLIENTS, Hold};
use super::{CAP, CONNECTORS};

/// The limits that were in force, and when.
#[derive(Debug)]
pub(super) struct Limits([VecDeque<(u64, u64, u32)>; CONNECTORS]);

/// What is older than all that clients hold is forgotten at this many changes.
const MOST_CHANGES: usize = 10_000;

impl Limits {
    /// Before an operator says something the profile's cap is the most there can be.
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| VecDeque::from([(0, u64::MAX, CAP)])))
    }

    /// A limit was changed by a call that was sent and answered at these times: in between both the
    /// former and the new one may have been in force.
    pub(super) fn change(&mut self, connector: usize, sent_ns: u64, answered_ns: u64, limit: u32) {
        let limits = &mut self.0[connector];
        if let Some((_, until, _)) = limits.back_mut() {
            *until = answered_ns;
        }
        limits.push_back((sent_ns, u64::MAX, limit));
        if limits.len() > MOST_CHANGES {
            limits.pop_front();
        }
    }

    /// An agent began anew, which knows nothing of limits set by hand.
    pub(super) fn forget(&mut self, ended_ns: u64, began_ns: u64) {
        for connector in 0..CONNECTORS {
            self.change(connector, ended_ns, began_ns, CAP);
        }
    }

    /// The highest limit within a time.
    fn highest(&self, connector: usize, from_ns: u64, until_ns: u64) -> u32 {
        let all = self.0[connector].iter();
        let within = all.filter(|(from, until, _)| *from <= until_ns && *until >= from_ns);
        within.map(|(_, _, limit)| *limit).max().unwrap_or(0)
    }
}

/// What is wrong with what the clients hold, if something is.
pub(super) fn fault(board: Board, limits: &Limits) -> Option<String> {
    // What was held at one moment: it was held before, and it still is.
    let before: Vec<Hold> = (0..CLIENTS).filter_map(|client| board.held_by(client)).collect();
    let still =
        |hold: &&Hold| board.held_by(hold.client).is_some_and(|now| now.lease == hold.lease);
    let mut held: Vec<Hold> = before.iter().filter(still).copied().collect();
    held.sort_by_key(|hold| hold.lease);
    if let Some(pair) = held.windows(2).find(|pair| pair[0].lease == pair[1].lease) {
        return Some(format!("one lease, two clients: {pair:?}"));
    }
    held.sort_by_key(|hold| hold.granted_ns);
    let mut count = [0_u32; CONNECTORS];
    for hold in &held {
        // The last of these to be granted was granted after this one was asked for and before it was
        // known, for all others were known earlier; and at that moment all of them were held.
        count[hold.connector] += 1;
        let count = count[hold.connector];
        let limit = limits.highest(hold.connector, hold.asked_ns, hold.granted_ns);
        if count > limit {
            return Some(format!(
                "{count} slots of a connector with a limit of {limit}: {hold:?}, {held:?}"
            ));
        }
    }
    None
}
