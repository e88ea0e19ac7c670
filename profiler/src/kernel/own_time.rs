//! The time that our own programs take in the kernel.
//!
//! The kernel keeps it only while its BPF statistics are on, and they cost something themselves, some
//! tens of nanoseconds for each run of each program. So they are turned on only if somebody asks.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use aya::sys::{Stats, enable_stats};

use super::bpf::program_info;
use super::load::Attribution;

/// The host's own switch for the statistics.
const ENABLED: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Attribution {
    /// Has the kernel keep the time that programs take, for as long as this lives.
    ///
    /// # Errors
    /// What the kernel says; it takes `CAP_SYS_ADMIN`.
    pub fn keep_own_time(&mut self) -> io::Result<()> {
        let statistics = enable_stats(Stats::RunTime).map_err(|error| error.io_error)?;
        self.statistics = Some(statistics);
        Ok(())
    }

    /// Time that our programs took since they were loaded, the kernel's statistics included. `None`
    /// unless the kernel keeps it.
    #[must_use]
    pub fn own_time(&self) -> Option<Duration> {
        let is_on = || fs::read_to_string(ENABLED).is_ok_and(|value| value.trim() == "1");
        if self.statistics.is_none() && !is_on() {
            return None;
        }
        let loaded = self.programs.values().filter_map(|fd| program_info(fd.as_fd()).ok());
        Some(loaded.map(|program| Duration::from_nanos(program.run_time_ns)).sum())
    }
}
