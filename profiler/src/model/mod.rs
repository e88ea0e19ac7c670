//! From the kernel's figures to what people and programs read: pure, no clock, no file, no socket.

pub mod conservation;
pub mod diff;
pub mod ids;
pub mod latency;
pub mod memory;
pub mod profile;
pub mod record;
pub mod sample;
pub mod tally;
pub mod terms;
pub mod units;
pub mod usage;

pub use conservation::{Balance, Conservation, CpuAccount, DeviceAccount};
pub use ids::{Bytes, ConnectorId, LeaseId, Moment, Owner, PermitId, ProviderId, SourceId, Ticket};
pub use latency::{Latency, LatencyHistogram};
pub use memory::MemoryFigures;
pub use profile::{Intensity, Partial, Pattern, ProfileError, ResourceProfile};
pub use record::{Host, ProcessRecord, RunRecord, ThreadRecord};
pub use sample::{DeviceSample, FinishedJob, GpuSample, HostSample, JobSample, Pressure, RunQueue};
pub use tally::{Tally, TaskFigures};
pub use terms::{Constraint, Constraints, How, Level, OnTimeout, Priority};
pub use usage::{Known, Source, Usage};
