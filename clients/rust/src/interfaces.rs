//! The definitions of the interfaces: the contract between the agent and everybody who speaks to it.

/// `org.varlink.service`, which every Varlink service has.
pub const SERVICE: &str = include_str!("interfaces/org.varlink.service.varlink");

/// `org.profiler.Worker`: slots and backpressure, for workers.
pub const WORKER: &str = include_str!("interfaces/org.profiler.Worker.varlink");

/// `org.profiler.Control`: what the agent does and knows, for operators.
pub const CONTROL: &str = include_str!("interfaces/org.profiler.Control.varlink");

pub mod definition;
