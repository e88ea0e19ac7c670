//! Limits that somebody chose: one set for all the time, or one for each phase.

use super::{Controller, Observation};

/// The same limits all the time.
#[derive(Clone, Debug)]
pub struct Fixed {
    limits: Vec<u32>,
}

impl Fixed {
    /// These limits.
    #[must_use]
    pub const fn new(limits: Vec<u32>) -> Self {
        Self { limits }
    }
}

impl Controller for Fixed {
    fn tick(&mut self, _: &Observation<'_>) {}

    fn limits(&self) -> &[u32] {
        &self.limits
    }

    fn wants_samples(&self) -> bool {
        false
    }
}

/// Limits for each phase, set at the moment in which it begins: what nobody can know.
#[derive(Clone, Debug)]
pub struct Schedule {
    starts: Vec<f64>,
    limits: Vec<Vec<u32>>,
    phase: usize,
}

impl Schedule {
    /// `limits` for the phases that begin at `starts`, in seconds, the first of them at 0.
    #[must_use]
    pub const fn new(starts: Vec<f64>, limits: Vec<Vec<u32>>) -> Self {
        Self { starts, limits, phase: 0 }
    }
}

impl Controller for Schedule {
    fn tick(&mut self, seen: &Observation<'_>) {
        let begun = self.starts.iter().take_while(|start| **start <= seen.now + 1e-9).count();
        self.phase = begun.saturating_sub(1).min(self.limits.len().saturating_sub(1));
    }

    fn limits(&self) -> &[u32] {
        self.limits.get(self.phase).map_or(&[], Vec::as_slice)
    }

    fn wants_samples(&self) -> bool {
        false
    }
}
