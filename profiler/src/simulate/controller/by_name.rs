//! Controllers by the names under which the command line knows them.

use std::fmt;
use std::str::FromStr;

use super::ours::Ours;
use super::pid::Temporal;
use super::thresholds::{Down, Plain, Step};
use super::windowed::{Aimd, Gradient2, RunQueue, Vegas, Windowed};
use super::{Agent, Fixed, Ruled};
use crate::model::{LeaseId, Moment};
use crate::simulate::plant::Plant;

/// Which controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Ours,
    /// Limits that do not change, one per connector; the last one counts for all further ones.
    Static(Vec<u32>),
    /// What profiles declare, divided into what is free.
    Plain,
    /// One more, one less.
    Step,
    /// One more, half.
    Halving,
    /// One more, three quarters, by durations.
    Aimd,
    /// By the gradient of durations.
    Gradient2,
    /// By the queue that durations hint at.
    Vegas,
    /// PID on utilisation.
    Pid,
    /// One more, one less, by the run queue.
    RunQueue,
}

/// Those that need no number.
const NAMED: [(&str, Kind); 9] = [
    ("ours", Kind::Ours),
    ("plain", Kind::Plain),
    ("step", Kind::Step),
    ("halving", Kind::Halving),
    ("aimd", Kind::Aimd),
    ("gradient2", Kind::Gradient2),
    ("vegas", Kind::Vegas),
    ("pid", Kind::Pid),
    ("run-queue", Kind::RunQueue),
];

/// The names, for help and for errors.
pub const NAMES: [&str; 10] = [
    "ours",
    "plain",
    "step",
    "halving",
    "aimd",
    "gradient2",
    "vegas",
    "pid",
    "run-queue",
    "static:N,...",
];

/// No controller has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no controller is called {0:?}; there are {list}", list = NAMES.join(", "))]
pub struct Unknown(String);

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Static(limits) = self {
            let limits: Vec<String> = limits.iter().map(u32::to_string).collect();
            return write!(formatter, "static:{}", limits.join(","));
        }
        let name = NAMED.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| *name);
        formatter.write_str(name)
    }
}

impl FromStr for Kind {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        if let Some((_, kind)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Ok(kind.clone());
        }
        let limits = name.strip_prefix("static:").map(|list| {
            let limit = |part: &str| part.trim().parse().ok().filter(|limit| *limit >= 1);
            list.split(',').map(limit).collect::<Option<Vec<u32>>>()
        });
        limits.flatten().map(Self::Static).ok_or_else(|| Unknown(name.to_owned()))
    }
}

impl Kind {
    /// An agent for a plant under this controller, that has seen nothing yet.
    #[must_use]
    pub fn begin(&self, plant: &Plant, now: Moment, next: LeaseId) -> Box<dyn Agent> {
        match self {
            Self::Ours => Box::new(Ours::new(plant, now, next)),
            Self::Static(limits) => {
                let last = limits.last().copied().unwrap_or(1);
                let limit = |connector: usize| limits.get(connector).copied().unwrap_or(last);
                let limits = (0..plant.connectors.len()).map(limit).collect();
                Box::new(Ruled::new(plant, next, Fixed::new(limits)))
            }
            Self::Plain => Box::new(Ruled::new(plant, next, Plain::new(plant))),
            Self::Step => Box::new(Ruled::new(plant, next, Step::new(plant, Down::One))),
            Self::Halving => Box::new(Ruled::new(plant, next, Step::new(plant, Down::Half))),
            Self::Aimd => Box::new(Ruled::new(plant, next, Windowed::new(plant, Aimd::new))),
            Self::Gradient2 => {
                Box::new(Ruled::new(plant, next, Windowed::new(plant, Gradient2::new)))
            }
            Self::Vegas => Box::new(Ruled::new(plant, next, Windowed::new(plant, Vegas::new))),
            Self::Pid => Box::new(Ruled::new(plant, next, Temporal::new(plant))),
            Self::RunQueue => Box::new(Ruled::new(plant, next, RunQueue::new(plant))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_is_known_by_its_name() {
        assert_eq!("static:3,4".parse(), Ok(Kind::Static(vec![3, 4])));
        assert_eq!("step".parse(), Ok(Kind::Step));
        for bad in ["", "static", "static:", "static:0", "static:a", "magic"] {
            let error = bad.parse::<Kind>().unwrap_err().to_string();
            assert!(error.contains("there are ours, plain, "), "{error}");
        }
    }
}
