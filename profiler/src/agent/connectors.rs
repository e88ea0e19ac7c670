//! Connectors: their names, and what is expected of their jobs, of all or of those for one source.

use std::collections::BTreeMap;

use profiler_client::protocol::{Bounded, WorkerError};

use super::controller::Controller;
use super::names::{self, Names};
use crate::config;
use crate::control::{Event, Outcome};
use crate::kernel::Attribution;
use crate::model::{Bytes, ConnectorId, Moment, Partial, ProfileError, ResourceProfile};

/// Connectors, numbered alike here, in the maps and in the controller.
#[derive(Debug, Default)]
pub(super) struct Connectors {
    names: Names,
    profiles: Vec<ResourceProfile>,
    /// What the configuration says, by connector.
    configured: BTreeMap<String, config::Connector>,
    /// What was set at run time, by connector.
    changed: BTreeMap<String, config::Connector>,
    /// For connectors of which nothing is known.
    default_profile: ResourceProfile,
}

impl Connectors {
    pub(super) fn new(configured: BTreeMap<String, config::Connector>) -> Self {
        Self { configured, ..Self::default() }
    }

    pub(super) fn find(&self, name: &str) -> Option<ConnectorId> {
        self.names.find(name).map(ConnectorId)
    }

    /// Takes up a connector that is new.
    pub(super) fn add(
        &mut self,
        now: Moment,
        name: &str,
        attribution: &mut Attribution,
        control: &mut Controller,
    ) -> Result<ConnectorId, WorkerError> {
        if let Some(why) = names::fault(name) {
            return Err(invalid("connector", why));
        }
        let most = attribution.connector_capacity();
        if self.names.len() >= most as usize {
            return Err(WorkerError::TooMany { what: Bounded::Connectors, limit: most.into() });
        }
        let profile = self.resolved(name);
        // A request names the providers that it needs, those of its source among them.
        let event = Event::Connector { profile: profile.clone(), providers: Vec::new() };
        let Ok(Outcome::Connector(id)) = control.tell(now, event) else {
            return Err(invalid("connector", "cannot be taken up"));
        };
        let number = self.names.add(name);
        debug_assert_eq!(id.0, number, "numbered alike");
        attribution.keep_name(number, name);
        self.profiles.push(profile);
        Ok(id)
    }

    pub(super) fn name(&self, connector: ConnectorId) -> &str {
        self.names.name(connector.0)
    }

    pub(super) fn profile(&self, connector: ConnectorId) -> &ResourceProfile {
        // There is one for each; the default stands in for none.
        self.profiles.get(connector.index()).unwrap_or(&self.default_profile)
    }

    /// What is expected of jobs for one source, where that differs from the connector's others.
    pub(super) fn profile_of_source(
        &self,
        connector: ConnectorId,
        source: &str,
    ) -> Option<ResourceProfile> {
        let stated = self.stated_of_source(self.name(connector), source)?;
        // Each layer was checked when it was read or set.
        stated.over(self.profile(connector)).ok()
    }

    /// What a job for a source needs, if something is said of that source's memory: what it says
    /// itself or, if it does not, what is expected; within the source's ceiling.
    pub(super) fn memory_of_source(
        &self,
        connector: ConnectorId,
        source: &str,
        stated: Option<Bytes>,
    ) -> Option<Bytes> {
        let Some(of_source) = self.stated_of_source(self.name(connector), source) else {
            return stated;
        };
        let memory = stated.or(of_source.avg_memory_mb.map(Bytes::from_mb))?;
        Some(memory.min(of_source.max_memory_mb.map_or(memory, Bytes::from_mb)))
    }

    fn stated_of_source(&self, name: &str, source: &str) -> Option<Partial> {
        let in_layer = |layer: &BTreeMap<String, config::Connector>| -> Option<Partial> {
            layer.get(name)?.sources.get(source).cloned()
        };
        match (in_layer(&self.changed), in_layer(&self.configured)) {
            (Some(changed), Some(configured)) => Some(changed.or(&configured)),
            (changed, configured) => changed.or(configured),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectorId, &str)> {
        self.names.iter().map(|(number, name)| (ConnectorId(number), name))
    }

    /// Changes what the profile of a connector, or of one source of it, says; gives it whole.
    pub(super) fn change(
        &mut self,
        now: Moment,
        connector: ConnectorId,
        source: Option<&str>,
        profile: &Partial,
        control: &mut Controller,
    ) -> Result<ResourceProfile, ProfileError> {
        let name = self.name(connector).to_owned();
        let Some(source) = source else {
            let before = self.changed.get(&name).map(|changed| changed.profile.clone());
            let changed = profile.or(&before.unwrap_or_default());
            changed.over(&self.base(&name))?;
            self.changed.entry(name).or_default().profile = changed;
            self.apply(now, connector, control);
            return Ok(self.profile(connector).clone());
        };
        let before = self.stated_of_source(&name, source).unwrap_or_default();
        let whole = profile.or(&before).over(self.profile(connector))?;
        let sources = &mut self.changed.entry(name).or_default().sources;
        let own = sources.entry(source.to_owned()).or_default();
        *own = profile.or(own);
        Ok(whole)
    }

    /// Other settings from now on.
    pub(super) fn configure(
        &mut self,
        now: Moment,
        configured: BTreeMap<String, config::Connector>,
        control: &mut Controller,
    ) {
        self.configured = configured;
        let connectors: Vec<ConnectorId> = self.iter().map(|(id, _)| id).collect();
        for connector in connectors {
            self.apply(now, connector, control);
        }
    }

    /// Works a connector's profile out anew, and tells if it is another.
    fn apply(&mut self, now: Moment, connector: ConnectorId, control: &mut Controller) {
        let profile = self.resolved(self.name(connector));
        let Some(place) = self.profiles.get_mut(connector.index()) else { return };
        if *place != profile {
            place.clone_from(&profile);
            let event = Event::Profile { connector, profile, providers: Vec::new() };
            control.tell_known(now, event);
        }
    }

    fn base(&self, name: &str) -> ResourceProfile {
        let builtin = ResourceProfile::builtin(name);
        let configured = self.configured.get(name).map(|own| own.profile.over(&builtin));
        // What the configuration says was checked when it was read.
        configured.and_then(Result::ok).unwrap_or(builtin)
    }

    fn resolved(&self, name: &str) -> ResourceProfile {
        let base = self.base(name);
        let changed = self.changed.get(name).map(|own| own.profile.over(&base));
        changed.and_then(Result::ok).unwrap_or(base)
    }
}

pub(super) fn invalid(parameter: &str, why: &str) -> WorkerError {
    WorkerError::InvalidValue { parameter: parameter.to_owned(), why: why.to_owned() }
}
