//! What the core knows of one connector.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::backpressure::Backpressure;
use super::event::{Decision, Learned, Reasons};
use super::knee::Knee;
use super::plan::Claim;
use crate::learn::{ConnectorStatistics, Demand, Expected, Peaks, Work};
use crate::model::{Bytes, Constraint, ProviderId, ResourceProfile};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Connector {
    pub(super) profile: ResourceProfile,
    pub(super) providers: Vec<ProviderId>,
    pub(super) demand: Demand,
    pub(super) peaks: Peaks,
    pub(super) statistics: ConnectorStatistics,
    pub(super) knee: Knee,
    pub(super) level: Backpressure,
    /// What its jobs did since the last plan.
    pub(super) work: Work,
    /// Memory of its running jobs at the last look, and how many those are.
    pub(super) held: (f64, u32),
    pub(super) limit: u32,
    pub(super) constraint: Constraint,
    pub(super) reasons: Reasons,
    pub(super) last: Option<Decision>,
}

impl Connector {
    pub(super) fn new(
        settings: &Settings,
        profile: ResourceProfile,
        providers: Vec<ProviderId>,
    ) -> Self {
        let limit = first(&profile);
        Self {
            demand: Demand::declared(&settings.demand, profile.avg_cpu_cores),
            profile,
            providers,
            peaks: Peaks::default(),
            statistics: ConnectorStatistics::default(),
            knee: Knee::default(),
            level: Backpressure::default(),
            work: Work::default(),
            held: (0.0, 0),
            limit,
            constraint: Constraint::Cap,
            reasons: Reasons::default(),
            last: None,
        }
    }

    pub(super) fn first(&self) -> u32 {
        first(&self.profile)
    }

    pub(super) fn learned(&self) -> Learned {
        Learned {
            demand: self.demand,
            peaks: self.peaks.clone(),
            statistics: self.statistics.clone(),
        }
    }

    pub(super) fn restore(&mut self, learned: Learned) {
        self.demand = learned.demand;
        self.peaks = learned.peaks;
        self.statistics = learned.statistics;
    }

    /// What a job needs that has not begun.
    pub(super) fn need(&self, settings: &Settings) -> Expected {
        let declared = Bytes::from_mb(self.profile.avg_memory_mb);
        let (held, jobs) = self.held;
        let running = (jobs > 0).then(|| held / f64::from(jobs));
        let mut need = self.peaks.new_job(&settings.memory, declared, running);
        if let Some(most) = self.profile.max_memory_mb {
            need.peak = need.peak.min(Bytes::from_mb(most));
        }
        need
    }

    /// What it claims of the host. `gpus` are those free for jobs that need one.
    pub(super) fn claim(&self, settings: &Settings, cores: f64, budget: Bytes, gpus: u32) -> Claim {
        let cap = self.profile.max_concurrent_jobs.unwrap_or(settings.most_slots);
        let mut most = (f64::from(cap.min(settings.most_slots)), Constraint::Cap);
        let mut bound = |jobs: f64, by: Constraint| {
            if jobs < most.0 {
                most = (jobs, by);
            }
        };
        if !self.profile.adaptive_concurrency || self.is_cold(settings) {
            bound(f64::from(self.first()), Constraint::Cap);
        } else if let Some(knee) = self.knee.jobs() {
            bound(knee, self.knee.of());
        }
        if self.profile.gpu {
            bound(f64::from(gpus), Constraint::Gpu);
        }
        if let Some(most) = self.most_unproven(settings) {
            bound(most, Constraint::Cap);
        }
        let per_job = self.demand.cores();
        if settings.threshold_is_ceiling {
            bound(cores * self.profile.backpressure_threshold / per_job, Constraint::Cpu);
        }
        let need = self.need(settings).peak.as_f64();
        Claim {
            weight: self.profile.weight,
            cores: per_job,
            variance: self.demand.variance(),
            running: self.demand.running(),
            asleep: self.asleep(),
            // In units of cores, so that shares of both are compared as parts of the host.
            memory_share: cores * need / budget.as_f64().max(need).max(1.0),
            most: most.0.max(1.0),
            most_by: if most.0 < 1.0 { Constraint::Floor } else { most.1 },
        }
    }

    /// Share of its undisturbed life that a job waits for nothing that others could slow down: nobody
    /// knows what a disk or a server makes of more jobs, or jobs that wait for each other.
    pub(super) fn asleep(&self) -> f64 {
        if self.knee.jobs().is_some() { 0.0 } else { 1.0 - self.demand.running() }
    }

    /// The most jobs while nobody has seen a job to its end. They become more by and by: who computes
    /// first is at its disk by the time that many would have begun.
    pub(super) fn most_unproven(&self, settings: &Settings) -> Option<f64> {
        let first = f64::from(self.first());
        let most = settings.first_jobs_factor.max(1.0) * first;
        let seen = self.demand.seen();
        let is_proven = self.statistics.jobs > 0 || seen >= most * settings.first_jobs_seconds;
        let so_far = first + seen / settings.first_jobs_growth.as_secs_f64().max(0.001);
        (!is_proven).then_some(most.min(so_far))
    }

    pub(super) fn is_cold(&self, settings: &Settings) -> bool {
        self.demand.seen() < settings.cold_job_seconds
    }
}

fn first(profile: &ResourceProfile) -> u32 {
    profile.preferred_concurrency.min(profile.max_concurrent_jobs.unwrap_or(u32::MAX)).max(1)
}
