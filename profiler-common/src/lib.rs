//! What the eBPF programs and the agent agree on, and nothing else: the layout of every map and
//! event, one file per idea.
//!
//! Both sides are compiled from these very types, so a layout cannot drift. Everything is
//! `#[repr(C)]`, made of integers of a fixed size, and valid for any bit pattern: user space reads
//! these types straight from memory that the kernel side writes.

#![no_std]

pub mod block;
pub mod counters;
pub mod cpu;
pub mod event;
pub mod field;
pub mod job;
pub mod latency;
pub mod lease;
pub mod memory;
pub mod quota;
pub mod session;
pub mod task;

pub use block::{DeviceTotal, RequestOwner};
pub use counters::{Counters, DeviceUse, Observed, Spent};
pub use cpu::CpuEntry;
pub use event::TaskEnded;
pub use job::{JobEntry, JobRef, Total};
pub use lease::{LeaseEntry, Name};
pub use memory::{AddressSpace, Held, MemoryUse, Pending};
pub use quota::{Steady, Throttled, Wait};
pub use session::{Lost, SessionState, TagMode, TagRequest};
pub use task::{Comm, NO_ENTRY, Progress, Span, TagState, TaskEntry, TaskTag};
