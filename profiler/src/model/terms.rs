//! The words of the protocol that several parts of the core use.

use serde::{Deserialize, Serialize};

/// Who goes first when not everybody can. Waiting raises a request's class in time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Whenever nobody else wants to.
    Background,
    /// The usual one.
    #[default]
    Normal,
    /// Somebody waits for the result.
    Interactive,
}

impl Priority {
    /// All of them, the least urgent first.
    pub const ALL: [Self; 3] = [Self::Background, Self::Normal, Self::Interactive];

    /// The place in a list that holds one element per class.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What to do with a request when its wait is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// Fail.
    Refuse,
    /// Go on without a slot being free.
    Proceed,
    /// Go on unless memory is what is short: that cannot be shared by waiting a little longer.
    #[default]
    ProceedIfCompressible,
}

/// How a grant came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Within every limit.
    Granted,
    /// Beyond one: the grant says which.
    GrantedUnderPressure,
}

/// How close to its limits the host, or a connector, is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// There is room.
    #[default]
    Normal,
    /// Close to the threshold.
    Elevated,
    /// Above the threshold.
    High,
    /// Close to the end of the resource.
    Critical,
}

/// What binds a limit or a request, or what a grant exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Constraint {
    /// The most that the profile allows.
    Cap,
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// A disk: more jobs would not do more.
    Disk,
    /// The network, or a server at its other end: more jobs would not do more.
    Network,
    /// GPU memory or time.
    Gpu,
    /// An external service's own cap, or its wish to be left alone for a while.
    Provider,
    /// Nothing more fits, and one always may.
    Floor,
    /// Others came first.
    Queue,
    /// An operator wants no new jobs.
    Drained,
    /// An operator set the limit by hand.
    Override,
}

/// Several constraints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Constraint>", into = "Vec<Constraint>")]
pub struct Constraints(u16);

impl Constraint {
    /// All of them, in the order of the protocol.
    pub const ALL: [Self; 11] = [
        Self::Cap,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Network,
        Self::Gpu,
        Self::Provider,
        Self::Floor,
        Self::Queue,
        Self::Drained,
        Self::Override,
    ];
}

impl Constraints {
    /// None.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub fn and(self, constraint: Constraint) -> Self {
        Self(self.0 | 1 << constraint as u8)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, constraint: Constraint) -> bool {
        self.0 & 1 << constraint as u8 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of the protocol.
    pub fn iter(self) -> impl Iterator<Item = Constraint> {
        Constraint::ALL.into_iter().filter(move |constraint| self.has(*constraint))
    }
}

impl From<Vec<Constraint>> for Constraints {
    fn from(list: Vec<Constraint>) -> Self {
        list.into_iter().fold(Self::NONE, Self::and)
    }
}

impl From<Constraints> for Vec<Constraint> {
    fn from(constraints: Constraints) -> Self {
        constraints.iter().collect()
    }
}

impl From<Constraint> for Constraints {
    fn from(constraint: Constraint) -> Self {
        Self::NONE.and(constraint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_written_as_the_list_that_the_protocol_has() {
        let some = Constraints::NONE.and(Constraint::Queue).and(Constraint::Memory);
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"["memory","queue"]"#);
        assert_eq!(serde_json::from_str::<Constraints>(r#"["queue","memory"]"#).unwrap(), some);
        assert!(some.has(Constraint::Queue) && !some.has(Constraint::Cap));
    }
}
