//! From what is learned to how many jobs there may be: limits, levels, advice, and why.

pub mod advice;
pub mod backpressure;
pub mod plain;

pub use advice::{Advice, AdviceSettings};
pub use backpressure::{Backpressure, BackpressureSettings};
pub use plain::{Plain, plain};
