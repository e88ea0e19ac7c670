//! Every map: who writes it, who reads it, and what happens when it is full.
//!
//! Arrays that user space reads are `MMAPABLE`, so that a snapshot costs no system call per job or
//! task. Sizes given here are the least; the agent sets the real ones when it loads the object.

use aya_ebpf::bindings::{
    BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE,
};
use aya_ebpf::cty::c_void;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf, Stack};
use profiler_common::block::DEVICES_BITS;
use profiler_common::memory::MEMORY_BITS;
use profiler_common::task::LISTED_PLACES;
use profiler_common::{
    AddressSpace, CpuEntry, DeviceTotal, JobEntry, LeaseEntry, Name, Pending, RequestOwner,
    SessionState, TagRequest, TaskEntry, TaskTag, Total,
};

use crate::table::Keyed;

/// What each CPU runs. Written by `sched_switch`, read by the agent. Indexed by CPU.
#[map]
pub static CPUS: Array<CpuEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Live tasks. Taken by `task_newtask` and `tag_task`, written by `sched_switch`, read by the
/// agent. Full: the task counts in its tag instead, and shows in `Lost::tasks_unlisted`.
#[map]
pub static ENTRIES: Array<TaskEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Index in `ENTRIES` of the task of a thread id, or of another one that ends with the same bits. What
/// is found there counts only if the entry says that it is the task's. Written and read by
/// `sched_switch` alone.
#[map]
pub static LISTED: Array<u32> = Array::with_max_entries(LISTED_PLACES, 0);

/// Indices of entries that were used and given back. As large as `ENTRIES`, so never full.
#[map]
pub static FREE_ENTRIES: Stack<u32> = Stack::with_max_entries(1, 0);

/// Jobs. Slots are taken and cleared by the agent; sums are added by eBPF when a task ends.
#[map]
pub static JOBS: Array<JobEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Connectors: the same sums per type of job, over all jobs past and present.
#[map]
pub static CONNECTORS: Array<Total> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Names of connectors, under the same index. The agent's alone: it finds them here after a restart.
#[map]
pub static NAMES: Array<Name> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Leases, under the index of their job. The agent's alone, as `NAMES`.
#[map]
pub static LEASES: Array<LeaseEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One element: high-water mark and losses. Written by eBPF, read by the agent.
#[map]
pub static SESSION: Array<SessionState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One element: what the agent asks of `tag_task`, and the answer.
#[map]
pub static REQUEST: Array<TagRequest> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Ends of tasks, for per-thread lists. Full: counted in `Lost::ends_unlisted`, totals unharmed.
#[map]
pub static ENDED: RingBuf = RingBuf::with_byte_size(4096, 0);

/// Block requests under way that tasks of jobs started, by address. Written and read by the block
/// programs. Full: the request's latency is missing and shows in `Lost::requests_untimed`.
#[map]
pub static REQUESTS: Array<RequestOwner> = Array::with_max_entries(1, 0);

/// What each disk did for jobs, by CPU. Written by the block programs, read by the agent. Full: the
/// disk is missing from the account of devices; jobs are charged all the same.
#[map]
pub static DEVICES: Array<DeviceTotal> = Array::with_max_entries(1 << DEVICES_BITS, BPF_F_MMAPABLE);

/// Address spaces of jobs. Taken when a task joins or calls `exec`, written by `rss_stat`, read by the
/// agent. Full: its memory is missing and shows in `Lost::address_spaces_unlisted`.
#[map]
pub static MEMORY: Array<AddressSpace> = Array::with_max_entries(1 << MEMORY_BITS, BPF_F_MMAPABLE);

/// What each CPU had pending of each address space, under the index in `MEMORY`. Written and read by
/// `rss_stat` alone.
#[map]
pub static PENDING: PerCpuArray<Pending> = PerCpuArray::with_max_entries(1 << MEMORY_BITS, 0);

// SAFETY: it begins with its key.
unsafe impl Keyed for AddressSpace {}

/// Task storage: the tag of each task under a job. The kernel frees it with the task.
#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "TASKS")]
pub static TASKS: TaskStorage<TaskTag> = TaskStorage::new();

/// A BTF map definition of type task storage, which aya-ebpf does not have yet: the loader reads
/// the type, key, value, size and flags from the BTF of these pointers' targets.
#[repr(C)]
pub struct TaskStorage<T> {
    r#type: *const [i32; BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
}

// SAFETY: the pointers are never followed; the loader replaces the whole by a map.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// The map as helpers take it.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut c_void {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}
