//! From the kernel's figures to what people and programs read: pure, no clock, no file, no socket.

pub mod conservation;
pub mod diff;
pub mod latency;
pub mod memory;
pub mod record;
pub mod tally;
pub mod units;
pub mod usage;

pub use conservation::{Balance, Conservation, CpuAccount, DeviceAccount};
pub use latency::{Latency, LatencyHistogram};
pub use memory::MemoryFigures;
pub use record::{Host, ProcessRecord, RunRecord, ThreadRecord};
pub use tally::{Tally, TaskFigures};
pub use usage::{Known, Source, Usage};
