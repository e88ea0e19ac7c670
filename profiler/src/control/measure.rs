//! What a look at the host and its jobs changes: estimates at once, limits each second.

use std::time::Duration;

use super::core::Core;
use super::event::{Decision, Effect, Reasons};
use super::knee::Seen;
use super::plan::{Capacity, Claim, Share, fill, whole};
use super::trim::{Waiting, expected_share, share_that_uses};
use crate::learn::{Expected, Work};
use crate::model::{Bytes, ConnectorId, Constraint, HostSample, JobSample, Moment};

impl Core {
    pub(super) fn sample(&mut self, now: Moment, host: HostSample, jobs: &[JobSample]) {
        if self.sampled.is_some_and(|sampled| sampled >= now) {
            self.corrections.doubled_samples += 1;
            return;
        }
        let is_first = self.sampled.replace(now).is_none();
        let mut host = self.corrected(host);
        let seconds = host.interval.as_secs_f64();
        let usable = seconds > 0.0 && host.interval <= self.settings.longest_interval;
        if usable {
            self.learn_cpu(&mut host, jobs, seconds);
        } else if !(is_first && seconds <= 0.0) {
            // The first look has nothing to look back at: it tells what there is.
            self.corrections.odd_intervals += 1;
        }
        let managed = self.learn_memory(now, jobs);
        let budget = self.budget.update(&self.settings, now, &host, managed);
        self.ledger.set_budget(budget);
        self.host = host;
        self.raise_levels(now);
        let due = self.planned.is_none_or(|planned| {
            // A look that comes a little early is this second's.
            now.since(planned) + self.settings.plan_every / 20 >= self.settings.plan_every
        });
        if due {
            self.plan(now);
        }
        self.ledger.advance(now);
    }

    /// A host with at least a tenth of a CPU and no more than there are anywhere.
    fn corrected(&mut self, mut host: HostSample) -> HostSample {
        if !(0.1..=65_536.0).contains(&host.cores) {
            self.corrections.odd_cores += 1;
            host.cores = if host.cores > 65_536.0 { 65_536.0 } else { self.host.cores.max(1.0) };
        }
        host
    }

    /// What jobs did with the CPUs, what others did, and so how busy the host was at least.
    fn learn_cpu(&mut self, host: &mut HostSample, jobs: &[JobSample], seconds: f64) {
        let mut ticks = vec![Work::default(); self.connectors.len()];
        let mut managed = Duration::ZERO;
        for job in jobs {
            let Some(work) = ticks.get_mut(job.connector.index()) else {
                self.corrections.unknown_jobs += 1;
                continue;
            };
            // Late or doubled samples claim more time than there was.
            let fits = job.interval.as_secs_f64() <= 2.0 * seconds;
            if !fits {
                self.corrections.odd_intervals += 1;
                continue;
            }
            work.add(job);
            managed = managed.saturating_add(job.cpu);
        }
        for (connector, tick) in self.connectors.iter_mut().zip(ticks) {
            if tick.jobs <= 0.0 {
                continue;
            }
            connector.demand.learn(&self.settings.demand, &tick, tick.jobs / seconds);
            connector.work.fade_and_add(1.0, &tick);
            self.work.fade_and_add(1.0, &tick);
        }
        // A kernel that counts its ticks, on a machine that takes some of them away, tells less than
        // its jobs did.
        let managed = managed.min(host.interval.mul_f64(host.cores));
        host.busy = host.busy.max(managed);
        self.busy += host.busy.as_secs_f64();
        self.seconds += seconds;
        let external = (host.busy - managed).as_secs_f64() / seconds;
        let external = external.min(host.cores);
        let average = self.settings.external_average.as_secs_f64().max(1e-3);
        let part = 1.0 - (-seconds / average).exp();
        self.external =
            Some(self.external.map_or(external, |mean| mean + part * (external - mean)));
    }

