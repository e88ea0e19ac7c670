//! Every setting that there is, but for connectors and providers, with its default.

use std::path::PathBuf;
use std::time::Duration;

use super::section::section;
use super::setting::{Any, Within, words};
use super::surroundings::Surroundings;
use crate::model::Bytes;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MIB: u64 = 1 << 20;

section! {
    /// What belongs to no section.
    General in "" {
        /// Folder for what must outlive a restart: the history and what was learned.
        /// The service manager's choice, or the place that the file system standard names for it.
        state_directory: PathBuf, Any, Restart;
        /// Folder of a mounted bpffs for what counts on while the agent is away.
        pins_directory: PathBuf, Any, Restart;
    }
}

impl General {
    pub(super) fn default_in(around: &Surroundings) -> Self {
        Self {
            state_directory: around.state_directory.clone(),
            pins_directory: PathBuf::from("/sys/fs/bpf/profiler"),
        }
    }
}

section! {
    /// Where the agent listens.
    Sockets in "sockets" {
        /// Socket for workers.
        worker: PathBuf, Any, Restart;
        /// Socket for operators.
        control: PathBuf, Any, Restart;
        /// Group whose members may use the worker socket.
        /// Where there is no such group, only the agent's own user may.
        worker_group: String, Any, Restart;
        /// Group whose members may use the control socket.
        control_group: String, Any, Restart;
    }
}

impl Sockets {
    pub(super) fn default_in(around: &Surroundings) -> Self {
        Self {
            worker: around.runtime_directory.join("worker.sock"),
            control: around.runtime_directory.join("control.sock"),
            worker_group: "profiler".to_owned(),
            control_group: "profiler-admin".to_owned(),
        }
    }
}

section! {
    /// How much one user, or all together, may ask of the agent.
    Limits in "limits" {
        /// Connections at once, of all users. 10,000 idle ones cost about 20 MiB.
        connections: u32, Within(1, 1_000_000), Reload;
        /// Connections at once of one user, so that no user can take them all.
        connections_per_user: u32, Within(1, 1_000_000), Reload;
        /// Leases at once of one user.
        leases_per_user: u32, Within(1, 1_000_000), Reload;
        /// Calls of one user that wait at once.
        waiting_calls_per_user: u32, Within(1, 1_000_000), Reload;
        /// How long an answer may wait for its reader before the connection is cut.
        write_timeout: Duration, Within(Duration::from_millis(10), HOUR), Reload;
        /// How long the rest of a message may take to come before the connection is cut.
        message_timeout: Duration, Within(Duration::from_millis(10), HOUR), Reload;
        /// How long `WaitIfThrottled` waits at most where the caller does not say.
        /// Five minutes outlast most peaks, and end before a job's own time limit usually does.
        throttle_wait: Duration, Within(Duration::from_millis(10), DAY), Reload;
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_user: 8_192,
            leases_per_user: 4_096,
            waiting_calls_per_user: 4_096,
            write_timeout: SECOND * 5,
            message_timeout: SECOND * 10,
            throttle_wait: MINUTE * 5,
        }
    }
}

section! {
    /// How much is kept in the kernel; what does not fit is counted as lost.
    Capacities in "capacities" {
        /// Jobs at once, those included that ended a moment ago; 2 KiB each.
        jobs: u32, Within(1, 1_048_576), Restart;
        /// Threads at once that work for jobs; 832 bytes each.
        tasks: u32, Within(64, 4_194_304), Restart;
        /// Kinds of work; 256 bytes each.
        connectors: u32, Within(1, 65_536), Restart;
    }
}

impl Default for Capacities {
    fn default() -> Self {
        Self { jobs: 4_096, tasks: 16_384, connectors: 256 }
    }
}

section! {
    /// Reading the host's own figures.
    Monitoring in "monitoring" {
        /// Whether the host's CPU and memory are watched. Without, nothing is ever throttled,
        /// and limits are what profiles prefer.
        enabled: bool, Any, Reload;
        /// How often they are read while no job runs or waits.
        /// A second is short against the life of most jobs.
        interval: Duration, Within(Duration::from_millis(50), HOUR), Reload;
    }
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { enabled: true, interval: SECOND }
    }
}

section! {
    /// Exact figures per job.
    Attribution in "attribution" {
        /// Whether programs in the kernel count what jobs use. Without, figures are samples of
        /// `/proc` and no lease outlives the agent, as where such programs cannot be.
        enabled: bool, Any, Restart;
        /// How often running jobs and the host are looked at for statistics and limits.
        /// Demand is known within seconds then. The record at a job's end is exact whatever this is.
        update_interval: Duration, Within(Duration::from_millis(50), HOUR), Reload;
    }
}

