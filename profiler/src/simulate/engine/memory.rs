//! Memory: held against what there is; swap; who is killed.

use super::jobs::Ending;
use super::{Engine, Event, MEMORY_SECONDS};
use crate::simulate::plant::MEBIBYTE;

/// How much slower work is when as much again as there is memory is in swap: a page from a fast disk
/// takes a thousand times as long as one from memory, and most accesses are to pages that stay.
const SWAP_SLOWDOWN: f64 = 20.0;

impl Engine<'_> {
    /// What all jobs hold, and what is not ours, in bytes.
    pub(super) fn memory_used(&self) -> f64 {
        let look = self.look();
        let jobs: f64 = self.jobs.iter().flatten().map(|job| job.memory(&look)).sum();
        jobs + self.external_memory
    }

    pub(super) fn hold_memory(&mut self) {
        let looks = (self.now / MEMORY_SECONDS).round() + 1.0;
        self.calendar.plan(looks * MEMORY_SECONDS, Event::Memory);
        let host = &self.plant.host;
        let total = host.memory_mb.get() * MEBIBYTE;
        let most = total - host.reserve_mb.get() * MEBIBYTE;
        let with_swap = total + host.swap_mb.get() * MEBIBYTE;
        let mut used = self.memory_used();
        self.note_overcommit(used > most);
        if used > with_swap {
            for (victim, held) in self.largest_first() {
                if used <= with_swap {
                    break;
                }
                self.finish(victim, Ending::Killed);
                used -= held;
            }
        }
        let swapped = ((used - total) / total).max(0.0);
        self.swapping = 1.0 / (1.0 + SWAP_SLOWDOWN * swapped);
    }

    fn note_overcommit(&mut self, is_over: bool) {
        if is_over {
            self.figures.overcommitted_seconds += MEMORY_SECONDS;
            self.figures.phases[self.phase].overcommits += u32::from(!self.is_overcommitted);
        }
        self.is_overcommitted = is_over;
    }

    /// Whom the kernel would kill, one after the other: who holds most.
    fn largest_first(&self) -> Vec<(usize, f64)> {
        let look = self.look();
        let jobs = self.jobs.iter().enumerate();
        let mut held: Vec<(usize, f64)> = jobs
            .filter_map(|(slot, job)| job.as_ref().map(|job| (slot, job.memory(&look))))
            .collect();
        held.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        held
    }
}
