//! What jobs of a connector are expected to need: built in, overridden per connector and source.
//!
//! A profile that exists is valid: there is no way to one but through [`Partial::over`], which
//! names the field that is wrong.

mod builtin;
mod check;

use serde::{Deserialize, Serialize};

pub use check::{ProfileError, RANGES};

use super::terms::Priority;

/// How much of a resource a job uses, as its author sees it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Intensity {
    /// Hardly any.
    Low,
    /// Some.
    #[default]
    Medium,
    /// Much.
    High,
    /// It is what the job does.
    VeryHigh,
}

/// How a job reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// From one end of files to the other.
    Sequential,
    /// Here and there.
    Random,
    /// From and to other hosts.
    Network,
    /// A bit of all.
    #[default]
    Mixed,
}

/// What jobs of a connector are expected to need, and how many of them there may be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResourceProfile {
    /// Processor use.
    pub cpu_intensity: Intensity,
    /// Memory use.
    pub memory_intensity: Intensity,
    /// Disk or network use.
    pub io_intensity: Intensity,
    /// How it reads and writes.
    pub io_pattern: Pattern,
    /// Never more jobs than these at a time; no such cap if there is none.
    pub max_concurrent_jobs: Option<u32>,
    /// How many jobs at a time suit it while nothing is known, and where there is no agent.
    pub preferred_concurrency: u32,
    /// Cores that a job keeps busy, on average over its life.
    pub avg_cpu_cores: f64,
    /// Memory at a job's peak, in units of 2^20 bytes.
    pub avg_memory_mb: f64,
    /// How long a job takes, in seconds.
    pub avg_duration_seconds: Option<f64>,
    /// Whether what is measured may change the limit. If not, `preferred_concurrency` is the limit.
    pub adaptive_concurrency: bool,
    /// Share of a resource in use above which the connector yields to others.
    pub backpressure_threshold: f64,
    /// Share of what is scarce, relative to other connectors.
    pub weight: f64,
    /// Class of its requests.
    pub priority: Priority,
    /// External services that each job uses.
    pub providers: Vec<String>,
    /// What a single job may hold at most, in units of 2^20 bytes.
    pub max_memory_mb: Option<f64>,
    /// Whether jobs need a GPU.
    pub gpu: bool,
}

/// What somebody wants to be different in a profile; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is the one of ResourceProfile")]
pub struct Partial {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_intensity: Option<Intensity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_intensity: Option<Intensity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_intensity: Option<Intensity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_pattern: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_jobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_cpu_cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_memory_mb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_concurrency: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backpressure_threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_mb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<bool>,
}

impl Partial {
    /// A profile with these values in place of those of `base`.
    ///
    /// What is stated here wins over what `base` has: a cap below the inherited preferred
    /// concurrency lowers that too.
    ///
    /// # Errors
    ///
    /// A value that is zero, negative, not a number or huge, or two values stated here that
    /// contradict each other. The error names the field.
    pub fn over(&self, base: &ResourceProfile) -> Result<ResourceProfile, ProfileError> {
        check::check(self)?;
        Ok(self.merged(base))
    }

