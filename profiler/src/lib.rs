//! Exact cost of every job, process and thread on a Linux host, from the kernel's own accounting.
//!
//! Data flows one way: [`kernel`] loads the eBPF programs and reads their figures, [`model`] makes
//! records of them, [`session`] ties both to a command or a process, [`ui`] and [`export`] show the
//! result, [`cli`] parses and dispatches. What decides how many jobs may run stands apart: [`learn`]
//! makes estimates of figures, [`control`] makes limits of estimates, [`lease`] knows who holds what.
//! These and `model` are pure: they know no clock, file or socket.

pub mod agent;
mod background;
pub mod cli;
pub mod config;
pub mod control;
pub mod export;
pub mod host;
pub mod ipc;
pub mod kernel;
pub mod learn;
pub mod lease;
pub mod model;
pub mod session;
pub mod simulate;
pub mod store;
pub mod ui;
