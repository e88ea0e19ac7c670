//! What both interfaces speak of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A lease, as the agent numbers it. The number says nothing and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub u64);

/// A place at a provider, as the agent numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermitId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PermitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who goes first when not everybody can. Waiting raises a request's class in time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// When nobody else wants to.
    Background,
    /// What nothing is said about.
    #[default]
    Normal,
    /// Somebody waits for it.
    Interactive,
}

/// What binds, or what a grant exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// The profile's own limit.
    Cap,
    /// CPUs.
    Cpu,
    /// Memory.
    Memory,
    /// Storage.
    Disk,
    /// Network.
    Network,
    /// GPU.
    Gpu,
    /// The cap of an external service.
    Provider,
    /// Nothing less than one job is granted.
    Floor,
    /// Others came first.
    Queue,
    /// An operator drains the connector or the host.
    Drained,
    /// An operator set the limit by hand.
    Override,
}

/// How close to its limits the host, or a connector, is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All is well.
    #[default]
    Normal,
    /// Above the threshold.
    Elevated,
    /// Well above it.
    High,
    /// At the limit.
    Critical,
}

macro_rules! shown_as_on_the_wire {
    ($($name:ident: $($variant:ident = $text:literal),+;)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $text),+ })
            }
        }
    )+};
}

shown_as_on_the_wire! {
    Priority: Background = "background", Normal = "normal", Interactive = "interactive";
    Constraint: Cap = "cap", Cpu = "cpu", Memory = "memory", Disk = "disk", Network = "network",
        Gpu = "gpu", Provider = "provider", Floor = "floor", Queue = "queue", Drained = "drained",
        Override = "override";
    Level: Normal = "normal", Elevated = "elevated", High = "high", Critical = "critical";
}
