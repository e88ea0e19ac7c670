//! The table of leases, with the sums over it that make an admission independent of its length.
//!
//! The sums change in three functions only, each together with the table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, ConnectorId, LeaseId, Moment, Owner, ProviderId, SourceId};

/// Whether somebody still answers for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Its worker is connected.
    Running,
    /// Its worker is gone while its tasks run on: it stays charged until the last one ends.
    Orphaned,
}

/// The right to run one job. What a restart has to bring back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Which one.
    pub id: LeaseId,
    /// Of which connector.
    pub connector: ConnectorId,
    /// For which source.
    pub source: Option<SourceId>,
    /// Whose it is.
    pub owner: Owner,
    /// Whether the owner is still there.
    pub state: LeaseState,
    /// When it was granted.
    pub granted: Moment,
    /// The memory that is reserved for it: the peak that is expected of it.
    pub memory: Bytes,
    /// Standard deviation of that expectation.
    pub deviation: Bytes,
    /// What its worker said that it would hold.
    pub declared: Option<Bytes>,
    /// Providers at which it holds a place.
    pub providers: Vec<ProviderId>,
    /// Whether no task works for it at present.
    pub tasks_ended: bool,
}

/// How sure to be that expected peaks fit: they do if their sum and a margin do not pass the
/// budget, the margin being the greater of `total` deviations of the sum and `single` of the
/// most uncertain job's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRule {
    /// Deviations of the sum. 3: one sum in a thousand is greater, if errors are independent.
    pub total: f64,
    /// Deviations of one job. 2.5: a single heavy job must not be averaged away.
    pub single: f64,
}

impl Default for MemoryRule {
    fn default() -> Self {
        Self { total: 3.0, single: 2.5 }
    }
}

/// Sums over a connector's leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) leases: u32,
    pub(super) memory: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Table {
    leases: BTreeMap<LeaseId, Lease>,
    held: Vec<Held>,
    memory: u64,
    variance: u128,
    deviations: BTreeMap<u64, u32>,
    /// The two above as an admission needs them, derived from them at each change.
    variance_sum: f64,
    greatest: u64,
}

impl Table {
    pub(super) fn add_connector(&mut self) {
        self.held.push(Held::default());
    }

    pub(super) fn held(&self, connector: ConnectorId) -> Held {
        self.held.get(connector.index()).copied().unwrap_or_default()
    }

    pub(super) fn memory(&self) -> Bytes {
        Bytes(self.memory)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    pub(super) fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Lease> {
        self.leases.values()
    }

    /// Changes what no sum depends on.
    pub(super) fn annotate<T>(
        &mut self,
        id: LeaseId,
        change: impl FnOnce(&mut LeaseState, &mut Owner, &mut bool) -> T,
    ) -> Option<T> {
        let lease = self.leases.get_mut(&id)?;
        Some(change(&mut lease.state, &mut lease.owner, &mut lease.tasks_ended))
    }

    /// False if there is one with that number, or its connector is unknown.
    pub(super) fn insert(&mut self, lease: Lease) -> bool {
        if self.leases.contains_key(&lease.id) {
            return false;
        }
        let Some(held) = self.held.get_mut(lease.connector.index()) else { return false };
        held.leases += 1;
        held.memory = held.memory.saturating_add(lease.memory.0);
        self.add(lease.memory, lease.deviation);
        self.leases.insert(lease.id, lease);
        true
    }

    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        if let Some(held) = self.held.get_mut(lease.connector.index()) {
            held.leases -= 1;
            held.memory -= lease.memory.0;
        }
        self.subtract(lease.memory, lease.deviation);
        Some(lease)
    }

    /// False if there is no such lease.
    pub(super) fn set_memory(&mut self, id: LeaseId, memory: Bytes, deviation: Bytes) -> bool {
        let (memory, deviation) = (bounded(memory), bounded(deviation));
        let Some(lease) = self.leases.get_mut(&id) else { return false };
        let before = (lease.memory, lease.deviation);
        if before == (memory, deviation) {
            return true;
        }
        (lease.memory, lease.deviation) = (memory, deviation);
        if let Some(held) = self.held.get_mut(lease.connector.index()) {
            held.memory = held.memory - before.0.0 + memory.0;
        }
        self.subtract(before.0, before.1);
        self.add(memory, deviation);
        true
    }

    fn add(&mut self, memory: Bytes, deviation: Bytes) {
        self.memory += memory.0;
        if deviation.0 > 0 {
            self.variance += u128::from(deviation.0).pow(2);
            *self.deviations.entry(deviation.0).or_default() += 1;
            self.derive();
        }
    }

    fn derive(&mut self) {
        self.variance_sum = self.variance as f64;
        self.greatest = self.deviations.last_key_value().map_or(0, |(deviation, _)| *deviation);
    }

    fn subtract(&mut self, memory: Bytes, deviation: Bytes) {
        self.memory -= memory.0;
        if deviation.0 > 0 {
            self.variance -= u128::from(deviation.0).pow(2);
            if let Some(count) = self.deviations.get_mut(&deviation.0) {
                *count -= 1;
                if *count == 0 {
                    self.deviations.remove(&deviation.0);
                }
            }
            self.derive();
        }
    }

    /// What has to be free besides the expected peaks, with one more job.
    pub(super) fn margin(&self, rule: MemoryRule, one_more: Bytes) -> Bytes {
        let total = rule.total * (self.variance_sum + one_more.as_f64().powi(2)).sqrt();
        Bytes::from_f64(total.max(rule.single * one_more.0.max(self.greatest) as f64))
    }

    /// Whether one more job fits.
    pub(super) fn fits(
        &self,
        rule: MemoryRule,
        budget: Bytes,
        memory: Bytes,
        deviation: Bytes,
    ) -> bool {
        let sum = self.memory().plus(memory).plus(self.margin(rule, deviation));
        memory.0 == 0 || sum <= budget
    }

    /// What the sums should be, counted anew; says which differs.
    pub(super) fn audit(&self) -> Result<(), String> {
        let mut anew = Self { held: vec![Held::default(); self.held.len()], ..Self::default() };
        for lease in self.leases.values() {
            anew.insert(lease.clone());
        }
        let same = [
            ("leases per connector", anew.held == self.held),
            ("memory", anew.memory == self.memory),
            ("variance", anew.variance == self.variance),
            ("deviations", anew.deviations == self.deviations),
        ];
        match same.into_iter().find(|(_, same)| !same) {
            Some((sum, _)) => Err(format!("{sum} is not what the leases add up to")),
            None => Ok(()),
        }
    }
}

/// At most a petabyte for one job: sums of millions of those cannot overflow.
pub(super) fn bounded(memory: Bytes) -> Bytes {
    Bytes(memory.0.min(1 << 50))
}
