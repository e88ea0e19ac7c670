//! What a job draws its needs from.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::quantity::{Amount, Positive};
use crate::simulate::random::Random;

/// A distribution of a figure that is never negative. In a plant a number alone is a constant; the
/// others are tables with the distribution's name as the only key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// `{ exponential = MEAN }`.
    Exponential(f64),
    /// `{ uniform = [LOW, HIGH] }`.
    Uniform(f64, f64),
    /// `{ lognormal = { mean = MEAN, cv = DEVIATION / MEAN } }`.
    Lognormal {
        /// Of the figure itself, not of its logarithm.
        mean: f64,
        /// Coefficient of variation of the figure.
        cv: f64,
    },
    /// `{ pareto = { mean = MEAN, shape = ALPHA, most = MAXIMUM } }`: a heavy tail, cut off.
    Pareto {
        /// Mean of the tail before it is cut off.
        mean: f64,
        /// Above 1; the smaller, the heavier the tail.
        shape: f64,
        /// What is drawn beyond this counts as this.
        most: f64,
    },
}

impl Distribution {
    /// Draws one figure. Takes as many numbers from the stream each time, whatever they are.
    pub fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Exponential(mean) => mean * random.exponential(),
            Self::Uniform(low, high) => random.between(low, high),
            Self::Lognormal { mean, cv } => {
                let variance = (1.0 + cv * cv).ln();
                (mean.ln() - variance / 2.0 + variance.sqrt() * random.normal()).exp()
            }
            Self::Pareto { mean, shape, most } => {
                let scale = mean * (shape - 1.0) / shape;
                (scale * (1.0 - random.unit()).powf(-1.0 / shape)).min(most)
            }
        }
    }

    /// The mean; of a tail, before it is cut off.
    #[must_use]
    pub fn mean(self) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Exponential(mean) | Self::Lognormal { mean, .. } | Self::Pareto { mean, .. } => {
                mean
            }
            Self::Uniform(low, high) => f64::midpoint(low, high),
        }
    }

    /// The same shape with `factor` times the mean.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value * factor),
            Self::Exponential(mean) => Self::Exponential(mean * factor),
            Self::Uniform(low, high) => Self::Uniform(low * factor, high * factor),
            Self::Lognormal { mean, cv } => Self::Lognormal { mean: mean * factor, cv },
            Self::Pareto { mean, shape, most } => {
                Self::Pareto { mean: mean * factor, shape, most: most * factor }
            }
        }
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self::Constant(0.0)
    }
}

/// The tables, as written.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    Constant(Amount),
    Exponential(Positive),
    Uniform(Amount, Amount),
    Lognormal(WrittenLognormal),
    Pareto(WrittenPareto),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLognormal {
    mean: Positive,
    cv: Positive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPareto {
    mean: Positive,
    shape: Positive,
    most: Option<Positive>,
}

impl Written {
    fn checked<E: Error>(self) -> Result<Distribution, E> {
        match self {
            Self::Constant(value) => Ok(Distribution::Constant(value.get())),
            Self::Exponential(mean) => Ok(Distribution::Exponential(mean.get())),
            Self::Uniform(low, high) if low <= high => {
                Ok(Distribution::Uniform(low.get(), high.get()))
            }
            Self::Uniform(..) => Err(E::custom("uniform takes the lower bound first")),
            Self::Lognormal(written) => {
                Ok(Distribution::Lognormal { mean: written.mean.get(), cv: written.cv.get() })
            }
            Self::Pareto(written) if written.shape.get() <= 1.0 => {
                Err(E::custom("a pareto distribution has a mean only if shape is above 1"))
            }
            Self::Pareto(written) => Ok(Distribution::Pareto {
                mean: written.mean.get(),
                shape: written.shape.get(),
                most: written.most.map_or(100.0 * written.mean.get(), Positive::get),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTable)
    }
}

struct NumberOrTable;

impl<'de> Visitor<'de> for NumberOrTable {
    type Value = Distribution;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, or a table such as { exponential = 2.0 }")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Distribution, E> {
        let amount = Amount::try_from(value).map_err(E::custom)?;
        Ok(Distribution::Constant(amount.get()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Distribution, E> {
        // Beyond 2^53 the number is far over what an amount may be, and refused.
        self.visit_f64(value as f64)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Distribution, A::Error> {
        Written::deserialize(MapAccessDeserializer::new(map))?.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distribution_has_the_mean_that_it_declares() {
        let all = [
            Distribution::Constant(3.0),
            Distribution::Exponential(3.0),
            Distribution::Uniform(1.0, 5.0),
            Distribution::Lognormal { mean: 3.0, cv: 0.8 },
            Distribution::Pareto { mean: 3.0, shape: 3.0, most: 1e9 },
        ];
        for distribution in all {
            let mut random = Random::new(3, 0);
            let count = 200_000;
            let sum: f64 = (0..count).map(|_| distribution.draw(&mut random)).sum();
            let mean = sum / f64::from(count);
            assert!((mean / 3.0 - 1.0).abs() < 0.02, "{distribution:?} has mean {mean}");
            assert!((distribution.mean() - 3.0).abs() < 1e-12);
            assert!((distribution.scaled(2.0).mean() - 6.0).abs() < 1e-12);
        }
    }
}
