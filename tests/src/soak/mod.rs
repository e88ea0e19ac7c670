//! Many clients of one agent that do random things for long, while others kill them, kill the agent and
//! change the limits; and somebody who watches from outside that no slot is given twice.
//!
//! Each client keeps on a [`board`] what it holds. The board is memory that processes share, so it
//! outlives a client that is killed. What is on it was given and not yet given back, whatever the
//! agent thinks; [`watch`] compares it with the limits that were set.

mod board;
mod client;
mod storm;
mod watch;

pub use client::run as run_clients;
pub use storm::{Storm, Toll};

/// Types of job that the clients ask for.
const CONNECTORS: usize = 5;

/// The most that a connector may do at once unless an operator says otherwise.
const CAP: u32 = 8;

/// A connector's name.
fn connector(index: usize) -> String {
    format!("soak-{index}")
}

/// Nanoseconds on the clock that all processes share.
fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
