//! From what is learned to how many jobs there may be: limits, levels, advice, and why.
//!
//! [`Core`] is all of control as one state machine; the other modules are its parts. What each
//! computes, why, and what it promises is in docs/controller.md.

pub mod advice;
pub mod backpressure;
mod budget;
mod connector;
pub mod core;
pub mod event;
mod explain;
pub mod knee;
mod measure;
pub mod plain;
pub mod plan;
pub mod recommend;
pub mod replay;
pub mod settings;
pub mod trim;

pub use self::core::{Core, Corrections};
pub use advice::{Advice, AdviceSettings};
pub use backpressure::{Backpressure, BackpressureSettings};
pub use event::{Decision, Effect, Event, Learned, Outcome, Reasons};
pub use explain::Explanation;
pub use knee::{Knee, KneeSettings};
pub use plain::{Plain, plain};
pub use recommend::Recommendation;
pub use replay::{Begin, Difference, Entry, Replay, Told};
pub use settings::{Settings, TrimSettings};

#[cfg(test)]
mod tests;
