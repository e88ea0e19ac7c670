//! `profiler check-config`: what the agent would make of its configuration.

use std::io::{self, Write};
use std::process::ExitCode;

use super::args::CheckConfig;
use super::{Failure, USAGE, print};
use crate::config::{Config, Layers};
use crate::ui::text::plain;

/// Checks the configuration, and shows it if asked to.
pub(super) fn check_config(args: &CheckConfig) -> Result<ExitCode, Failure> {
    let given = &args.configuration;
    let layers = Layers::of_process(given.config.clone(), given.set.clone());
    let config = Config::load(&layers).map_err(|problems| Failure::new(USAGE, problems))?;
    for warning in &config.warnings {
        // Standard error may be closed; the exit status is left.
        let _ = writeln!(io::stderr(), "profiler: warning: {}", plain(warning));
    }
    if args.show {
        print(&config.shown())?;
    }
    Ok(ExitCode::SUCCESS)
}
