//! Block requests: whose they are while they are under way, and what each device did for jobs.

use crate::counters::DeviceUse;

/// Value of the `REQUESTS` map, under the address of the kernel's `struct request`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOwner {
    /// [`JobRef`](crate::JobRef) of the job whose task started it.
    pub job: u64,
    /// `start_time_ns` of the request: with its address it identifies it, addresses being reused.
    pub start_time_ns: u64,
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

/// Value of the `DEVICES` map, under the [`device`]: what it did for jobs.
pub type DeviceTotal = DeviceUse;