impl Default for Attribution {
    fn default() -> Self {
        Self { enabled: true, update_interval: Duration::from_millis(250) }
    }
}

section! {
    /// From where on the host counts as loaded.
    Thresholds in "thresholds" {
        /// Percent of the CPUs' time. Beyond 85, queues of threads grow faster than work is done.
        cpu_percent: f64, Within(5.0, 100.0), Reload;
        /// Percent of memory in use. The rest is page cache that reading and writing needs.
        memory_percent: f64, Within(5.0, 100.0), Reload;
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { cpu_percent: 85.0, memory_percent: 80.0 }
    }
}

section! {
    /// What jobs may take of the host's memory.
    Memory in "memory" {
        /// Kept free for whoever uses the host: enough for a desktop, or for logging in.
        reserve: Bytes, Within(Bytes(0), Bytes(1 << 50)), Reload;
        /// Most that all jobs together may reserve. Unset, the host's size and load decide.
        ceiling: Option<Bytes>, Within(Bytes(MIB), Bytes(1 << 50)), Reload;
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { reserve: Bytes(500 * MIB), ceiling: None }
    }
}

section! {
    /// Advice to workers that read large files.
    Streaming in "streaming" {
        /// How much to read at once. More gains nothing on most disks.
        chunk_size: Bytes, Within(Bytes(4096), Bytes(1 << 32)), Reload;
        /// From which size on a file should be read in chunks rather than at once.
        stream_above: Bytes, Within(Bytes(0), Bytes(1 << 50)), Reload;
    }
}

impl Default for Streaming {
    fn default() -> Self {
        Self { chunk_size: Bytes(MIB), stream_above: Bytes(10 * MIB) }
    }
}

section! {
    /// How often things are done that nobody asks for.
    Intervals in "intervals" {
        /// Between computations of the limits.
        plan: Duration, Within(Duration::from_millis(50), HOUR), Reload;
        /// Between lines in the log with the host's CPU, memory and disk.
        summary: Duration, Within(SECOND, DAY), Reload;
    }
}

impl Default for Intervals {
    fn default() -> Self {
        Self { plan: SECOND, summary: MINUTE }
    }
}

section! {
    /// What is kept of jobs that ended.
    History in "history" {
        /// Whether anything is kept. Without, what was learned is lost at a restart too.
        enabled: bool, Any, Restart;
        /// The database. Unset, `history.db` in the state directory.
        file: Option<PathBuf>, Any, Restart;
        /// For how long a job is kept. A month shows what a week day or a month's end does.
        keep: Duration, Within(HOUR, DAY * 3650), Reload;
        /// Size of the database from which on the oldest jobs go; a job takes 130 to 400 bytes.
        max_size: Bytes, Within(Bytes(MIB), Bytes(1 << 44)), Reload;
        /// Records that may wait to be written. Beyond it they are dropped, and counted.
        queue: u32, Within(16, 1_000_000), Restart;
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            enabled: true,
            file: None,
            keep: DAY * 30,
            max_size: Bytes(1_000_000_000),
            queue: 16_384,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, an object a line.
    Json,
}

words! { LogFormat { "text" => LogFormat::Text, "json" => LogFormat::Json } }

section! {
    /// What the agent says, on standard error.
    Log in "log" {
        /// Least level of what is said, or levels by module: `info`, `warn,profiler::agent=debug`.
        filter: super::log_filter::LogFilter, Any, Reload;
        /// How lines look.
        format: LogFormat, Any, Restart;
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: super::log_filter::LogFilter::default(), format: LogFormat::Text }
    }
}

section! {
    /// How limits are computed and put in force.
    Control in "control" {
        /// Whether limits are computed and told, and nothing else: what profiles prefer is in force.
        shadow: bool, Any, Reload;
        /// Whether all that limits follow from is recorded in the state directory, for
        /// `profiler replay`.
        record: bool, Any, Restart;
        /// The most that the recordings take; the oldest goes. With a dozen jobs, an hour's takes
        /// about 100 MB.
        record_max_size: Bytes, Within(Bytes(MIB), Bytes(1 << 44)), Restart;
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { shadow: false, record: true, record_max_size: Bytes(64 * MIB) }
    }
}

section! {
    /// What happens when the agent ends.
    Shutdown in "shutdown" {
        /// How long jobs may go on before the agent ends without them.
        drain_timeout: Duration, Within(Duration::ZERO, DAY), Reload;
        /// Whether the kernel goes on counting after an orderly end, for the next start.
        /// Usually nothing is left behind.
        keep_counting: bool, Any, Reload;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout: SECOND * 30, keep_counting: false }
    }
}
