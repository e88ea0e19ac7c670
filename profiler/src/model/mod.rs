//! From the kernel's figures to what people and programs read: pure, no clock, no file, no socket.

pub mod record;
pub mod tally;
pub mod units;
pub mod usage;

pub use record::{Host, ProcessRecord, RunRecord, ThreadRecord};
pub use tally::{TaskFigures, Tally};
pub use usage::{Source, Usage};
