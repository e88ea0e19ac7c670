//! The figures of all workloads, for people and for programs.

use std::fmt;
use std::fs;

use serde::Serialize;

use super::BAR;
use super::options::Options;
use super::outcome::{Outcome, Row};

/// All that came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Where it was measured.
    pub(super) host: Host,
    /// How long each static limit was tried, in seconds.
    pub(super) trial_seconds: f64,
    /// By workload.
    pub(super) outcomes: Vec<Outcome>,
    /// Workloads that could not run here, and why.
    pub(super) skipped: Vec<String>,
}

/// A machine.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    /// CPUs that may be used.
    pub(super) cores: u32,
    /// What they are.
    pub(super) processor: String,
    /// The kernel's release.
    pub(super) kernel: String,
    /// What else ran when it began: the load average of the last minute.
    pub(super) load: f64,
}

impl Report {
    /// Nothing yet, on this host.
    #[must_use]
    pub(super) fn begin(options: &Options) -> Self {
        Self {
            host: Host::here(),
            trial_seconds: options.trial.as_secs_f64(),
            outcomes: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// What was asked for and not reached.
    #[must_use]
    pub(super) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for outcome in &self.outcomes {
            let (name, ours) = (outcome.name, &outcome.ours);
            if ours.of_best < BAR {
                missed.push(format!("{name}: {:.3} of the best, not {BAR}", ours.of_best));
            }
            if ours.killed > 0 {
                missed.push(format!("{name}: {} killed for want of memory", ours.killed));
            }
        }
        missed
    }
}

impl Host {
    fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cpuinfo = text("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let load = text("/proc/loadavg");
        Self {
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            processor: model.unwrap_or("").trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, load } = self;
        write!(f, "{cores} cores ({processor}), Linux {kernel}, load average before {load:.2}")?;
        if *load > 0.25 * f64::from(*cores) {
            write!(f, "\nOthers keep this host busy: figures are not worth much")?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}; goodput in pieces ({}) a second", self.name, self.about, self.piece)?;
        writeln!(
            f,
            "  {:<16}{:>9}{:>9}{:>7}{:>8}{:>9}{:>8}{:>9}{:>8}{:>8}{:>8}",
            "controller",
            "goodput",
            "of best",
            "limit",
            "range",
            "running",
            "swings",
            "settles",
            "job p50",
            "p95 ms",
            "killed"
        )?;
        for row in [&self.best, &self.ours].into_iter().chain(&self.rivals) {
            writeln!(f, "  {row}")?;
        }
        write!(f, "  static, of the best:")?;
        let most = self.tried.iter().map(|tried| tried.goodput()).fold(0.0, f64::max);
        for tried in &self.tried {
            let kills = match (tried.killed, tried.may_kill) {
                (1.., _) => " (kills)",
                (0, true) => " (may kill)",
                (0, false) => "",
            };
            write!(f, " {}: {:.2}{kills}", tried.limit, tried.goodput() / most)?;
        }
        writeln!(f)?;
        if let Some(line) = self.explained.first() {
            writeln!(f, "  profiler says: {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settles = match self.settles_seconds {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "-".to_owned(),
        };
        write!(
            f,
            "{:<16}{:>9.1}{:>9.3}{:>7.1}{:>8}{:>9.1}{:>8.2}{settles:>9}{:>8.0}{:>8.0}{:>8}",
            self.controller,
            self.goodput,
            self.of_best,
            self.limit,
            format!("{}-{}", self.range.0, self.range.1),
            self.running,
            self.swings,
            self.job_p50_ms,
            self.job_p95_ms,
            self.killed,
        )
    }
}
