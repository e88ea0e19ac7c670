//! What the measured figures say about each connector: statistics, and what the next job needs.
//!
//! Pure: figures and times come in, estimates come out, and nothing is remembered but what can be
//! written down and read back after a restart.

pub mod demand;
pub mod memory;
pub mod quantile;
pub mod statistics;
pub mod work;

pub use demand::{Demand, DemandSettings};
pub use memory::{Expected, Growth, MemorySettings, Peaks};
pub use quantile::Sketch;
pub use statistics::{ConnectorStatistics, Mean};
pub use work::{Transfer, Work};
