//! A virtual host in virtual time, on which controllers are compared: the very same core that sets
//! limits on a real host, and those that others use.
//!
//! A [`plant`] says what there is and what wants to run. [`engine`] runs it from event to event under
//! a [`controller`] and leaves [`figures`]. Nothing here reads a clock or a file: the same plant and
//! seed give the same figures, bit for bit.

pub mod controller;
pub mod draw;
pub mod engine;
pub mod figures;
pub mod host;
pub mod job;
pub mod measures;
pub mod oracle;
pub mod parallel;
pub mod plant;
pub mod random;
pub mod trial;

#[cfg(test)]
mod tests;
