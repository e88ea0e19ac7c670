//! Block requests: whose they are while they are under way, and what each device did for jobs.

use crate::counters::DeviceUse;

/// Binary logarithm of the length of the `REQUESTS` table.
pub const REQUESTS_BITS: u32 = 13;
/// Binary logarithm of the length of the `DEVICES` table.
pub const DEVICES_BITS: u32 = 8;

/// Element of the `REQUESTS` table: a request under way.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOwner {
    /// Address of the kernel's `struct request`; 0 while the element is free.
    pub request: u64,
    /// [`JobRef`](crate::JobRef) of the job whose task started it.
    pub job: u64,
    /// When it was started (`CLOCK_MONOTONIC`).
    pub started_ns: u64,
    /// `start_boottime` of the task that started it.
    pub task_start_boottime_ns: u64,
    /// Thread id of that task.
    pub tid: u32,
    /// Index into the `ENTRIES` array.
    pub entry: u32,
    /// Index into the `CONNECTORS` array.
    pub connector: u32,
    /// The disk: major and minor number, as [`device`] puts them together.
    pub device: u32,
}

/// Major and minor number of a disk in one, as `dev_t` in the kernel.
#[must_use]
#[inline(always)]
pub const fn device(major: u32, minor: u32) -> u32 {
    major << 20 | minor
}

/// Element of the `DEVICES` table, which user space maps: what a disk did for jobs.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceTotal {
    /// The [`device`]; 0 while the element is free.
    pub device: u64,
    /// Sums.
    pub total: DeviceUse,
}
