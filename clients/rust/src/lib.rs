//! The protocol of a profiler agent, and a client for it.
//!
//! A worker asks the agent for a slot before it runs a job, and gives the slot back when the job has
//! ended. The protocol is [Varlink](https://varlink.org): JSON in messages that end with a NUL byte,
//! over Unix sockets. [`wire`] splits and joins messages, [`protocol`] has a type for every call,
//! reply and error; both are what the agent itself uses.

pub mod interfaces;
pub mod protocol;
pub mod wire;
