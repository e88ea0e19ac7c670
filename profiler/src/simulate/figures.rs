//! What a run leaves behind: work done by phase, limits over time, what went wrong.

/// Between two looks of the controller, in virtual seconds.
pub const TICK_SECONDS: f64 = 0.25;

/// What happened in one run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// By phase.
    pub phases: Vec<PhaseFigures>,
    /// Limits at each tick, one row of connectors each.
    pub limits: Vec<Vec<u32>>,
    /// Slots in use at each tick.
    pub in_use: Vec<Vec<u32>>,
    /// Requests that wait at each tick.
    pub waiting: Vec<Vec<u32>>,
    /// How long it was.
    pub overcommitted_seconds: f64,
    /// Jobs that were killed for want of memory.
    pub kills: u32,
    /// Jobs that crashed.
    pub crashes: u32,
    /// Requests that were turned away because too many waited.
    pub turned_away: u32,
    /// Requests that a server refused.
    pub refused: u32,
    /// Grants beyond a limit, where the ledger's escapes were used.
    pub escapes: u32,
    /// By connector, seconds that somebody waited and nothing ran, but for the first
    /// [`STARVED_AFTER_SECONDS`] of each time.
    pub starved_seconds: Vec<f64>,
    /// By connector, how long each granted request waited, in seconds.
    pub waits: Vec<Vec<f32>>,
}

/// How long nobody of a connector may run before it counts as starved.
pub const STARVED_AFTER_SECONDS: f64 = 5.0;

/// What happened in one phase.
#[derive(Clone, Debug, Default)]
pub struct PhaseFigures {
    /// Its length.
    pub seconds: f64,
    /// Useful work by connector: seconds that it takes a job alone, of jobs that were completed or
    /// still run at the end of the simulation.
    pub work: Vec<f64>,
    /// Jobs completed by connector.
    pub jobs: Vec<u32>,
    /// Times at which memory began to be overcommitted.
    pub overcommits: u32,
    /// CPU time that was used, ours and others', over what there is.
    pub cpu_share: f64,
}

impl Figures {
    /// Room for the figures of so many connectors in phases of these lengths.
    #[must_use]
    pub fn new(connectors: usize, phase_seconds: &[f64]) -> Self {
        let phase = |seconds: &f64| PhaseFigures {
            seconds: *seconds,
            work: vec![0.0; connectors],
            jobs: vec![0; connectors],
            overcommits: 0,
            cpu_share: 0.0,
        };
        Self {
            phases: phase_seconds.iter().map(phase).collect(),
            starved_seconds: vec![0.0; connectors],
            waits: vec![Vec::new(); connectors],
            ..Self::default()
        }
    }

    /// Times at which memory began to be overcommitted.
    #[must_use]
    pub fn overcommits(&self) -> u32 {
        self.phases.iter().map(|phase| phase.overcommits).sum()
    }

    /// How many of a connector might run at a tick: its limit, or, where somebody waits although
    /// that is not reached, those that run. Then it is not the limit that holds them back, but
    /// memory or a provider.
    #[must_use]
    pub fn allowed(&self, tick: usize, connector: usize) -> u32 {
        let at = |rows: &[Vec<u32>]| rows.get(tick).and_then(|row| row.get(connector)).copied();
        let (limit, in_use) = (at(&self.limits).unwrap_or(1), at(&self.in_use).unwrap_or(0));
        if at(&self.waiting).unwrap_or(0) > 0 { limit.min(in_use) } else { limit }
    }

    /// Useful work of a connector in all phases.
    #[must_use]
    pub fn work(&self, connector: usize) -> f64 {
        self.phases.iter().map(|phase| phase.work[connector]).sum()
    }
}
