//! A client for a profiler agent, and the protocol that it speaks.
//!
//! A worker asks the agent for a slot before it runs a job, and gives the slot back when the job has
//! ended; then it learns exactly what the job used. [`Client`] does that, and needs no runtime; with
//! the feature `tokio` there is an asynchronous one too.
//!
//! The protocol is [Varlink](https://varlink.org): JSON in messages that end with a NUL byte, over
//! Unix sockets. [`wire`] splits and joins messages, [`protocol`] has a type for every call, reply
//! and error; both are what the agent itself uses.

#[cfg(feature = "tokio")]
pub mod asynchronous;
mod client;
mod connection;
mod error;
pub mod interfaces;
mod lease;
mod local;
mod permit;
pub mod protocol;
mod request;
mod socket;
mod watch;
pub mod wire;

pub use client::{Client, Conditions};
pub use connection::Connection;
pub use error::CallError;
pub use lease::Lease;
pub use permit::ProviderPermit;
pub use request::Request;
pub use socket::Socket;
pub use watch::Watcher;
