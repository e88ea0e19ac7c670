//! Settings by environment variable.

use super::key_path::KeyPath;
use super::keys::keys;
use super::merged::{Merged, Written};
use super::problem::{Origin, Problem, did_you_mean, nearest};
use super::raw::Raw;
use super::section::Key;
use super::written::unfit;

/// An environment variable that sets something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The setting.
    pub key: &'static str,
    /// The unit of a number that is written without one.
    pub unit: &'static str,
}

/// All of them.
pub const VARIABLES: [Variable; 8] = [
    variable("RESOURCE_MONITORING_ENABLED", "monitoring.enabled", ""),
    variable("RESOURCE_MONITORING_INTERVAL", "monitoring.interval", "s"),
    variable("RESOURCE_CPU_THRESHOLD", "thresholds.cpu_percent", ""),
    variable("RESOURCE_MEMORY_THRESHOLD", "thresholds.memory_percent", ""),
    variable("RESOURCE_MAX_MEMORY_MB", "memory.ceiling", "MiB"),
    variable("RESOURCE_STREAMING_CHUNK_SIZE", "streaming.chunk_size", "B"),
    variable("RESOURCE_ATTRIBUTION_ENABLED", "attribution.enabled", ""),
    variable("RESOURCE_ATTRIBUTION_UPDATE_INTERVAL_SECS", "attribution.update_interval", "s"),
];

/// What the names of all of them begin with.
const PREFIX: &str = "RESOURCE_";

const fn variable(name: &'static str, key: &'static str, unit: &'static str) -> Variable {
    Variable { name, key, unit }
}

/// Reads what the environment sets into `merged`. A variable without a value sets nothing.
pub(super) fn read(environment: &[(String, String)], merged: &mut Merged) -> Vec<Problem> {
    let keys = keys();
    let mut problems = Vec::new();
    for variable in VARIABLES {
        let Some(key) = keys.iter().find(|key| key.full_name() == variable.key) else { continue };
        let value = environment.iter().find(|(name, _)| name == variable.name);
        let Some(word) = value.map(|(_, value)| value.trim()).filter(|word| !word.is_empty())
        else {
            continue;
        };
        match setting(variable, key, word) {
            Ok(written) => merged.add(written),
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

fn setting(variable: Variable, key: &Key, word: &str) -> Result<Written, Problem> {
    let path = KeyPath::of_name(variable.key);
    let origin = Origin::Variable(variable.name);
    let is_bare = word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let unit = if is_bare { variable.unit } else { "" };
    let raw = Raw::Word(format!("{word}{unit}"));
    if (key.admits)(&raw) {
        Ok(Written { path, raw, origin })
    } else {
        let what = unfit(&Raw::Word(word.to_owned()), key);
        Err(Problem { origin, path: Some(path), what })
    }
}

/// Variables that look like ours but are not: probably misspelt. They may as well be another
/// program's, and so they are no errors.
pub(super) fn misspelt(environment: &[(String, String)]) -> Vec<String> {
    let ours = || VARIABLES.iter().map(|variable| variable.name);
    let names = environment.iter().map(|(name, _)| name.as_str());
    names
        .filter(|name| name.starts_with(PREFIX) && !ours().any(|known| known == *name))
        .filter_map(|name| {
            let near = nearest(
                name.strip_prefix(PREFIX)?,
                ours().filter_map(|known| known.strip_prefix(PREFIX)),
            );
            let meant = format!("{PREFIX}{}", near?);
            Some(format!("environment variable {name} is not known{}", did_you_mean(Some(meant))))
        })
        .collect()
}
