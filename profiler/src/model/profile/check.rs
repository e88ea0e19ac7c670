//! Which values a profile can have.

use thiserror::Error;

use super::Partial;

/// Why a profile is none.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ProfileError {
    /// A value is zero, negative, not a number, or beyond any host.
    #[error("{field} is {value}: from {least} to {most} is possible")]
    OutOfRange {
        /// The field's name.
        field: &'static str,
        /// What it was to be.
        value: f64,
        /// The least possible.
        least: f64,
        /// The greatest possible.
        most: f64,
    },
    /// Two values that cannot both be meant.
    #[error("{field} is {value}, above {other}, which is {limit}")]
    Contradiction {
        /// The field that is too great.
        field: &'static str,
        /// Its value.
        value: f64,
        /// The field that it must not pass.
        other: &'static str,
        /// That one's value.
        limit: f64,
    },
    /// A provider without a name.
    #[error("providers has an empty name")]
    NamelessProvider,
}

/// Each number of a profile with the least and the greatest that it can be.
pub const RANGES: [(&str, f64, f64); 8] = [
    ("max_concurrent_jobs", 1.0, 100_000.0),
    ("preferred_concurrency", 1.0, 100_000.0),
    ("avg_cpu_cores", 0.001, 4_096.0),
    // 16 TiB.
    ("avg_memory_mb", 0.1, 16_777_216.0),
    // A millisecond to a year.
    ("avg_duration_seconds", 0.001, 31_536_000.0),
    ("backpressure_threshold", 0.05, 1.0),
    ("weight", 0.001, 1_000.0),
    ("max_memory_mb", 0.1, 16_777_216.0),
];

pub(super) fn check(stated: &Partial) -> Result<(), ProfileError> {
    let values = [
        stated.max_concurrent_jobs.map(f64::from),
        stated.preferred_concurrency.map(f64::from),
        stated.avg_cpu_cores,
        stated.avg_memory_mb,
        stated.avg_duration_seconds,
        stated.backpressure_threshold,
        stated.weight,
        stated.max_memory_mb,
    ];
    for ((field, least, most), value) in RANGES.into_iter().zip(values) {
        let Some(value) = value else { continue };
        // Not a number is in no range.
        if !(least..=most).contains(&value) {
            return Err(ProfileError::OutOfRange { field, value, least, most });
        }
    }
    let [cap, preferred, _, memory, _, _, _, ceiling] = values;
    not_above(("preferred_concurrency", preferred), ("max_concurrent_jobs", cap))?;
    not_above(("avg_memory_mb", memory), ("max_memory_mb", ceiling))?;
    let nameless = |providers: &Vec<String>| providers.iter().any(|name| name.trim().is_empty());
    if stated.providers.as_ref().is_some_and(nameless) {
        return Err(ProfileError::NamelessProvider);
    }
    Ok(())
}

fn not_above(
    (field, value): (&'static str, Option<f64>),
    (other, limit): (&'static str, Option<f64>),
) -> Result<(), ProfileError> {
    match (value, limit) {
        (Some(value), Some(limit)) if value > limit => {
            Err(ProfileError::Contradiction { field, value, other, limit })
        }
        _ => Ok(()),
    }
}
