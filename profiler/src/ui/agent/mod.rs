//! What an agent tells, as people read it. Names come from workers, and are made harmless.

mod connectors;
mod jobs;
mod status;
#[cfg(test)]
mod tests;
mod usage;

use profiler_client::protocol::{Constraint, Waiting};

pub use connectors::{connectors, explained, explained_job, slots};
pub use jobs::{history, jobs};
pub use status::status;
pub use usage::usage;

use super::text::{plain, shortened};
use crate::model::units;

/// Columns for a name.
const NAME: usize = 24;

/// Columns for a label.
const LABEL: usize = 32;

/// A place in the queue: `place 3, short of memory, about 12 s`.
#[must_use]
pub fn waiting(waiting: &Waiting) -> String {
    let place = format!("waits for a slot, place {}", waiting.position);
    let about = waiting.estimate_ms.map(|ms| format!(", about {}", duration_ms(ms)));
    format!("{place} ({}){}", binding(waiting.constraint), about.unwrap_or_default())
}

/// What binds, in words.
const fn binding(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::Cap => "cap of the profile",
        Constraint::Cpu => "CPU",
        Constraint::Memory => "memory",
        Constraint::Disk => "disk",
        Constraint::Network => "network",
        Constraint::Gpu => "GPU",
        Constraint::Provider => "provider",
        Constraint::Floor => "at least one",
        Constraint::Queue => "others are first",
        Constraint::Drained => "drained",
        Constraint::Override => "set by hand",
    }
}

fn name(text: &str) -> String {
    shortened(&plain(text), NAME)
}

fn label(text: Option<&str>) -> String {
    text.map(|text| shortened(&plain(text), LABEL)).unwrap_or_default()
}

fn duration_ms(milliseconds: u64) -> String {
    match milliseconds {
        0 => "0 s".to_owned(),
        _ => units::duration(milliseconds.saturating_mul(1_000_000)),
    }
}

fn seconds(seconds: f64) -> String {
    units::duration(
        std::time::Duration::try_from_secs_f64(seconds)
            .map_or(0, |duration| duration.as_nanos().try_into().unwrap_or(u64::MAX)),
    )
}

/// What is unknown shows as a dash.
fn or_dash<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), shown)
}

fn cores(cores: f64) -> String {
    format!("{cores:.2}")
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of figures that fit; the cast keeps what is out of range at the limit"
)]
fn mean_bytes(mean: f64) -> String {
    units::bytes(mean as u64)
}
