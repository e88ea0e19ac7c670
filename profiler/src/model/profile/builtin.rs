//! The profiles that need no configuration.

use super::{Intensity, Pattern, ResourceProfile};
use crate::model::terms::Priority;

impl Default for ResourceProfile {
    /// For a connector of which nothing is known.
    fn default() -> Self {
        Self {
            cpu_intensity: Intensity::Medium,
            memory_intensity: Intensity::Medium,
            io_intensity: Intensity::Medium,
            io_pattern: Pattern::Mixed,
            max_concurrent_jobs: None,
            preferred_concurrency: 2,
            avg_cpu_cores: 0.5,
            avg_memory_mb: 256.0,
            avg_duration_seconds: None,
            adaptive_concurrency: true,
            backpressure_threshold: 0.8,
            weight: 1.0,
            priority: Priority::Normal,
            providers: Vec::new(),
            max_memory_mb: None,
            gpu: false,
        }
    }
}

impl ResourceProfile {
    /// The connectors with a profile of their own; any other gets the default one.
    pub const BUILTIN: [&'static str; 4] =
        ["local_files", "obsidian_vault", "imap_mailbox", "github_repository"];

    /// The profile of a connector before any configuration.
    #[must_use]
    pub fn builtin(connector: &str) -> Self {
        use Intensity::{High, Low, Medium};
        let measured = |cores, mb, cap| Self {
            avg_cpu_cores: cores,
            avg_memory_mb: mb,
            max_concurrent_jobs: Some(cap),
            // Half of the cap: room to learn in both directions.
            preferred_concurrency: u32::div_ceil(cap, 2),
            ..Self::default()
        };
        let kinds = |cpu, memory, io, pattern, profile| Self {
            cpu_intensity: cpu,
            memory_intensity: memory,
            io_intensity: io,
            io_pattern: pattern,
            ..profile
        };
        match connector {
            "local_files" => kinds(Medium, Low, High, Pattern::Sequential, measured(0.3, 128.0, 4)),
            "obsidian_vault" => {
                kinds(Medium, Medium, Medium, Pattern::Sequential, measured(0.4, 256.0, 3))
            }
            "imap_mailbox" => kinds(Low, Medium, High, Pattern::Network, measured(0.2, 384.0, 2)),
            "github_repository" => {
                kinds(Low, Medium, High, Pattern::Network, measured(0.3, 512.0, 2))
            }
            _ => Self::default(),
        }
    }
}
