//! What differs between two configurations, as lines for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::key_path::KeyPath;
use super::profiles::{CONNECTORS, PROVIDERS, SOURCES, effective};
use super::resolved::Config;
use super::section::{Effect, Section};

/// One setting whose value changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The setting.
    pub path: KeyPath,
    /// Its value so far, as TOML takes it; `None` if it was unset.
    pub before: Option<String>,
    /// Its new value.
    pub after: Option<String>,
    /// When it takes effect.
    pub effect: Effect,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        write!(f, "{}: {} -> {}", self.path, shown(&self.before), shown(&self.after))?;
        match self.effect {
            Effect::Reload => Ok(()),
            Effect::Restart => f.write_str(" (takes effect at the next start)"),
        }
    }
}

impl Config {
    /// What changes from one configuration to another, in the order of the settings' names.
    ///
    /// Values count, not where they were written: a value that equals the default is no change. The
    /// profile of a connector that one of them does not mention is its built-in one.
    #[must_use]
    pub fn changes(before: &Self, after: &Self) -> Vec<Change> {
        let names = Names::of([before, after]);
        let (old, new) = (names.values(before), names.values(after));
        let effects = effects();
        let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let change = |path: &KeyPath| {
            let value =
                |side: &BTreeMap<KeyPath, Option<String>>| side.get(path).cloned().flatten();
            let effect = effects.get(path).copied().unwrap_or(Effect::Reload);
            Change { path: path.clone(), before: value(&old), after: value(&new), effect }
        };
        paths.into_iter().map(change).filter(|change| change.before != change.after).collect()
    }
}

/// When settings without a name that the user chose take effect. Those with one do at a reload.
fn effects() -> BTreeMap<KeyPath, Effect> {
    let keys = super::keys().into_iter();
    keys.map(|key| (KeyPath::of_name(&key.full_name()), key.effect)).collect()
}

/// The names that at least one of two configurations uses.
struct Names {
    /// Connectors, with their sources.
    connectors: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    fn of(configs: [&Config; 2]) -> Self {
        let mut connectors = BTreeMap::<_, BTreeSet<_>>::new();
        for (name, connector) in configs.iter().flat_map(|config| &config.connectors) {
            let sources = connectors.entry(name.clone()).or_default();
            sources.extend(connector.sources.keys().cloned());
        }
        Self { connectors }
    }

    /// Every value of a configuration.
    fn values(&self, config: &Config) -> BTreeMap<KeyPath, Option<String>> {
        let mut values = BTreeMap::new();
        let mut add = |at: &KeyPath, section: Vec<(&str, Option<String>)>| {
            values.extend(section.into_iter().map(|(name, value)| (at.with(name), value)));
        };
        for (section, settings) in config.sections() {
            add(&KeyPath::of_name(section), settings);
        }
        for (name, provider) in &config.providers {
            add(&KeyPath::new([PROVIDERS, name]), provider.written());
        }
        for (name, sources) in &self.connectors {
            let at = KeyPath::new([CONNECTORS, name]);
            add(&at, effective(name, &config.stated(name, None)).written());
            for source in sources {
                let inner = at.with(SOURCES).with(source);
                add(&inner, effective(name, &config.stated(name, Some(source))).written());
            }
        }
        values
    }
}
