//! What a job used, as the agent tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where figures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The kernel's own accounting, task by task: exact.
    #[default]
    Ebpf,
    /// Samples of `/proc`: what begins and ends between two samples is missing.
    Procfs,
}

/// Latencies of block requests, in microseconds; quantiles are upper bounds, at most 12.5 % high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50: u64,
    /// 95 in 100 took no longer.
    pub p95: u64,
    /// 99 in 100 took no longer.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

/// What a job used. Units are in the names; a figure that the kernel or the scope cannot give is
/// `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Of `run_queue_ns`, the time in which a CPU quota kept the job's tasks from running.
    pub run_queue_throttled_ns: Option<u64>,
    /// Of `run_queue_ns`, the waits that ended when a task of another managed job left the CPU.
    pub run_queue_managed_ns: Option<u64>,
    /// Of `run_queue_ns`, the waits that ended when a task of the job itself left the CPU.
    pub run_queue_self_ns: Option<u64>,
    /// Of `run_queue_ns`, the rest: something outside held the CPU.
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
