//! Limits that somebody chose: one set for all the time, or one for each phase.

use super::{Controller, Observation, set_limits};
use crate::lease::Ledger;

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
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &self.limits);
    }

    fn tick(&mut self, _: &Observation<'_>, _: &mut Ledger) {}

    fn wants_samples(&self) -> bool {
        false
    }
}

/// Limits for each phase, set at the moment in which it begins: what nobody can know.
#[derive(Clone, Debug)]
pub struct Schedule {
    starts: Vec<f64>,
    limits: Vec<Vec<u32>>,
}

impl Schedule {
    /// `limits` for the phases that begin at `starts`, in seconds, the first of them at 0.
    #[must_use]
    pub const fn new(starts: Vec<f64>, limits: Vec<Vec<u32>>) -> Self {
        Self { starts, limits }
    }

    fn set(&self, seconds: f64, ledger: &mut Ledger) {
        let begun = self.starts.iter().take_while(|start| **start <= seconds + 1e-6).count();
        if let Some(limits) = begun.checked_sub(1).and_then(|phase| self.limits.get(phase)) {
            set_limits(ledger, limits);
        }
    }
}

impl Controller for Schedule {
    fn begin(&mut self, ledger: &mut Ledger) {
        self.set(0.0, ledger);
    }

    fn tick(&mut self, seen: &Observation<'_>, ledger: &mut Ledger) {
        self.set(seen.seconds(), ledger);
    }

    fn wants_samples(&self) -> bool {
        false
    }
}
