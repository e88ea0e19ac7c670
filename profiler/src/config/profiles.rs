//! Connectors and providers: settings under names that the user chooses.

use std::collections::BTreeMap;

use super::key_path::KeyPath;
use super::merged::Merged;
use super::section::{Key, Section, section, settings};
use super::setting::{Any, Within, words};
use crate::model::profile::RANGES;
use crate::model::{Intensity, Partial, Pattern, Priority, ResourceProfile};

/// Where connectors are.
pub(super) const CONNECTORS: &str = "connectors";
/// Where a connector's sources are, inside it.
pub(super) const SOURCES: &str = "sources";
/// Where providers are.
pub(super) const PROVIDERS: &str = "providers";

words! {
    Intensity {
        "low" => Self::Low,
        "medium" => Self::Medium,
        "high" => Self::High,
        "very_high" => Self::VeryHigh,
    }
}
words! {
    Pattern {
        "sequential" => Self::Sequential,
        "random" => Self::Random,
        "network" => Self::Network,
        "mixed" => Self::Mixed,
    }
}
words! {
    Priority {
        "background" => Self::Background,
        "normal" => Self::Normal,
        "interactive" => Self::Interactive,
    }
}

/// The limits of a number of a profile.
fn range(name: &str) -> Within<f64> {
    let known = RANGES.iter().find(|(field, ..)| *field == name);
    known.map_or(Within(0.0, 0.0), |(_, least, most)| Within(*least, *most))
}

/// The same of a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranges of counts fit")]
fn whole(name: &str) -> Within<u32> {
    let Within(least, most) = range(name);
    Within(least as u32, most as u32)
}

settings! {
    Partial in "connectors.*" {
        /// How much CPU a job uses, as its author sees it.
        cpu_intensity: Option<Intensity>, Any, Reload;
        /// How much memory.
        memory_intensity: Option<Intensity>, Any, Reload;
        /// How much reading and writing.
        io_intensity: Option<Intensity>, Any, Reload;
        /// How it reads and writes.
        io_pattern: Option<Pattern>, Any, Reload;
        /// Most jobs at once. Unset, resources decide.
        max_concurrent_jobs: Option<u32>, whole("max_concurrent_jobs"), Reload;
        /// Jobs at once as long as nothing is known, and where there is no agent.
        preferred_concurrency: Option<u32>, whole("preferred_concurrency"), Reload;
        /// CPUs that a job keeps busy, until it is known from jobs that ran.
        avg_cpu_cores: Option<f64>, range("avg_cpu_cores"), Reload;
        /// Memory that a job needs, in units of 2^20 bytes, until it is known.
        avg_memory_mb: Option<f64>, range("avg_memory_mb"), Reload;
        /// How long a job takes, until it is known.
        avg_duration_seconds: Option<f64>, range("avg_duration_seconds"), Reload;
        /// Whether the limit follows what is measured. If not, it is `preferred_concurrency`.
        adaptive_concurrency: Option<bool>, Any, Reload;
        /// Share of CPU or memory in use beyond which the connector makes way for others.
        backpressure_threshold: Option<f64>, range("backpressure_threshold"), Reload;
        /// Share of the host relative to other connectors, where not all can have what they want.
        weight: Option<f64>, range("weight"), Reload;
        /// Who goes first where a request does not say.
        priority: Option<Priority>, Any, Reload;
        /// External services that every job uses, each with a section in `providers`.
        providers: Option<Vec<String>>, Any, Reload;
        /// Most memory of one job, in units of 2^20 bytes. Unset, the host's memory bounds it.
        max_memory_mb: Option<f64>, range("max_memory_mb"), Reload;
        /// Whether a job wants a GPU.
        gpu: Option<bool>, Any, Reload;
    }
}

/// What was configured of a connector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connector {
    /// What differs from its built-in profile.
    pub profile: Partial,
    /// What differs again for one source of it: a mailbox, a vault.
    pub sources: BTreeMap<String, Partial>,
}

section! {
    /// An external service with limits of its own.
    Provider in "providers.*" {
        /// Most calls at once. Few services publish one; five rarely gets a refusal.
        cap: u32, Within(1, 100_000), Reload;
        /// Most calls begun in a minute, as services publish it. Unset, only the cap counts.
        calls_per_minute: Option<f64>, Within(0.01, 10_000_000.0), Reload;
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self { cap: 5, calls_per_minute: None }
    }
}

/// Every connector that was written.
pub(super) fn connectors(written: &Merged) -> BTreeMap<String, Connector> {
    let all = KeyPath::of_name(CONNECTORS);
    let connector = |name: String| {
        let at = all.with(&name);
        let inside = at.with(SOURCES);
        let source = |source: String| {
            let profile = Partial::default().with(written, &inside.with(&source));
            (source, profile)
        };
        let sources = written.names_in(&inside).into_iter().map(source).collect();
        (name, Connector { profile: Partial::default().with(written, &at), sources })
    };
    written.names_in(&all).into_iter().map(connector).collect()
}

/// Every provider that was written.
pub(super) fn providers(written: &Merged) -> BTreeMap<String, Provider> {
    let all = KeyPath::of_name(PROVIDERS);
    let names = written.names_in(&all).into_iter();
    names
        .map(|name| {
            let provider = Provider::default().with(written, &all.with(&name));
            (name, provider)
        })
        .collect()
}

/// The settings of a source: those of a connector.
pub(super) fn source_keys() -> impl Iterator<Item = Key> {
    Partial::KEYS.iter().map(|key| Key { section: "connectors.*.sources.*", ..*key })
}

/// The values that a connector has in all, those of its built-in profile included.
pub(super) fn effective(name: &str, stated: &Partial) -> Partial {
    let base = ResourceProfile::builtin(name);
    Partial::from(&stated.over(&base).unwrap_or(base))
}
