//! Whether jobs that wait and move nothing wait for each other.
//!
//! Their demand for CPU is what they use per uncontended second. Jobs that wait for each other use the
//! less the more of them there are, so the plan makes them ever more, and the CPUs idle all the same.
//! That shows: half as many jobs again or more, CPUs idle, others still want in, and each job more
//! added hardly anything.

use serde::{Deserialize, Serialize};

use super::window::{Measure, Point, Value, Window};
use super::{KneeSettings, Seen};
use crate::learn::Work;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Suspicion {
    window: Window,
    /// The fewest jobs since it last paid to have more.
    base: Option<Point>,
    /// Windows in a row that speak for it.
    times: u32,
}

impl Suspicion {
    /// Takes in what the jobs did. Gives how many did as much as all do now, once that is sure.
    pub(super) fn update(
        &mut self,
        settings: &KneeSettings,
        work: &Work,
        seen: &Seen,
    ) -> Option<f64> {
        if !seen.wanted {
            *self = Self::default();
            return None;
        }
        self.window.add(work, seen.seconds, seen.used);
        // The plan may come to many within seconds: what a few did must be seen before.
        let least =
            if self.base.is_none() { settings.ramp_window } else { settings.longest_window };
        if self.window.seconds < least.as_secs_f64() {
            return None;
        }
        let window = std::mem::take(&mut self.window);
        let now = window.point(Measure::Cpu)?;
        let Some(base) = self.base.filter(|base| now.jobs > base.jobs) else {
            (self.base, self.times) = (Some(now), 0);
            return None;
        };
        let is_in_vain = Value::of(&base, &now, base.speed).most() < settings.worth;
        if !is_in_vain || window.used() >= settings.cpus_full {
            (self.base, self.times) = (Some(now), 0);
            return None;
        }
        if now.jobs < 1.5 * base.jobs {
            return None;
        }
        self.times += 1;
        (self.times >= 2).then_some(base.jobs)
    }
}
