//! Connectors: their names, and what is expected of their jobs.

use std::collections::HashMap;

use profiler_client::protocol::{Advice, Bounded, WorkerError};

use super::limits::HostState;
use super::names::{self, Names};
use crate::kernel::Attribution;
use crate::lease::Ledger;
use crate::model::{ConnectorId, Partial, ProfileError, ResourceProfile};

/// Connectors, numbered alike here, in the maps and in the ledger.
#[derive(Debug, Default)]
pub(super) struct Connectors {
    names: Names,
    profiles: Vec<ResourceProfile>,
    /// What the configuration says, by connector.
    configured: HashMap<Box<str>, Partial>,
    /// What was set at run time, by connector.
    changed: HashMap<Box<str>, Partial>,
    pub(super) host: HostState,
}

impl Connectors {
    pub(super) fn new(host: HostState) -> Self {
        Self { host, ..Self::default() }
    }

    pub(super) fn find(&self, name: &str) -> Option<ConnectorId> {
        self.names.find(name).map(ConnectorId)
    }

    /// The connector of this name, which may be new.
    pub(super) fn add(
        &mut self,
        name: &str,
        attribution: &mut Attribution,
        ledger: &mut Ledger,
    ) -> Result<ConnectorId, WorkerError> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        if let Some(why) = names::fault(name) {
            return Err(invalid("connector", why));
        }
        let most = attribution.connector_capacity();
        if self.names.len() >= most as usize {
            return Err(WorkerError::TooMany { what: Bounded::Connectors, limit: most.into() });
        }
        let number = self.names.add(name);
        attribution.keep_name(number, name);
        let id = ledger.add_connector();
        debug_assert_eq!(id.0, number, "numbered alike");
        self.profiles.push(self.resolved(name));
        self.apply(id, ledger);
        Ok(id)
    }

    pub(super) fn name(&self, connector: ConnectorId) -> &str {
        self.names.name(connector.0)
    }

    pub(super) fn profile(&self, connector: ConnectorId) -> &ResourceProfile {
        // There is one for each; the first stands in for none.
        self.profiles.get(connector.index()).unwrap_or(&self.host.default_profile)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectorId, &str)> {
        self.names.iter().map(|(number, name)| (ConnectorId(number), name))
    }

    /// Changes what a connector's profile says.
    pub(super) fn change(
        &mut self,
        connector: ConnectorId,
        profile: &Partial,
        ledger: &mut Ledger,
    ) -> Result<&ResourceProfile, ProfileError> {
        let name: Box<str> = self.name(connector).into();
        let before = self.changed.get(&name).cloned().unwrap_or_default();
        let changed = profile.or(&before);
        changed.over(&self.base(&name))?;
        self.changed.insert(name.clone(), changed);
        let resolved = self.resolved(&name);
        if let Some(place) = self.profiles.get_mut(connector.index()) {
            *place = resolved;
        }
        self.apply(connector, ledger);
        Ok(self.profile(connector))
    }

    /// Other settings from now on.
    pub(super) fn configure(
        &mut self,
        configured: HashMap<Box<str>, Partial>,
        ledger: &mut Ledger,
    ) {
        self.configured = configured;
        let names: Vec<Box<str>> = self.names.iter().map(|(_, name)| name.into()).collect();
        self.profiles = names.iter().map(|name| self.resolved(name)).collect();
        self.plan(ledger);
    }

    /// Computes all limits anew from how the host stands.
    pub(super) fn plan(&self, ledger: &mut Ledger) {
        for (connector, _) in self.iter() {
            self.apply(connector, ledger);
        }
        ledger.set_budget(self.host.memory_budget(ledger.reserved()));
    }

    fn apply(&self, connector: ConnectorId, ledger: &mut Ledger) {
        let profile = self.profile(connector);
        let in_use = ledger.state(connector).map_or(0, |state| state.in_use);
        let rule = self.host.limit(profile, in_use);
        // The connector is known: each of these can only fail for one that is not.
        let _ = ledger.set_limit(connector, rule.limit, rule.constraint);
        let _ = ledger.set_weight(connector, profile.weight);
        let memory = crate::model::Bytes::from_mb(profile.avg_memory_mb);
        let _ = ledger.set_need(connector, memory, crate::model::Bytes(0));
    }

    /// Advice for one of so many jobs of a connector, or of the host.
    pub(super) fn hint(&self, connector: Option<ConnectorId>, jobs: u32) -> Advice {
        self.host.hint(connector.map(|connector| self.profile(connector)), jobs)
    }

    fn base(&self, name: &str) -> ResourceProfile {
        let builtin = ResourceProfile::builtin(name);
        let configured = self.configured.get(name).map(|partial| partial.over(&builtin));
        // What the configuration says was checked when it was read.
        configured.and_then(Result::ok).unwrap_or(builtin)
    }

    fn resolved(&self, name: &str) -> ResourceProfile {
        let base = self.base(name);
        let changed = self.changed.get(name).map(|partial| partial.over(&base));
        changed.and_then(Result::ok).unwrap_or(base)
    }
}

pub(super) fn invalid(parameter: &str, why: &str) -> WorkerError {
    WorkerError::InvalidValue { parameter: parameter.to_owned(), why: why.to_owned() }
}