    /// Renews what is reserved for each job, and gives what all of them hold.
    fn learn_memory(&mut self, now: Moment, jobs: &[JobSample]) -> Bytes {
        let settings = self.settings;
        for connector in &mut self.connectors {
            connector.held = (0.0, 0);
        }
        let mut managed = Bytes(0);
        for job in jobs {
            let Some(connector) = self.connectors.get_mut(job.connector.index()) else { continue };
            let Some(held) = job.memory else { continue };
            // One that has ended holds nothing, and has no reservation to renew.
            let Some(lease) = self.ledger.lease(job.lease) else { continue };
            managed = managed.plus(held);
            let growth = self.growth.entry(job.lease).or_default();
            growth.learn(&settings.memory, now, held.max(job.memory_peak.unwrap_or(held)));
            connector.held.0 += held.as_f64();
            connector.held.1 += 1;
            if lease.declared.is_some_and(|declared| declared < growth.peak())
                && lease.memory < growth.peak()
            {
                self.corrections.memory_understated += 1;
            }
            let reserved = Expected { peak: lease.memory, deviation: lease.deviation };
            let expected = connector.peaks.running_job(&settings.memory, now, growth, reserved);
            // It is there: the table was asked above.
            let _ = self.ledger.set_memory(job.lease, expected.peak, expected.deviation);
        }
        let ledger = &self.ledger;
        self.growth.retain(|lease, _| ledger.lease(*lease).is_some());
        for (index, connector) in self.connectors.iter().enumerate() {
            let need = connector.need(&settings);
            // Connectors here and there are the same.
            let _ = self.ledger.set_need(id(index), need.peak, need.deviation);
        }
        managed
    }

    fn raise_levels(&mut self, now: Moment) {
        let (cpu, memory) = (self.host.cpu_share(), self.host.memory_share());
        let settings = &self.settings.backpressure;
        let marks = [(cpu, settings.cpu), (memory, settings.memory)];
        if let Some(level) = self.level.update(now, settings, &marks) {
            self.effects.push(Effect::Level { connector: None, level });
        }
        for (index, connector) in self.connectors.iter_mut().enumerate() {
            let mark = connector.profile.backpressure_threshold;
            let marks = [(cpu, mark), (memory, mark)];
            if let Some(level) = connector.level.update(now, settings, &marks) {
                self.effects.push(Effect::Level { connector: Some(id(index)), level });
            }
        }
    }

    /// Trims, moves the knees, and sets limits.
    pub(super) fn plan(&mut self, now: Moment) {
        let seconds = std::mem::take(&mut self.seconds);
        if seconds > 0.0 {
            self.learn_from_second(now, seconds);
        }
        self.planned = Some(now);
        self.set_limits(now);
        self.ledger.advance(now);
    }

    fn learn_from_second(&mut self, now: Moment, seconds: f64) {
        let work = std::mem::take(&mut self.work);
        let used = std::mem::take(&mut self.busy) / (seconds * self.host.cores.max(0.1));
        let (mut binds, mut drained) = (false, true);
        let (mut variance, mut wanted, mut asleep, mut planned) = (0.0, 0.0, 0.0, 0.0);
        for (index, connector) in self.connectors.iter_mut().enumerate() {
            let Ok(state) = self.ledger.state(id(index)) else { continue };
            binds |= connector.constraint == Constraint::Cpu
                && state.waiting > 0
                && state.in_use >= state.limit;
            drained &= state.in_use <= state.limit;
            connector.update_reach(&self.settings, &state, seconds);
            let jobs = f64::from(state.in_use);
            let come = connector.wanted(&state).min(f64::from(state.limit)).max(jobs);
            planned += come * connector.demand.cores();
            variance += jobs * connector.demand.variance();
            wanted += jobs * connector.demand.cores();
            asleep += jobs * connector.demand.cores() * connector.asleep();
            let seen = Seen {
                now,
                seconds,
                wanted: state.waiting > 0,
                in_use: state.in_use,
                limit: state.limit,
                used,
                allowed: connector.reasons.jobs,
                first: f64::from(connector.first()),
                job_seconds: connector.statistics.duration_seconds.get(),
            };
            let done = std::mem::take(&mut connector.work);
            let idle = connector.demand.idle();
            connector.knee.update(&self.settings.knee, &done, idle, &seen);
        }
        let free = (self.host.cores - self.external.unwrap_or(0.0)).max(0.0);
        let expected = expected_share(free, variance.sqrt(), self.settings.overfill);
        let keeps_used = share_that_uses(free, asleep / wanted, self.settings.trim.full);
        // CPUs that idle because those that may come have not come yet need no more slots.
        binds &= wanted >= self.settings.trim.come * planned;
        let (run, wait) = (work.cpu, work.wait_for_others);
        let waiting = Waiting { run, wait, used, expected, keeps_used, binds, drained };
        self.trim.update(&self.settings.trim, &waiting, seconds);
    }

