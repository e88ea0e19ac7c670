//! One number for how everything in the maps is laid out. Programs and figures that one build left can
//! be used by another build if it comes to the same number.

use std::mem::offset_of;

use profiler_common::block::DEVICES_BITS;
use profiler_common::latency::BUCKETS;
use profiler_common::memory::MEMORY_BITS;
use profiler_common::task::{ENDING, SHARED_MEMORY};
use profiler_common::{
    AddressSpace, Counters, CpuEntry, DeviceTotal, DeviceUse, Held, JobEntry, LeaseEntry, Lost,
    MemoryUse, Observed, Progress, SessionState, Span, Spent, Steady, TagRequest, TaskEnded,
    TaskEntry, Throttled, Total,
};

/// Raised when a figure comes to mean something else in the same place.
const MEANING: u64 = 1;

/// The number.
pub(super) const LAYOUT: u64 = layout();

/// FNV-1a (Fowler, Noll and Vo): only to tell layouts apart.
struct Fnv(u64);

impl Fnv {
    const fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    const fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self.0 = (self.0 ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        self
    }
}

/// Takes in the size of each structure, and where each of its fields is. One that is not named here is
/// an error.
macro_rules! laid_out {
    ($hash:ident: $($structure:ident { $($field:ident),* $(,)? })*) => {
        $(
            const _: fn(&$structure) = |$structure { $($field: _),* }| {};
            $hash = $hash.bytes(stringify!($structure).as_bytes());
            $hash = $hash.number(size_of::<$structure>() as u64);
            $(
                $hash = $hash.bytes(stringify!($field).as_bytes());
                $hash = $hash.number(offset_of!($structure, $field) as u64);
            )*
        )*
    };
}

const fn layout() -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325).number(MEANING);
    hash = hash.number(DEVICES_BITS as u64).number(MEMORY_BITS as u64).number(BUCKETS as u64);
    hash = hash.number(ENDING).number(SHARED_MEMORY);
    laid_out! { hash:
        Counters { cpu_ns, run_queue_ns, voluntary_switches, involuntary_switches, minor_faults, major_faults, read_bytes, write_bytes, cancelled_write_bytes, logical_read_bytes, logical_write_bytes, read_calls, write_calls }
        DeviceUse { read_bytes, write_bytes, read_ops, write_ops }
        Observed { run_queue_throttled_ns, run_queue_managed_ns, run_queue_self_ns, block_wait_ns, net_rx_bytes, net_tx_bytes, net_rx_ops, net_tx_ops, local_rx_bytes, local_tx_bytes, device_read_bytes, device_write_bytes, device_read_ops, device_write_ops }
        Spent { counters, observed, life_ns }
        Total { moves_begun, moves_done, tasks, tasks_live, tasks_peak, processes, ended }
        Held { pages, peak_pages, began_us, change_times, file_pages, file_peak_pages }
        MemoryUse { peak_pages, file_peak_pages, page_us }
        AddressSpace { mm, job, users, generation, inherited_pages, held, by_kind, pending }
        Throttled { queue, total_ns }
        Steady { last, since_ns, grown_ns }
        CpuEntry { running, before, per_cpu_offset, steady }
        DeviceTotal { device, total }
        JobEntry { job, connector, last_generation, total, held, device_latency_max_us, device_latency }
        LeaseEntry { lease, job, uid, pid, process_start_ticks, scope, priority, tid, entry, reserved_memory_bytes, began_ns, began_unix_ms, waited_ns, connector, source, label }
        Lost { tasks_untagged, tasks_unlisted, ends_unlisted, tasks_of_reused_slot, address_spaces_unlisted, devices_unlisted, requests_untimed }
        SessionState { entries_used, lost }
        Span { job, connector, only_threads, began_ns, base, observed_base }
        Progress { now, blocked_since_ns, throttled, slept, observed, mm, memory, sendfile_call }
        TaskEntry { current, tid, pid, parent, reserved, start_boottime_ns, process_start_boottime_ns, comm, task, progress, spans }
        TagRequest { job, connector, mode, since_ns, changed, unchanged, ending, failed, entry }
        TaskEnded { job, tid, pid, parent, exit_code, start_boottime_ns, process_start_boottime_ns, began_ns, comm, spent, memory }
    }
    hash.0
}
