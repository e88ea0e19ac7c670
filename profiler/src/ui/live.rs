//! One line on the terminal while a session runs: elapsed time, CPUs in use, tasks.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::model::units;
use crate::session::Standing;

/// Nothing is shown for sessions shorter than this.
const FIRST: Duration = Duration::from_secs(1);
/// How often the line changes, and over how long CPUs in use are averaged.
const EVERY: Duration = Duration::from_millis(500);

/// The live line. Its cursor stays at the line's begin, so that what the command prints lands where
/// it would without us; dropping it clears the line.
#[derive(Debug)]
pub struct LiveLine {
    began: Instant,
    shown: Option<(Instant, u64)>,
    is_visible: bool,
}

impl LiveLine {
    /// A line for a session that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now(), shown: None, is_visible: false }
    }

    /// Shows how things stand, if it is time to.
    pub fn show(&mut self, standing: Standing) {
        let now = Instant::now();
        let Some((last, cpu_ns)) = self.shown else {
            self.shown = Some((now, standing.cpu_ns));
            return;
        };
        let passed = now - last;
        if now - self.began < FIRST || passed < EVERY {
            return;
        }
        let elapsed = units::duration(whole_tenths(now - self.began));
        let cpus = standing.cpu_ns.saturating_sub(cpu_ns) as f64 / passed.as_nanos() as f64;
        let tasks = units::counted(standing.tasks, "task");
        // Nothing depends on the line: a terminal that went away must not end the session.
        let _ = write!(
            io::stderr(),
            "\r\x1b[2mprofiler: {elapsed}  {cpus:.2} CPUs  {tasks}\x1b[0m\x1b[K\r"
        );
        self.shown = Some((now, standing.cpu_ns));
        self.is_visible = true;
    }
}

impl Default for LiveLine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if self.is_visible {
            // As above.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn whole_tenths(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis() / 100).unwrap_or(u64::MAX).saturating_mul(100_000_000)
}
