//! The whole of control as one state machine: events in, effects out.
//!
//! It knows no clock and draws no lots: a core that is told the same events at the same moments does
//! the same, bit for bit. That is what replay and simulation rest on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backpressure::Backpressure;
use super::budget::Budget;
use super::connector::Connector;
use super::event::{Effect, Event, Learned, Outcome};
use super::trim::Trim;
use super::{Advice, Settings};
use crate::learn::{ConnectorStatistics, Growth, Work};
use crate::lease::{self, Ledger, LedgerError, Preflight, Request};
use crate::model::{
    Bytes, ConnectorId, Constraint, FinishedJob, HostSample, LeaseId, Level, Moment, Ticket,
};

/// What the core was told that could not be true, by what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrections {
    /// Samples for a moment that was sampled already.
    pub doubled_samples: u64,
    /// Samples of no time, or of a time too long to say anything of now.
    pub odd_intervals: u64,
    /// Hosts without a CPU, or with a number of them that is none.
    pub odd_cores: u64,
    /// Samples of jobs of a connector that is unknown.
    pub unknown_jobs: u64,
    /// Moments earlier than one before.
    pub clock_went_back: u64,
    /// Workers whose jobs held more than they said.
    pub memory_understated: u64,
}

/// Limits, leases and levels. See the module's promise. Written down and read again it is the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Core {
    pub(super) settings: Settings,
    pub(super) ledger: Ledger,
    pub(super) connectors: Vec<Connector>,
    pub(super) growth: BTreeMap<LeaseId, Growth>,
    pub(super) now: Moment,
    pub(super) sampled: Option<Moment>,
    pub(super) planned: Option<Moment>,
    pub(super) host: HostSample,
    pub(super) external: Option<f64>,
    pub(super) budget: Budget,
    pub(super) trim: Trim,
    pub(super) level: Backpressure,
    /// What all jobs and the host did since the last plan.
    pub(super) work: Work,
    pub(super) busy: f64,
    pub(super) seconds: f64,
    pub(super) corrections: Corrections,
    pub(super) effects: Vec<Effect>,
}

impl Core {
    /// One that knows nothing. `next_lease` is the first number for a lease that was never used.
    #[must_use]
    pub fn new(settings: Settings, next_lease: LeaseId) -> Self {
        Self {
            ledger: Ledger::new(settings.ledger, next_lease),
            settings,
            connectors: Vec::new(),
            growth: BTreeMap::new(),
            now: Moment(0),
            sampled: None,
            planned: None,
            host: HostSample::default(),
            external: None,
            budget: Budget::default(),
            trim: Trim::default(),
            level: Backpressure::default(),
            work: Work::default(),
            busy: 0.0,
            seconds: 0.0,
            corrections: Corrections::default(),
            effects: Vec::new(),
        }
    }

