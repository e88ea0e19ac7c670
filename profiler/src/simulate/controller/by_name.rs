//! Controllers by the names under which the command line knows them.

use std::fmt;
use std::str::FromStr;

use super::thresholds::{Down, Plain, Step};
use super::{Controller, Fixed};
use crate::simulate::plant::Plant;

/// Which controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Limits that do not change, one per connector; the last one counts for all further ones.
    Static(Vec<u32>),
    /// What profiles declare, divided into what is free.
    Plain,
    /// One more, one less.
    Step,
    /// One more, half.
    Halving,
}

/// The names, for help and for errors.
pub const NAMES: &[&str] = &["static:N,...", "plain", "step", "halving"];

/// No controller has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no controller is called {0:?}; there are {list}", list = NAMES.join(", "))]
pub struct Unknown(String);

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(limits) => {
                let limits: Vec<String> = limits.iter().map(u32::to_string).collect();
                write!(formatter, "static:{}", limits.join(","))
            }
            Self::Plain => formatter.write_str("plain"),
            Self::Step => formatter.write_str("step"),
            Self::Halving => formatter.write_str("halving"),
        }
    }
}

impl FromStr for Kind {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        match name {
            "plain" => return Ok(Self::Plain),
            "step" => return Ok(Self::Step),
            "halving" => return Ok(Self::Halving),
            _ => {}
        }
        let limits = name.strip_prefix("static:").map(|list| {
            let limit = |part: &str| part.trim().parse().ok().filter(|limit| *limit >= 1);
            list.split(',').map(limit).collect::<Option<Vec<u32>>>()
        });
        limits.flatten().map(Self::Static).ok_or_else(|| Unknown(name.to_owned()))
    }
}

impl Kind {
    /// A controller for a plant, that has seen nothing yet.
    #[must_use]
    pub fn build(&self, plant: &Plant) -> Box<dyn Controller> {
        match self {
            Self::Static(limits) => {
                let last = limits.last().copied().unwrap_or(1);
                let limit = |connector: usize| limits.get(connector).copied().unwrap_or(last);
                Box::new(Fixed::new((0..plant.connectors.len()).map(limit).collect()))
            }
            Self::Plain => Box::new(Plain::new(plant)),
            Self::Step => Box::new(Step::new(plant, Down::One)),
            Self::Halving => Box::new(Step::new(plant, Down::Half)),
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
            assert!(error.contains("there are static:N,..., "), "{error}");
        }
    }
}