    /// These values, and those of `base` where there is none here: for layers of configuration. What
    /// `base` prefers or expects gives way to a lower cap or ceiling that is stated here.
    #[must_use]
    pub fn or(&self, base: &Self) -> Self {
        let cap = self.max_concurrent_jobs.unwrap_or(u32::MAX);
        let ceiling = self.max_memory_mb.unwrap_or(f64::INFINITY);
        Self {
            cpu_intensity: self.cpu_intensity.or(base.cpu_intensity),
            memory_intensity: self.memory_intensity.or(base.memory_intensity),
            io_intensity: self.io_intensity.or(base.io_intensity),
            io_pattern: self.io_pattern.or(base.io_pattern),
            max_concurrent_jobs: self.max_concurrent_jobs.or(base.max_concurrent_jobs),
            preferred_concurrency: self
                .preferred_concurrency
                .or_else(|| base.preferred_concurrency.map(|preferred| preferred.min(cap))),
            avg_cpu_cores: self.avg_cpu_cores.or(base.avg_cpu_cores),
            avg_memory_mb: self
                .avg_memory_mb
                .or_else(|| base.avg_memory_mb.map(|memory| memory.min(ceiling))),
            avg_duration_seconds: self.avg_duration_seconds.or(base.avg_duration_seconds),
            adaptive_concurrency: self.adaptive_concurrency.or(base.adaptive_concurrency),
            backpressure_threshold: self.backpressure_threshold.or(base.backpressure_threshold),
            weight: self.weight.or(base.weight),
            priority: self.priority.or(base.priority),
            providers: self.providers.clone().or_else(|| base.providers.clone()),
            max_memory_mb: self.max_memory_mb.or(base.max_memory_mb),
            gpu: self.gpu.or(base.gpu),
        }
    }

    fn merged(&self, base: &ResourceProfile) -> ResourceProfile {
        let cap = self.max_concurrent_jobs.or(base.max_concurrent_jobs);
        let preferred = self.preferred_concurrency.unwrap_or(base.preferred_concurrency);
        let ceiling = self.max_memory_mb.or(base.max_memory_mb);
        let memory = self.avg_memory_mb.unwrap_or(base.avg_memory_mb);
        ResourceProfile {
            cpu_intensity: self.cpu_intensity.unwrap_or(base.cpu_intensity),
            memory_intensity: self.memory_intensity.unwrap_or(base.memory_intensity),
            io_intensity: self.io_intensity.unwrap_or(base.io_intensity),
            io_pattern: self.io_pattern.unwrap_or(base.io_pattern),
            // Stated preference above an inherited cap: the cap stays a promise.
            preferred_concurrency: cap.map_or(preferred, |cap| preferred.min(cap)),
            max_concurrent_jobs: cap,
            avg_cpu_cores: self.avg_cpu_cores.unwrap_or(base.avg_cpu_cores),
            avg_memory_mb: ceiling.map_or(memory, |ceiling| memory.min(ceiling)),
            avg_duration_seconds: self.avg_duration_seconds.or(base.avg_duration_seconds),
            adaptive_concurrency: self.adaptive_concurrency.unwrap_or(base.adaptive_concurrency),
            backpressure_threshold: self
                .backpressure_threshold
                .unwrap_or(base.backpressure_threshold),
            weight: self.weight.unwrap_or(base.weight),
            priority: self.priority.unwrap_or(base.priority),
            providers: self.providers.clone().unwrap_or_else(|| base.providers.clone()),
            max_memory_mb: ceiling,
            gpu: self.gpu.unwrap_or(base.gpu),
        }
    }
}

impl From<&ResourceProfile> for Partial {
    /// Everything stated.
    fn from(profile: &ResourceProfile) -> Self {
        Self {
            cpu_intensity: Some(profile.cpu_intensity),
            memory_intensity: Some(profile.memory_intensity),
            io_intensity: Some(profile.io_intensity),
            io_pattern: Some(profile.io_pattern),
            max_concurrent_jobs: profile.max_concurrent_jobs,
            preferred_concurrency: Some(profile.preferred_concurrency),
            avg_cpu_cores: Some(profile.avg_cpu_cores),
            avg_memory_mb: Some(profile.avg_memory_mb),
            avg_duration_seconds: profile.avg_duration_seconds,
            adaptive_concurrency: Some(profile.adaptive_concurrency),
            backpressure_threshold: Some(profile.backpressure_threshold),
            weight: Some(profile.weight),
            priority: Some(profile.priority),
            providers: Some(profile.providers.clone()),
            max_memory_mb: profile.max_memory_mb,
            gpu: Some(profile.gpu),
        }
    }
}

impl<'de> Deserialize<'de> for ResourceProfile {
    /// Reads a [`Partial`] over the default profile, so that what is read is valid too.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let stated = Partial::deserialize(from)?;
        stated.over(&Self::default()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
