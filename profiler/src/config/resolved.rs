//! The configuration as it is used: every setting has its value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::key_path::KeyPath;
use super::layers::Layers;
use super::merged::Merged;
use super::problem::{Origin, Problems};
use super::profiles::{Connector, Provider, connectors, providers};
use super::section::Section;
use super::sections::{
    Attribution, Capacities, Control, General, History, Intervals, Limits, Log, Memory, Monitoring,
    Shutdown, Sockets, Streaming, Thresholds,
};
use super::surroundings::Surroundings;
use super::{checked, environment};
use crate::model::{Partial, ResourceProfile};

/// All settings. One that exists makes sense as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// What belongs to no section.
    pub general: General,
    /// Where the agent listens.
    pub sockets: Sockets,
    /// How much may be asked of the agent.
    pub limits: Limits,
    /// How much is kept in the kernel.
    pub capacities: Capacities,
    /// Reading the host's own figures.
    pub monitoring: Monitoring,
    /// Exact figures per job.
    pub attribution: Attribution,
    /// From where on the host counts as loaded.
    pub thresholds: Thresholds,
    /// What jobs may take of the host's memory.
    pub memory: Memory,
    /// Advice to workers that read large files.
    pub streaming: Streaming,
    /// How often things are done that nobody asks for.
    pub intervals: Intervals,
    /// What is kept of jobs that ended.
    pub history: History,
    /// What the agent says.
    pub log: Log,
    /// What happens when the agent ends.
    pub shutdown: Shutdown,
    /// How limits are computed and put in force.
    pub control: Control,
    /// What was configured of connectors, by name.
    pub connectors: BTreeMap<String, Connector>,
    /// External services, by name.
    pub providers: BTreeMap<String, Provider>,
    /// What is probably not meant as it is written, but no error.
    pub warnings: Vec<String>,
    written: Merged,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the places.
    pub fn load(layers: &Layers) -> Result<Self, Problems> {
        let (merged, mut problems) = layers.read();
        let mut config = Self::of(merged, &layers.surroundings);
        // What is left out as wrong may be what the rest would contradict.
        if problems.is_empty() {
            problems = checked::contradictions(&config);
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        config.warnings = environment::misspelt(&layers.environment);
        config.warnings.extend(checked::passed_over(&config));
        Ok(config)
    }

    /// What holds where nothing is configured.
    #[must_use]
    pub fn default_in(around: &Surroundings) -> Self {
        Self::of(Merged::default(), around)
    }

    fn of(written: Merged, around: &Surroundings) -> Self {
        let at = KeyPath::of_name;
        let mut limits = Limits::default().with(&written, &at("limits"));
        let mut capacities = Capacities::default().with(&written, &at("capacities"));
        checked::give_way(&written, &mut limits, &mut capacities);
        Self {
            general: General::default_in(around).with(&written, &at("")),
            sockets: Sockets::default_in(around).with(&written, &at("sockets")),
            limits,
            capacities,
            monitoring: Monitoring::default().with(&written, &at("monitoring")),
            attribution: Attribution::default().with(&written, &at("attribution")),
            thresholds: Thresholds::default().with(&written, &at("thresholds")),
            memory: Memory::default().with(&written, &at("memory")),
            streaming: Streaming::default().with(&written, &at("streaming")),
            intervals: Intervals::default().with(&written, &at("intervals")),
            history: History::default().with(&written, &at("history")),
            log: Log::default().with(&written, &at("log")),
            shutdown: Shutdown::default().with(&written, &at("shutdown")),
            control: Control::default().with(&written, &at("control")),
            connectors: connectors(&written),
            providers: providers(&written),
            warnings: Vec::new(),
            written,
        }
    }

    /// The database of the history.
    #[must_use]
    pub fn history_file(&self) -> PathBuf {
        let usual = || self.general.state_directory.join("history.db");
        self.history.file.clone().unwrap_or_else(usual)
    }

    /// What is recorded of decisions about limits.
    #[must_use]
    pub fn decisions_file(&self) -> PathBuf {
        self.general.state_directory.join("decisions.jsonl")
    }

    /// What was configured of a connector's profile, or of one source of it.
    #[must_use]
    pub fn stated(&self, connector: &str, source: Option<&str>) -> Partial {
        let Some(connector) = self.connectors.get(connector) else { return Partial::default() };
        let of_source = source.and_then(|source| connector.sources.get(source));
        of_source.map_or_else(|| connector.profile.clone(), |own| own.or(&connector.profile))
    }

    /// The profile of a connector, or of one source of it: built in, with what was configured.
    #[must_use]
    pub fn profile(&self, connector: &str, source: Option<&str>) -> ResourceProfile {
        let base = ResourceProfile::builtin(connector);
        // A configuration that was checked has none that is refused.
        self.stated(connector, source).over(&base).unwrap_or(base)
    }

    /// Where a setting was written.
    #[must_use]
    pub fn origin(&self, path: &KeyPath) -> Origin {
        self.written.origin(path)
    }

    /// Each section without names that users choose: its name and its settings.
    pub(super) fn sections(&self) -> [(&'static str, Values); 14] {
        [
            ("", self.general.written()),
            ("sockets", self.sockets.written()),
            ("limits", self.limits.written()),
            ("capacities", self.capacities.written()),
            ("monitoring", self.monitoring.written()),
            ("attribution", self.attribution.written()),
            ("thresholds", self.thresholds.written()),
            ("memory", self.memory.written()),
            ("streaming", self.streaming.written()),
            ("intervals", self.intervals.written()),
            ("history", self.history.written()),
            ("log", self.log.written()),
            ("shutdown", self.shutdown.written()),
            ("control", self.control.written()),
        ]
    }
}

/// Settings of a section by name, as TOML takes them; `None` where one is unset.
pub(super) type Values = Vec<(&'static str, Option<String>)>;
