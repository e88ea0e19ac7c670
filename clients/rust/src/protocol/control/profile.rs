//! What jobs of a connector are expected to need, and how that is changed.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::{Priority, Text};

/// How much of something jobs need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intensity {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as there is.
    VeryHigh,
}

/// How jobs read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// From begin to end.
    Sequential,
    /// Here and there.
    Random,
    /// Over the network.
    Network,
    /// All of it.
    Mixed,
}

/// What jobs of a connector are expected to need, and how many of them there may be. `None` in a
/// change leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// Need of CPU.
    pub cpu_intensity: Option<Intensity>,
    /// Need of memory.
    pub memory_intensity: Option<Intensity>,
    /// Need of storage or network.
    pub io_intensity: Option<Intensity>,
    /// How they read and write.
    pub io_pattern: Option<Pattern>,
    /// Never more than so many at once.
    pub max_concurrent_jobs: Option<u32>,
    /// So many at once while nothing is known, and where no agent is there.
    pub preferred_concurrency: Option<u32>,
    /// CPUs that one uses.
    pub avg_cpu_cores: Option<f64>,
    /// Memory that one uses, in MB.
    pub avg_memory_mb: Option<f64>,
    /// How long one takes.
    pub avg_duration_seconds: Option<f64>,
    /// Whether the limit follows conditions.
    pub adaptive_concurrency: Option<bool>,
    /// Share of the host's capacity above which others go first.
    pub backpressure_threshold: Option<f64>,
    /// Share among connectors.
    pub weight: Option<f64>,
    /// The class of requests that name none.
    pub priority: Option<Priority>,
    /// External services that every job uses.
    pub providers: Option<Vec<String>>,
    /// Most memory that one may use, in MB.
    pub max_memory_mb: Option<f64>,
    /// Whether they need a GPU.
    pub gpu: Option<bool>,
}

impl Profile {
    /// The names of all values.
    pub const FIELDS: [&'static str; 16] = [
        "cpu_intensity",
        "memory_intensity",
        "io_intensity",
        "io_pattern",
        "max_concurrent_jobs",
        "preferred_concurrency",
        "avg_cpu_cores",
        "avg_memory_mb",
        "avg_duration_seconds",
        "adaptive_concurrency",
        "backpressure_threshold",
        "weight",
        "priority",
        "providers",
        "max_memory_mb",
        "gpu",
    ];
}

/// Changes what the profile of a connector says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetProfile<'a> {
    /// The type of job.
    #[serde(borrow)]
    pub connector: Text<'a>,
    /// Only where the input comes from here.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text<'a>>,
    /// What to change.
    #[serde(deserialize_with = "known_values_only")]
    pub profile: Profile,
}

/// The profile after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedProfile {
    /// As it is now, whole.
    pub profile: Profile,
}

/// A client ignores values that a later agent may have; in a change they are mistakes.
fn known_values_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Profile, D::Error> {
    let values = Map::<String, Value>::deserialize(deserializer)?;
    if let Some(unknown) = values.keys().find(|key| !Profile::FIELDS.contains(&key.as_str())) {
        return Err(D::Error::custom(format_args!("unknown field `{unknown}` of a profile")));
    }
    Profile::deserialize(Value::Object(values)).map_err(D::Error::custom)
}
