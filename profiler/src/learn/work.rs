//! What jobs did in an interval, added up: CPU time, waiting, and what moved bytes.

use serde::{Deserialize, Serialize};

use crate::model::JobSample;

/// Sums over samples of jobs, for one tick or with a fading past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Job-seconds.
    pub jobs: f64,
    /// Uncontended job-seconds: those in which no thread waited for a CPU.
    pub free: f64,
    /// CPU seconds.
    pub cpu: f64,
    /// Thread-seconds.
    pub life: f64,
    /// Thread-seconds spent waiting for a CPU.
    pub wait: f64,
    /// ... that another job or something outside held: neither an own thread nor a quota.
    pub wait_for_others: f64,
    /// Sum of `free * cores^2`.
    pub cpu_squares: f64,
    /// Waiting for block devices, and what came of it.
    #[serde(default)]
    pub disk: Transfer,
    /// Waiting for anything else, and what went over sockets.
    #[serde(default)]
    pub network: Transfer,
}

/// Waiting for something that moves bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Job-seconds spent waiting for it.
    pub seconds: f64,
    /// What it moved.
    pub bytes: f64,
    /// Sum of `bytes^2 / seconds`.
    pub squares: f64,
}

impl Transfer {
    fn add(&mut self, seconds: f64, bytes: u64) {
        let bytes = bytes as f64;
        self.seconds += seconds;
        self.bytes += bytes;
        // A transfer that nobody waited for says nothing of how fast one is.
        self.squares += if seconds > 1e-6 { bytes * bytes / seconds } else { 0.0 };
    }

    fn fade_and_add(&mut self, part: f64, other: &Self) {
        self.seconds = self.seconds * part + other.seconds;
        self.bytes = self.bytes * part + other.bytes;
        self.squares = self.squares * part + other.squares;
    }

    /// Bytes per second of waiting, and the relative error of that.
    #[must_use]
    pub fn speed(&self) -> Option<(f64, f64)> {
        let speed = self.bytes / self.seconds;
        if self.seconds <= 0.0 || speed <= 0.0 {
            return None;
        }
        let variance = (self.squares / self.seconds - speed * speed).max(0.0);
        Some((speed, variance.sqrt() / speed / self.seconds.sqrt()))
    }
}

impl Work {
    /// Adds a job's sample. Figures that contradict each other count as far as they can be true.
    pub fn add(&mut self, sample: &JobSample) {
        let seconds = sample.interval.as_secs_f64();
        // A job without threads did nothing in that time, and one that says nothing of their lives
        // had one thread.
        let life = if sample.life.is_zero() { seconds } else { sample.life.as_secs_f64() };
        if seconds <= 0.0 {
            return;
        }
        let queue = sample.run_queue.unwrap_or_default();
        let wait = queue.total.as_secs_f64().min(life);
        let cpu = sample.cpu.as_secs_f64().min(life * 1.05);
        let own = (queue.own + queue.throttled).as_secs_f64();
        // What ran was not waiting: bounds a rounding of the parts.
        let free = (seconds * (1.0 - wait / life)).max(seconds * (cpu / life).min(1.0)).max(1e-9);
        let cores = cpu / free;
        let blocked = sample.block_wait.unwrap_or_default().as_secs_f64();
        let idle = (life - cpu - wait - blocked).max(0.0);
        self.jobs += seconds;
        self.free += free;
        self.cpu += cpu;
        self.life += life;
        self.wait += wait;
        self.wait_for_others += (wait - own).max(0.0);
        self.cpu_squares += free * cores * cores;
        // However many of its threads wait, it is one job that does.
        self.disk.add(blocked.min(seconds), sample.device_bytes.unwrap_or(0));
        self.network.add(idle.min(seconds), sample.net_bytes.unwrap_or(0));
    }

    /// Adds another sum, after this one faded to a part of itself.
    pub fn fade_and_add(&mut self, part: f64, other: &Self) {
        let fade = |mine: &mut f64, its: f64| *mine = *mine * part + its;
        fade(&mut self.jobs, other.jobs);
        fade(&mut self.free, other.free);
        fade(&mut self.cpu, other.cpu);
        fade(&mut self.life, other.life);
        fade(&mut self.wait, other.wait);
        fade(&mut self.wait_for_others, other.wait_for_others);
        fade(&mut self.cpu_squares, other.cpu_squares);
        self.disk.fade_and_add(part, &other.disk);
        self.network.fade_and_add(part, &other.network);
    }

    /// Cores that a job keeps busy, uncontended.
    #[must_use]
    pub fn cores(&self) -> Option<f64> {
        (self.free > 0.0).then(|| self.cpu / self.free)
    }

    /// Variance of the cores that one job keeps busy, over jobs and time.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let cores = self.cores().unwrap_or(0.0);
        if self.free > 0.0 { (self.cpu_squares / self.free - cores * cores).max(0.0) } else { 0.0 }
    }

    /// Share of the time in which it does not wait for a CPU that a thread runs; 0 where nothing is
    /// known.
    #[must_use]
    pub fn running(&self) -> f64 {
        let undisturbed = self.life - self.wait;
        if undisturbed > 0.0 { (self.cpu / undisturbed).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Share of its life that a thread neither runs nor waits for a CPU.
    #[must_use]
    pub fn idle(&self) -> f64 {
        if self.life > 0.0 {
            ((self.life - self.cpu - self.wait) / self.life).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}
