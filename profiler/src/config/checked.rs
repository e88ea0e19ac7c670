//! Whether values that each make sense also make sense together.

use super::key_path::KeyPath;
use super::merged::Merged;
use super::problem::{Origin, Problem, did_you_mean, nearest};
use super::profiles::{CONNECTORS, Connector, SOURCES};
use super::resolved::Config;
use super::section::Section;
use super::sections::{Capacities, Limits};
use crate::model::{Partial, ProfileError, ResourceProfile};

/// Pairs of settings of which the first must not exceed the second.
const CONNECTIONS: (&str, &str) = ("limits.connections_per_user", "limits.connections");
const JOBS: (&str, &str) = ("capacities.jobs", "capacities.tasks");

/// What contradicts itself.
pub(super) fn contradictions(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let sockets = &config.sockets;
    if sockets.worker == sockets.control {
        let what = "is the same path as sockets.worker; each needs its own".to_owned();
        problems.push(problem(config, KeyPath::of_name("sockets.control"), what));
    }
    let limits = &config.limits;
    let capacities = &config.capacities;
    let not_above = [
        (CONNECTIONS, (limits.connections_per_user, limits.connections)),
        (JOBS, (capacities.jobs, capacities.tasks)),
    ];
    for ((field, other), (value, limit)) in not_above {
        if value > limit {
            let what = format!("is {value}, above {other}, which is {limit}");
            problems.push(problem(config, KeyPath::of_name(field), what));
        }
    }
    // What only repeats a built-in profile needs no place before its first job.
    let says_something = |(name, connector): &(&String, &Connector)| {
        let built_in = ResourceProfile::builtin(name);
        !connector.sources.is_empty() || connector.profile.over(&built_in) != Ok(built_in)
    };
    let configured = config.connectors.iter().filter(says_something).count();
    if u32::try_from(configured).is_ok_and(|count| count > capacities.connectors) {
        let what =
            format!("is {}, but {configured} connectors are configured", capacities.connectors);
        problems.push(problem(config, KeyPath::of_name("capacities.connectors"), what));
    }
    for (name, connector) in &config.connectors {
        problems.extend(in_connector(config, name, connector));
    }
    problems
}

/// What is said of one source though it can only be said of a whole connector.
pub(super) fn passed_over(config: &Config) -> Vec<String> {
    const OF_A_SOURCE: [&str; 4] = ["avg_memory_mb", "max_memory_mb", "priority", "providers"];
    let mut warnings = Vec::new();
    for (name, connector) in &config.connectors {
        for (source, profile) in &connector.sources {
            let at = KeyPath::new([CONNECTORS, name]).with(SOURCES).with(source);
            let stated = profile.written().into_iter().filter(|(_, value)| value.is_some());
            warnings.extend(stated.filter(|(field, _)| !OF_A_SOURCE.contains(field)).map(
                |(field, _)| {
                    let path = at.with(field);
                    format!("{path} has no effect: it holds for all of a connector or not at all")
                },
            ));
        }
    }
    warnings
}

fn problem(config: &Config, path: KeyPath, what: String) -> Problem {
    Problem { origin: config.origin(&path), path: Some(path), what }
}

/// Lets a default follow where only the other one of two counts was written, which the first must not
/// exceed.
pub(super) fn give_way(written: &Merged, limits: &mut Limits, capacities: &mut Capacities) {
    let counts = [
        (CONNECTIONS, &mut limits.connections_per_user, &mut limits.connections),
        (JOBS, &mut capacities.jobs, &mut capacities.tasks),
    ];
    for ((low_name, high_name), low, high) in counts {
        let is_written = |name| written.origin(&KeyPath::of_name(name)) != Origin::Default;
        match (is_written(low_name), is_written(high_name)) {
            (true, false) => *high = (*low).max(*high),
            (false, true) => *low = (*low).min(*high),
            (true, true) | (false, false) => {}
        }
    }
}

fn in_connector(config: &Config, name: &str, connector: &Connector) -> Vec<Problem> {
    let at = KeyPath::new([CONNECTORS, name]);
    let base = ResourceProfile::builtin(name);
    let mut problems = Vec::new();
    problems.extend(in_profile(config, &at, None, &connector.profile, &base));
    problems.extend(unknown_providers(config, &at, &connector.profile));
    for (source, profile) in &connector.sources {
        let inner = at.with(SOURCES).with(source);
        problems.extend(unknown_providers(config, &inner, profile));
        // What is wrong with the connector's own values was said already.
        if problems.is_empty() {
            let both = profile.or(&connector.profile);
            problems.extend(in_profile(config, &inner, Some(&at), &both, &base));
        }
    }
    problems
}

/// Values of a profile that contradict each other. Those of a source may be inherited from its
/// connector, `parent`.
fn in_profile(
    config: &Config,
    at: &KeyPath,
    parent: Option<&KeyPath>,
    stated: &Partial,
    base: &ResourceProfile,
) -> Option<Problem> {
    let written_at = |field: &str| {
        let own = at.with(field);
        let inherited = parent.map(|parent| parent.with(field));
        let is_own = config.origin(&own) != Origin::Default;
        inherited.filter(|_| !is_own).unwrap_or(own)
    };
    Some(match stated.over(base).err()? {
        ProfileError::Contradiction { field, value, other, limit } => {
            let what = format!("is {value}, above {}, which is {limit}", written_at(other));
            problem(config, written_at(field), what)
        }
        ProfileError::OutOfRange { field, value, least, most } => {
            let what = format!("is {value}; must be from {least} to {most}");
            problem(config, written_at(field), what)
        }
        error @ ProfileError::NamelessProvider => {
            problem(config, written_at("providers"), format!("will not do: {error}"))
        }
    })
}

/// Providers that a profile names and that have no section.
fn unknown_providers(config: &Config, at: &KeyPath, stated: &Partial) -> Vec<Problem> {
    let named = stated.providers.iter().flatten();
    let unknown = named.filter(|name| !config.providers.contains_key(*name));
    let report = |name: &String| {
        let near = nearest(name, config.providers.keys().map(String::as_str));
        let section = KeyPath::new(["providers", name]);
        let what = format!(
            "names {name:?}, which has no section [{section}]{}",
            did_you_mean(near.map(|near| format!("{near:?}")))
        );
        problem(config, at.with("providers"), what)
    };
    unknown.map(report).collect()
}
