//! Block requests: whose they are while they are under way, and what each device did for jobs.

use crate::counters::DeviceUse;

/// The least and the greatest binary logarithm of the length of the `REQUESTS` array. Of the least one the
/// kernel keeps all elements in memory that it maps by huge pages, as it does below 32 KiB
/// (`bpf_map_area_alloc`).
pub const REQUESTS_BITS: core::ops::RangeInclusive<u32> = 9..=13;
/// Binary logarithm of the length of each CPU's part of the `DEVICES` array.
pub const DEVICES_BITS: u32 = 8;

/// Element of the `REQUESTS` array: a request that a task of a job started, and who did, when.
///
/// A kernel has a fixed set of requests and uses them again and again, so an element stays with its
/// request when that completes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOwner {
    /// Address of the kernel's `struct request`, with [`UNDER_WAY`] added while it is; 0 while the
    /// element has not been used.
    pub request: u64,
    /// [`JobRef`](crate::JobRef) of the job whose task started it.
    pub job: u64,
    /// When it was started (`CLOCK_MONOTONIC`), where programs take that time.
    pub started_ns: u64,
    /// When that task began to work for the job (`CLOCK_MONOTONIC`), and its place in `ENTRIES`:
    /// together they tell it from the job's other tasks, and cost no look into the kernel's memory.
    pub began_ns: u64,
    /// See `began_ns`; [`NO_ENTRY`](crate::NO_ENTRY) for one that has none.
    pub entry: u64,
}

const _: () = assert!(size_of::<RequestOwner>() << *REQUESTS_BITS.start() < 31 << 10);

/// Mark of a request that was started and has not completed; addresses are even.
pub const UNDER_WAY: u64 = 1;

/// Major and minor number of a disk in one, as `dev_t` in the kernel.
#[must_use]
#[inline(always)]
pub const fn device(major: u32, minor: u32) -> u32 {
    major << 20 | minor
}

/// Element of the `DEVICES` array, which user space maps: what a disk did for jobs that ran on one
/// CPU. Each CPU has a part of its own, so that none waits for another's.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceTotal {
    /// The [`device`]; 0 while the element is free.
    pub device: u64,
    /// Sums.
    pub total: DeviceUse,
}
