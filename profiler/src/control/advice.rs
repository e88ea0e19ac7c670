//! What a worker does well to do inside its job: threads, sizes of chunks, when to trim memory.

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, HostSample, Level};

/// What the advice goes by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdviceSettings {
    /// Chunks in which to stream while memory is plenty. 1 MiB: large enough that the cost per
    /// call is nothing, small enough to hold many.
    pub chunk: Bytes,
    /// The least that a chunk is cut to. 64 KiB: below it the calls cost more than the memory.
    pub least_chunk: Bytes,
    /// Files above this should be streamed. 10 MiB.
    pub stream_above: Bytes,
    /// Share of the available memory that all chunks of a worker's threads may take.
    pub share_for_chunks: f64,
}

impl Default for AdviceSettings {
    fn default() -> Self {
        Self {
            chunk: Bytes(1 << 20),
            least_chunk: Bytes(64 << 10),
            stream_above: Bytes(10 << 20),
            share_for_chunks: 0.01,
        }
    }
}

/// Advice for a job, as `Hint` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// How close to its limits the host or the connector is.
    pub level: Level,
    /// Threads for work that computes, at least 1.
    pub threads: u32,
    /// How much to read or write at a time.
    pub chunk_bytes: Bytes,
    /// Files above this should be streamed rather than read whole.
    pub stream_above_bytes: Bytes,
    /// Caches should be given back now.
    pub trim_memory: bool,
}

impl Advice {
    /// Advice for one of `jobs` jobs on a host like this.
    #[must_use]
    pub fn new(
        settings: &AdviceSettings,
        host: &HostSample,
        level: Level,
        jobs: u32,
        trim: bool,
    ) -> Self {
        let cores = if host.cores.is_finite() { host.cores.max(1.0) } else { 1.0 };
        // Its share of what is idle, and one that it has anyhow.
        let idle = cores * (1.0 - host.cpu_share());
        let share = 1.0 + idle / f64::from(jobs.max(1));
        let most = if level >= Level::High { 1.0 } else { cores };
        #[allow(clippy::cast_sign_loss, reason = "clamped between 1 and a thousand")]
        let threads = share.min(most).floor().clamp(1.0, 1024.0) as u32;
        let memory = host.memory_available.as_f64() * settings.share_for_chunks;
        let each = Bytes::from_f64(memory / (f64::from(jobs.max(1)) * f64::from(threads)));
        // Powers of two suit devices and allocators.
        let rounded = Bytes(if each.0 == 0 { 0 } else { 1 << each.0.ilog2() });
        let least = settings.least_chunk.min(settings.chunk);
        Self {
            level,
            threads,
            chunk_bytes: rounded.clamp(least, settings.chunk),
            stream_above_bytes: settings.stream_above,
            trim_memory: trim,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn advice(busy: f64, available_mb: f64, level: Level, jobs: u32) -> Advice {
        let host = HostSample {
            interval: Duration::from_secs(1),
            cores: 8.0,
            busy: Duration::from_secs_f64(busy),
            memory_available: Bytes::from_mb(available_mb),
            ..HostSample::default()
        };
        Advice::new(&AdviceSettings::default(), &host, level, jobs, false)
    }

    #[test]
    fn threads_follow_what_is_idle() {
        assert_eq!(advice(0.0, 8000.0, Level::Normal, 1).threads, 8);
        assert_eq!(advice(4.0, 8000.0, Level::Normal, 2).threads, 3);
        assert_eq!(advice(8.0, 8000.0, Level::High, 9).threads, 1);
    }

    #[test]
    fn chunks_are_a_mebibyte_until_memory_is_short() {
        assert_eq!(advice(7.0, 8000.0, Level::Normal, 4).chunk_bytes, Bytes(1 << 20));
        assert_eq!(advice(7.9, 100.0, Level::Normal, 4).chunk_bytes, Bytes(256 << 10));
        assert_eq!(advice(7.9, 0.0, Level::Critical, 4).chunk_bytes, Bytes(64 << 10));
        assert_eq!(advice(0.0, 1.0, Level::Normal, 1).stream_above_bytes, Bytes(10 << 20));
    }

    #[test]
    fn a_host_that_says_nothing_gets_cautious_advice() {
        let host = HostSample { cores: f64::NAN, ..HostSample::default() };
        let advice = Advice::new(&AdviceSettings::default(), &host, Level::Normal, 0, true);
        assert_eq!((advice.threads, advice.chunk_bytes), (1, Bytes(64 << 10)));
        assert!(advice.trim_memory);
    }
}
