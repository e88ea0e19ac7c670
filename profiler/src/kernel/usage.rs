//! From a job's figures to the record that everybody reads.

use profiler_common::Lost;

use super::load::Attribution;
use super::reader::{JobSnapshot, LiveTask};
use crate::model::{Known, MemoryFigures, Source, Usage};

/// When a job's figures were read, and since when they count.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// How long the job has lasted.
    pub wall_ns: u64,
    /// When its figures were read (`CLOCK_MONOTONIC`).
    pub read_ns: u64,
}

impl JobSnapshot {
    /// The job's record; what was lost is the caller's to say.
    #[must_use]
    pub fn usage(&self, live: &[LiveTask], period: Period, known: &Known) -> Usage {
        let mut spent = self.ended;
        live.iter().for_each(|task| spent.add(&task.spent));
        let memory = self.held.up_to(period.read_ns / 1000);
        Usage {
            wall_ns: Some(period.wall_ns),
            device_latency_us: self.device_latency.quantiles(),
            tasks: Some(self.tasks),
            tasks_peak: Some(self.tasks_peak),
            processes: Some(self.processes),
            ..Usage::exact(&spent, known)
        }
        .with_memory(MemoryFigures::of(&memory, period.wall_ns, known))
    }
}

impl Attribution {
    /// Where its figures come from.
    #[must_use]
    pub const fn source(&self) -> Source {
        if self.is_sampled() { Source::Procfs } else { Source::Ebpf }
    }

    /// What was lost since then, by cause.
    pub fn lost_since(&self, before: &Lost) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let causes = causes(before);
        causes.into_iter().zip(self::causes(&self.lost())).filter_map(
            |((name, before), (_, now))| {
                let lost = now.saturating_sub(before);
                (lost > 0).then_some((name, lost))
            },
        )
    }
}

/// Each cause of loss by its name in the record.
const fn causes(lost: &Lost) -> [(&'static str, u64); 7] {
    [
        ("tasks_untagged", lost.tasks_untagged),
        ("tasks_unlisted", lost.tasks_unlisted),
        ("ends_unlisted", lost.ends_unlisted),
        ("tasks_of_reused_slot", lost.tasks_of_reused_slot),
        ("address_spaces_unlisted", lost.address_spaces_unlisted),
        ("devices_unlisted", lost.devices_unlisted),
        ("requests_untimed", lost.requests_untimed),
    ]
}
