//! The kernel side as seen from user space: loading the programs, tagging tasks, reading figures.
//!
//! [`Attribution`] is the whole of it. Nothing outside this module knows that eBPF is involved.

mod bpf;
mod btf;
mod features;
mod layout;
mod leases;
mod load;
mod mapped;
mod offsets;
mod own_memory;
mod own_time;
mod pins;
pub mod probe;
mod proc_task;
mod reader;
mod running;
mod sampled;
mod spans;
mod tagging;
mod usage;
mod verify;

pub use bpf::{Tasks, recursion_misses};
pub use btf::{BTF_PATH, Btf};
pub use features::{Feature, Presence, features, is_exact};
pub use leases::{padded, text};
pub use load::{Attribution, Capacity, LoadError, OBJECT, ProgramCost};
pub use offsets::{Field, Offsets};
pub use pins::{Legacy, PIN_ROOT, Pins};
pub(crate) use proc_task::{ProcTask, processes, threads};
pub(crate) use reader::monotonic_ns;
pub use reader::{JobSnapshot, LiveTask, Snapshot};
pub use running::state;
pub use spans::{Ended, Worker};
pub use tagging::{JobError, TagError, Tagged};
pub use usage::Period;