    /// Takes an event in. What follows is among [`Core::effects`].
    ///
    /// # Errors
    ///
    /// It is about something that is not there. Nothing was changed.
    pub fn handle(&mut self, now: Moment, event: Event) -> Result<Outcome, LedgerError> {
        if now < self.now {
            self.corrections.clock_went_back += 1;
        }
        self.now = self.now.max(now);
        let now = self.now;
        match event {
            Event::Settings(settings) => {
                self.settings = *settings;
                self.ledger.set_settings(settings.ledger);
                // Limits that were there before the first look stay until it.
                if self.planned.is_some() {
                    self.set_limits(now);
                    self.ledger.advance(now);
                }
            }
            Event::Connector { profile, providers } => {
                self.known_providers(&providers)?;
                let id = self.ledger.add_connector();
                self.connectors.push(Connector::new(&self.settings, profile, providers));
                self.follow_profile(id)?;
                return Ok(Outcome::Connector(id));
            }
            Event::Profile { connector, profile, providers } => {
                self.known_providers(&providers)?;
                let known = self.connector_mut(connector)?;
                (known.profile, known.providers) = (profile, providers);
                self.follow_profile(connector)?;
                self.plan(now);
            }
            Event::Provider(settings) => {
                return Ok(Outcome::Provider(self.ledger.add_provider(now, settings)));
            }
            Event::ProviderChanged { provider, settings } => {
                self.ledger.set_provider(now, provider, settings)?;
            }
            Event::Learned { connector, learned } => {
                self.connector_mut(connector)?.restore(*learned);
                self.follow_profile(connector)?;
            }
            Event::Restore(lease) => self.ledger.restore(lease)?,
            Event::Request(request) => return self.request(now, request).map(Outcome::Ticket),
            Event::RequestPermit { provider, lease, max_wait } => {
                let ticket = self.ledger.request_permit(now, provider, lease, max_wait)?;
                return Ok(Outcome::Ticket(ticket));
            }
            Event::Cancel(ticket) => self.ledger.cancel(now, ticket)?,
            Event::Release { lease, finished } => {
                self.ledger.release(now, lease)?;
                self.finish(now, lease, finished.as_ref());
            }
            Event::ReleasePermit(permit) => self.ledger.release_permit(now, permit)?,
            Event::Orphan(lease) => self.ledger.orphan(now, lease)?,
            Event::Adopt(lease, owner) => self.ledger.adopt(lease, owner)?,
            Event::TasksEnded(lease) => self.ledger.tasks_ended(now, lease)?,
            Event::TasksBegan(lease) => self.ledger.tasks_began(lease)?,
            Event::Throttled { provider, retry_after } => {
                self.ledger.throttled(now, provider, retry_after)?;
            }
            Event::Override { connector, limit } => {
                self.ledger.set_override(now, connector, limit)?;
            }
            Event::Drain { connector, drained } => self.ledger.drain(now, connector, drained)?,
            Event::Sample { host, jobs } => self.sample(now, host, &jobs),
            Event::Pass => self.ledger.advance(now),
        }
        Ok(Outcome::Done)
    }

