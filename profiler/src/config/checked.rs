//! Whether values that each make sense also make sense together.

use super::key_path::KeyPath;
use super::problem::{Origin, Problem, did_you_mean, nearest};
use super::profiles::{CONNECTORS, Connector, SOURCES};
use super::resolved::Config;
use super::section::Section;
use crate::model::{Partial, ProfileError, ResourceProfile};

/// What contradicts itself.
pub(super) fn contradictions(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let sockets = &config.sockets;
    if sockets.worker == sockets.control {
        let what = "is the same path as sockets.worker; each needs its own".to_owned();
        problems.push(problem(config, KeyPath::of_name("sockets.control"), what));
    }
    let limits = &config.limits;
    let counts = [
        (
            ("limits.connections_per_user", limits.connections_per_user),
            ("limits.connections", limits.connections),
        ),
        (
            ("capacities.jobs", config.capacities.jobs),
            ("capacities.tasks", config.capacities.tasks),
        ),
    ];
    problems.extend(counts.into_iter().filter_map(|(low, high)| not_above(config, low, high)));
    let configured = config.connectors.len();
    if u32::try_from(configured).is_ok_and(|count| count > config.capacities.connectors) {
        let what = format!(
            "is {}, but {configured} connectors are configured",
            config.capacities.connectors
        );
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

/// Two counts of which the first must not exceed the second. If only one of them was written, the
/// other is a default, which gives way.
fn not_above(config: &Config, low: (&str, u32), high: (&str, u32)) -> Option<Problem> {
    let path = KeyPath::of_name(low.0);
    let is_written = |path: &KeyPath| config.origin(path) != Origin::Default;
    let both = is_written(&path) && is_written(&KeyPath::of_name(high.0));
    let what = format!("is {}, above {}, which is {}", low.1, high.0, high.1);
    (both && low.1 > high.1).then(|| problem(config, path, what))
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
