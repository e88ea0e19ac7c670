//! The filter of log lines, in the notation that `tracing` programs share.

use tracing_subscriber::EnvFilter;

use super::key_path::text;
use super::raw::Raw;
use super::setting::{Any, Setting};

/// A filter that can be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Setting for LogFilter {
    type Limits = Any;

    fn expected(_: &Any) -> String {
        "a level, one of \"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\", \
         or levels by module, such as \"warn,profiler::agent=debug\""
            .to_owned()
    }

    fn read(raw: &Raw, _: &Any) -> Option<Self> {
        let filter = raw.text()?;
        let parts = filter.split(',');
        let mut levels = parts.map(|part| part.rsplit('=').next().unwrap_or(part).trim());
        // A level that is misspelt would be taken for the name of a module.
        let all_known = levels.all(|level| LEVELS.contains(&level.to_ascii_lowercase().as_str()));
        (all_known && EnvFilter::try_new(filter).is_ok()).then(|| Self(filter.to_owned()))
    }

    fn written(&self) -> Option<String> {
        Some(text(&self.0))
    }
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_module() {
        let read = |text: &str| LogFilter::read(&Raw::Text(text.to_owned()), &Any);
        assert!(read("info").is_some());
        assert!(read("warn,profiler::agent=debug").is_some());
        for wrong in ["inof", "", "profiler=loud", "info,,", "=info"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