    /// What happened since this was asked last, in order.
    pub fn effects(&mut self) -> impl Iterator<Item = Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.ledger.effects().map(Effect::Lease));
        effects.into_iter()
    }

    /// The same, put at the end of a list, for whoever asks often.
    pub fn effects_into(&mut self, list: &mut Vec<Effect>) {
        list.append(&mut self.effects);
        list.extend(self.ledger.effects().map(Effect::Lease));
    }

    /// When [`Event::Pass`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.ledger.next_deadline()
    }

    fn request(&mut self, now: Moment, mut request: Request) -> Result<Ticket, LedgerError> {
        let connector = self
            .connectors
            .get(request.connector.index())
            .ok_or(LedgerError::NoSuchConnector(request.connector))?;
        request.providers.extend_from_slice(&connector.providers);
        if let Some(stated) = request.memory {
            let ceiling = connector.profile.max_memory_mb.map_or(stated, Bytes::from_mb);
            // A worker that says less than its kind is known to hold is not believed.
            let known = connector.peaks.ended() >= self.settings.memory.believed as u64;
            let understated = known && stated < connector.need(&self.settings).peak;
            request.memory = (!understated).then_some(stated.min(ceiling));
        }
        let state = self.ledger.state(request.connector)?;
        let idle = state.in_use + state.waiting == 0;
        let id = request.connector;
        let ticket = self.ledger.request(now, request)?;
        // The first one that waits after a quiet time need not wait for the next plan too.
        if idle && self.ledger.state(id)?.waiting > 0 && self.planned.is_some() {
            self.set_limits(now);
        }
        Ok(ticket)
    }

    fn finish(&mut self, now: Moment, lease: LeaseId, finished: Option<&FinishedJob>) {
        let growth = self.growth.remove(&lease);
        let Some(job) = finished else { return };
        let settings = self.settings;
        let Ok(connector) = self.connector_mut(job.connector) else { return };
        connector.statistics.add(now, job);
        let seen = growth.as_ref().map(Growth::peak);
        match job.memory_peak.max(seen) {
            Some(peak) => connector.peaks.learn(&settings.memory, peak, growth.as_ref()),
            None => connector.peaks.ended_unmeasured(),
        }
        let need = connector.need(&settings);
        if self.ledger.set_need(job.connector, need.peak, need.deviation).is_ok() {
            self.ledger.advance(now);
        }
    }

    /// Brings the ledger in line with a profile.
    fn follow_profile(&mut self, id: ConnectorId) -> Result<(), LedgerError> {
        let settings = self.settings;
        let connector = self.connector_mut(id)?;
        let (weight, need) = (connector.profile.weight, connector.need(&settings));
        let (limit, constraint) = (connector.limit, connector.constraint);
        self.ledger.set_weight(id, weight)?;
        self.ledger.set_need(id, need.peak, need.deviation)?;
        self.ledger.set_limit(id, limit, constraint)
    }

    fn known_providers(&self, providers: &[crate::model::ProviderId]) -> Result<(), LedgerError> {
        providers.iter().try_for_each(|id| self.ledger.provider(*id).map(|_| ()))
    }

    pub(super) fn connector(&self, id: ConnectorId) -> Result<&Connector, LedgerError> {
        self.connectors.get(id.index()).ok_or(LedgerError::NoSuchConnector(id))
    }

    fn connector_mut(&mut self, id: ConnectorId) -> Result<&mut Connector, LedgerError> {
        self.connectors.get_mut(id.index()).ok_or(LedgerError::NoSuchConnector(id))
    }

    /// The ledger, to look at.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What could not be true of what was told.
    #[must_use]
    pub fn corrections(&self) -> Corrections {
        self.corrections
    }

    /// A connector's limit as it was computed, and what binds it. With a limit set by hand, or in
    /// shadow mode, it is not the one in force: that is the ledger's.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn limit(&self, id: ConnectorId) -> Result<(u32, Constraint), LedgerError> {
        self.connector(id).map(|connector| (connector.limit, connector.constraint))
    }

    /// A connector's level, or the host's.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn level(&self, id: Option<ConnectorId>) -> Result<Level, LedgerError> {
        match id {
            Some(id) => self.connector(id).map(|connector| connector.level.level()),
            None => Ok(self.level.level()),
        }
    }

    /// A connector's statistics.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn statistics(&self, id: ConnectorId) -> Result<&ConnectorStatistics, LedgerError> {
        self.connector(id).map(|connector| &connector.statistics)
    }

    /// What is worth keeping of a connector over a restart.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn learned(&self, id: ConnectorId) -> Result<Learned, LedgerError> {
        self.connector(id).map(Connector::learned)
    }

    /// Advice for a connector's jobs, or for any.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn advice(&self, id: Option<ConnectorId>) -> Result<Advice, LedgerError> {
        let level = self.level(id)?;
        let jobs = u32::try_from(self.ledger.leases().len()).unwrap_or(u32::MAX);
        let short = self.host.memory_share() >= self.settings.backpressure.memory;
        Ok(Advice::new(&self.settings.advice, &self.host, level, jobs, short))
    }

    /// Whether a request like this would be granted at once, and if not, about when.
    ///
    /// # Errors
    ///
    /// Its connector or one of its providers is unknown.
    pub fn preflight(&self, request: &Request) -> Result<Preflight, LedgerError> {
        let mut request = request.clone();
        request.providers.extend_from_slice(&self.connector(request.connector)?.providers);
        self.ledger.preflight(&request)
    }

    /// How long a place in a connector's queue takes, from what its jobs took so far: `None` before
    /// any ended, unless the profile says.
    ///
    /// # Errors
    ///
    /// The connector is unknown.
    pub fn estimate(
        &self,
        id: ConnectorId,
        position: u32,
    ) -> Result<Option<std::time::Duration>, LedgerError> {
        let connector = self.connector(id)?;
        let seconds =
            connector.statistics.duration_seconds.get().or(connector.profile.avg_duration_seconds);
        let state: lease::ConnectorState = self.ledger.state(id)?;
        // With so many at work, one ends every so often.
        let each = f64::from(state.limit.min(state.in_use.max(1)).max(1));
        let wait = seconds.map(|seconds| seconds * f64::from(position) / each);
        Ok(wait.and_then(|wait| std::time::Duration::try_from_secs_f64(wait).ok()))
    }
}