    /// Computes limits from what is known and puts them in force.
    pub(super) fn set_limits(&mut self, now: Moment) {
        if self.sampled.is_none() {
            return;
        }
        let cores = self.host.cores;
        let external = self.external.unwrap_or(0.0);
        let capacity = Capacity {
            cores: self.trim.factor() * (cores - external).max(0.0),
            host_cores: cores,
            memory: self.settings.ledger.memory,
            overfill: self.settings.overfill,
            used: self.settings.trim.full,
            most_wait_share: self.settings.trim.most_wait_share,
        };
        let gpus = self.free_gpus();
        let budget = self.ledger.budget();
        let (all, wanted) = self.claims(cores, budget, gpus);
        // What is wanted now is shared first; what that leaves of an equal share stays open to who
        // wants more in the next second.
        let active: Vec<usize> =
            (0..all.len()).filter(|index| wanted.get(*index).is_some_and(|w| *w > 0.0)).collect();
        let wanting: Vec<Claim> = active
            .iter()
            .filter_map(|index| {
                let claim = *all.get(*index)?;
                let most = claim.most.min(*wanted.get(*index)?);
                Some(Claim { most, ..claim })
            })
            .collect();
        let mut shares = fill(&all, &capacity);
        for (index, share) in active.into_iter().zip(fill(&wanting, &capacity)) {
            if let Some(open) = shares.get_mut(index)
                && share.jobs > open.jobs
            {
                // Full only up to what it wants: its claim would go on.
                let constraint = match all.get(index) {
                    Some(claim) if share.jobs >= claim.most => claim.most_by,
                    _ => Constraint::Cpu,
                };
                *open = Share { jobs: share.jobs, constraint };
            }
        }
        for (index, share) in shares.into_iter().enumerate() {
            self.put(now, id(index), share, gpus);
        }
    }

    /// The claims of all connectors, and how many jobs each wants now.
    fn claims(&self, cores: f64, budget: Bytes, gpus: u32) -> (Vec<Claim>, Vec<f64>) {
        let claims = self.connectors.iter().enumerate().map(|(index, connector)| {
            let state = self.ledger.state(id(index));
            let wanted = state.map_or(0.0, |state| connector.wanted(&state));
            (connector.claim(&self.settings, cores, budget, gpus), wanted)
        });
        claims.unzip()
    }

    /// How many jobs may have a GPU: those that do, and one more for each GPU that has time and
    /// memory left; one fewer while all that there are run hot.
    fn free_gpus(&self) -> u32 {
        let (busy, hot) = (self.settings.gpu_busy, self.settings.gpu_hot);
        let cool = |degrees: Option<f64>| degrees.is_none_or(|degrees| degrees < hot);
        let gpus = &self.host.gpus;
        let free = gpus.iter().filter(|gpu| {
            let full = match (gpu.memory_used, gpu.memory_total) {
                (Some(used), Some(total)) => used.as_f64() > 0.8 * total.as_f64(),
                _ => false,
            };
            gpu.utilisation.is_none_or(|used| used < busy) && cool(gpu.temperature) && !full
        });
        let ours: u32 = self
            .connectors
            .iter()
            .enumerate()
            .filter(|(_, connector)| connector.profile.gpu)
            .filter_map(|(index, _)| self.ledger.state(id(index)).ok())
            .map(|state| state.in_use)
            .sum();
        if gpus.iter().all(|gpu| !cool(gpu.temperature)) {
            return ours.saturating_sub(1);
        }
        u32::try_from(free.count()).unwrap_or(u32::MAX).saturating_add(ours)
    }

    fn put(&mut self, now: Moment, connector_id: ConnectorId, share: Share, gpus: u32) {
        let settings = self.settings;
        let (cores, external) = (self.host.cores, self.external.unwrap_or(0.0));
        let trim = self.trim.factor();
        let Some(connector) = self.connectors.get_mut(connector_id.index()) else { return };
        let cap = connector.profile.max_concurrent_jobs;
        let most = cap.unwrap_or(settings.most_slots).min(settings.most_slots);
        let before = connector.limit;
        let limit = whole(share.jobs, before, most);
        connector.reasons = Reasons {
            jobs: share.jobs,
            cores_per_job: connector.demand.cores(),
            variance: connector.demand.variance(),
            cores,
            external_cores: external,
            trim,
            knee: connector.knee.jobs(),
            cap,
            gpus: connector.profile.gpu.then_some(gpus),
        };
        (connector.limit, connector.constraint) = (limit, share.constraint);
        if limit != before {
            let decision = Decision {
                at: now,
                connector: connector_id,
                from: before,
                to: limit,
                constraint: share.constraint,
                shadow: settings.shadow,
                reasons: connector.reasons,
            };
            connector.last = Some(decision);
            self.effects.push(Effect::Decided(decision));
        }
        let (limit, by) = if settings.shadow {
            (connector.first(), Constraint::Cap)
        } else {
            (limit, share.constraint)
        };
        // Connectors here and there are the same.
        let _ = self.ledger.set_limit(connector_id, limit, by);
    }
}

fn id(index: usize) -> ConnectorId {
    ConnectorId(u32::try_from(index).unwrap_or(u32::MAX))
}
