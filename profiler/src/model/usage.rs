//! The usage record: the one shape in which every command, file and answer gives figures.

use std::collections::BTreeMap;

use profiler_common::Spent;
use serde::{Deserialize, Serialize};

use super::latency::Latency;
use super::memory::MemoryFigures;

/// Where the figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The kernel's own accounting, task by task: exact.
    Ebpf,
    /// Samples of `/proc`: what begins and ends between two samples is missing.
    Procfs,
}

/// What a job, a process or a thread used.
///
/// Units are in the names. A figure that this kernel or this scope cannot give is `None`, in JSON
/// `null`; it is never 0 for want of knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From begin to end, monotonic.
    pub wall_ns: Option<u64>,
    /// Wall time of each thread, added up: `cpu_ns`, `run_queue_ns`, `block_wait_ns` and
    /// `other_wait_ns` together.
    pub life_ns: Option<u64>,
    /// Time on CPU of all threads.
    pub cpu_ns: Option<u64>,
    /// Runnable, waiting for a CPU.
    pub run_queue_ns: Option<u64>,
    /// Of `run_queue_ns`, the time during which a CPU quota let the thread not run.
    pub run_queue_throttled_ns: Option<u64>,
    /// Of the rest, the waits that ended when a task of another managed job left the CPU.
    pub run_queue_managed_ns: Option<u64>,
    /// Of the rest, the waits that ended when a task of the job itself left the CPU.
    pub run_queue_self_ns: Option<u64>,
    /// What is left of `run_queue_ns`: something outside held the CPU.
    pub run_queue_external_ns: Option<u64>,
    /// Off CPU for block I/O.
    pub block_wait_ns: Option<u64>,
    /// Off CPU for anything else.
    pub other_wait_ns: Option<u64>,
    /// Switches because the thread waited for something.
    pub voluntary_switches: Option<u64>,
    /// Switches because somebody else got the CPU.
    pub involuntary_switches: Option<u64>,
    /// Read from storage.
    pub read_bytes: Option<u64>,
    /// To be written to storage, charged when the page is dirtied.
    pub write_bytes: Option<u64>,
    /// Dirtied and truncated before it was written.
    pub cancelled_write_bytes: Option<u64>,
    /// Through read-like calls.
    pub logical_read_bytes: Option<u64>,
    /// Through write-like calls.
    pub logical_write_bytes: Option<u64>,
    /// Read-like calls.
    pub read_calls: Option<u64>,
    /// Write-like calls.
    pub write_calls: Option<u64>,
    /// Read by requests at leaf devices.
    pub device_read_bytes: Option<u64>,
    /// Written by requests at leaf devices.
    pub device_write_bytes: Option<u64>,
    /// Read requests at leaf devices.
    pub device_read_ops: Option<u64>,
    /// Write requests at leaf devices.
    pub device_write_ops: Option<u64>,
    /// How long these requests took.
    pub device_latency_us: Option<Latency>,
    /// Received on IPv4 and IPv6 sockets.
    pub net_rx_bytes: Option<u64>,
    /// Sent on IPv4 and IPv6 sockets.
    pub net_tx_bytes: Option<u64>,
    /// Receive calls that brought data.
    pub net_rx_ops: Option<u64>,
    /// Send calls that took data.
    pub net_tx_ops: Option<u64>,
    /// Received on local (`AF_UNIX`) sockets.
    pub local_rx_bytes: Option<u64>,
    /// Sent on local (`AF_UNIX`) sockets.
    pub local_tx_bytes: Option<u64>,
    /// Page faults served without I/O.
    pub minor_faults: Option<u64>,
    /// Page faults that needed I/O.
    pub major_faults: Option<u64>,
    /// Anonymous and shared memory at its highest.
    pub memory_peak_bytes: Option<u64>,
    /// Anonymous and shared memory, mean over time.
    pub memory_mean_bytes: Option<u64>,
    /// File-mapped memory at its highest.
    pub memory_file_peak_bytes: Option<u64>,
    /// Threads seen in all.
    pub tasks: Option<u64>,
    /// Most threads alive at once.
    pub tasks_peak: Option<u64>,
    /// Processes seen in all.
    pub processes: Option<u64>,
    /// The command's exit status, 128 + n after signal n; ad-hoc runs only.
    pub exit_status: Option<i32>,
    /// Where the figures come from.
    pub source: Source,
    /// What could not be counted, by cause; empty when the figures are exact.
    pub lost: BTreeMap<String, u64>,
}

impl Usage {
    /// A record that knows nothing yet.
    #[must_use]
    pub const fn unknown(source: Source) -> Self {
        Self {
            wall_ns: None,
            life_ns: None,
            cpu_ns: None,
            run_queue_ns: None,
            run_queue_throttled_ns: None,
            run_queue_managed_ns: None,
            run_queue_self_ns: None,
            run_queue_external_ns: None,
            block_wait_ns: None,
            other_wait_ns: None,
            voluntary_switches: None,
            involuntary_switches: None,
            read_bytes: None,
            write_bytes: None,
            cancelled_write_bytes: None,
            logical_read_bytes: None,
            logical_write_bytes: None,
            read_calls: None,
            write_calls: None,
            device_read_bytes: None,
            device_write_bytes: None,
            device_read_ops: None,
            device_write_ops: None,
            device_latency_us: None,
            net_rx_bytes: None,
            net_tx_bytes: None,
            net_rx_ops: None,
            net_tx_ops: None,
            local_rx_bytes: None,
            local_tx_bytes: None,
            minor_faults: None,
            major_faults: None,
            memory_peak_bytes: None,
            memory_mean_bytes: None,
            memory_file_peak_bytes: None,
            tasks: None,
            tasks_peak: None,
            processes: None,
            exit_status: None,
            source,
            lost: BTreeMap::new(),
        }
    }

