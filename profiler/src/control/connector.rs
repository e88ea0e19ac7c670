//! What the core knows of one connector.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::backpressure::Backpressure;
use super::event::{Decision, Learned, Reasons};
use super::knee::Knee;
use super::plan::Claim;
use crate::learn::{ConnectorStatistics, Demand, Expected, Peaks, Work};
use crate::lease::ConnectorState;
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
    /// How many it comes to, while memory or a provider holds back more.
    pub(super) reach: Option<f64>,
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
            reach: None,
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

    /// Takes in who has a slot and who waits. Who waits though there is a slot lacks something else, and
    /// what it does not come to is by and by for others: not at once, since memory is held back
    /// for a moment whenever a large job is to have its turn.
    pub(super) fn update_reach(
        &mut self,
        settings: &Settings,
        state: &ConnectorState,
        seconds: f64,
    ) {
        let (in_use, limit) = (f64::from(state.in_use), f64::from(state.limit));
        if state.waiting == 0 || state.in_use >= state.limit {
            self.reach = None;
            return;
        }
        let stays = (-seconds / settings.reach_average.as_secs_f64().max(1e-3)).exp();
        let before = self.reach.unwrap_or(limit).min(limit);
        self.reach = Some(in_use.max(in_use + stays * (before - in_use)));
    }

    /// How many jobs it would have now.
    pub(super) fn wanted(&self, state: &ConnectorState) -> f64 {
        let wanted = f64::from(state.in_use) + f64::from(state.waiting);
        self.reach.map_or(wanted, |reach| wanted.min(reach))
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
        let need = self.need(settings);
        let budget = budget.as_f64().max(need.peak.as_f64()).max(1.0);
        Claim {
            weight: self.profile.weight,
            cores: per_job,
            variance: self.demand.variance(),
            running: self.demand.running(),
            asleep: self.asleep(),
            memory: need.peak.as_f64() / budget,
            memory_deviation: need.deviation.as_f64() / budget,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;

    #[test]
    fn what_a_connector_cannot_have_goes_to_others_by_and_by() {
        let settings = Settings::default();
        let mut connector = Connector::new(&settings, ResourceProfile::default(), vec![]);
        let mut state = ConnectorState {
            limit: 12,
            constraint: Constraint::Cpu,
            in_use: 2,
            waiting: 50,
            reserved: Bytes(0),
            drained: false,
            override_limit: None::<(u32, Moment)>,
        };
        assert_eq!(connector.wanted(&state), 52.0);
        connector.update_reach(&settings, &state, 5.0);
        assert!(connector.wanted(&state) > 9.0, "a moment's wait changes little");
        (0..100).for_each(|_| connector.update_reach(&settings, &state, 1.0));
        assert!(connector.wanted(&state) < 2.1, "{}", connector.wanted(&state));
        state.in_use = 12;
        connector.update_reach(&settings, &state, 1.0);
        assert_eq!(connector.wanted(&state), 62.0, "it comes to all its slots");
    }
}