    /// What tasks spent, exactly; wall time, counts of tasks and latency are the caller's.
    #[must_use]
    pub fn exact(spent: &Spent, known: &Known) -> Self {
        let (counters, observed) = (&spent.counters, &spent.observed);
        let attributed = observed.run_queue_throttled_ns
            + observed.run_queue_managed_ns
            + observed.run_queue_self_ns;
        let accounted = counters.cpu_ns + counters.run_queue_ns + observed.block_wait_ns;
        let run_queue = |figure: u64| known.run_queue.then_some(figure);
        let quota = |figure: u64| (known.run_queue && known.quota).then_some(figure);
        let waits = |figure: u64| (known.run_queue && known.block_wait).then_some(figure);
        let storage = |figure: u64| known.storage.then_some(figure);
        let block = |figure: u64| known.block.then_some(figure);
        let net = |figure: u64| known.net.then_some(figure);
        let local = |figure: u64| known.local.then_some(figure);
        Self {
            life_ns: Some(spent.life_ns),
            cpu_ns: Some(counters.cpu_ns),
            run_queue_ns: run_queue(counters.run_queue_ns),
            run_queue_throttled_ns: quota(observed.run_queue_throttled_ns),
            run_queue_managed_ns: run_queue(observed.run_queue_managed_ns),
            run_queue_self_ns: run_queue(observed.run_queue_self_ns),
            run_queue_external_ns: run_queue(counters.run_queue_ns.saturating_sub(attributed)),
            block_wait_ns: waits(observed.block_wait_ns),
            other_wait_ns: waits(spent.life_ns.saturating_sub(accounted)),
            voluntary_switches: Some(counters.voluntary_switches),
            involuntary_switches: Some(counters.involuntary_switches),
            read_bytes: storage(counters.read_bytes),
            write_bytes: storage(counters.write_bytes),
            cancelled_write_bytes: storage(counters.cancelled_write_bytes),
            logical_read_bytes: storage(counters.logical_read_bytes),
            logical_write_bytes: storage(counters.logical_write_bytes),
            read_calls: storage(counters.read_calls),
            write_calls: storage(counters.write_calls),
            device_read_bytes: block(observed.device_read_bytes),
            device_write_bytes: block(observed.device_write_bytes),
            device_read_ops: block(observed.device_read_ops),
            device_write_ops: block(observed.device_write_ops),
            net_rx_bytes: net(observed.net_rx_bytes),
            net_tx_bytes: net(observed.net_tx_bytes),
            net_rx_ops: net(observed.net_rx_ops),
            net_tx_ops: net(observed.net_tx_ops),
            local_rx_bytes: local(observed.local_rx_bytes),
            local_tx_bytes: local(observed.local_tx_bytes),
            minor_faults: Some(counters.minor_faults),
            major_faults: Some(counters.major_faults),
            ..Self::unknown(Source::Ebpf)
        }
    }
}

impl Usage {
    /// The same from samples of `/proc`: who held the CPU is not among what they can give.
    #[must_use]
    pub fn sampled(self) -> Self {
        Self {
            source: Source::Procfs,
            life_ns: None,
            run_queue_throttled_ns: None,
            run_queue_managed_ns: None,
            run_queue_self_ns: None,
            run_queue_external_ns: None,
            ..self
        }
    }

    /// With what was held, if that is known.
    #[must_use]
    pub fn with_memory(self, memory: Option<MemoryFigures>) -> Self {
        Self {
            memory_peak_bytes: memory.map(|memory| memory.peak_bytes),
            memory_mean_bytes: memory.and_then(|memory| memory.mean_bytes),
            memory_file_peak_bytes: memory.map(|memory| memory.file_peak_bytes),
            ..self
        }
    }
}

/// Which of the figures that depend on the kernel's version and options are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Time in the run queue.
    pub run_queue: bool,
    /// What of it CPU quotas took.
    pub quota: bool,
    /// Waiting for block I/O apart from other waits.
    pub block_wait: bool,
    /// Storage figures of tasks.
    pub storage: bool,
    /// Requests at devices.
    pub block: bool,
    /// IPv4 and IPv6 sockets.
    pub net: bool,
    /// Local sockets.
    pub local: bool,
    /// Memory, and the size of a page.
    pub memory_page_bytes: Option<u64>,
}

impl Known {
    /// What samples of `/proc` can give.
    #[must_use]
    pub fn sampled(storage: bool) -> Self {
        Self { run_queue: true, storage, ..Self::default() }
    }
}
