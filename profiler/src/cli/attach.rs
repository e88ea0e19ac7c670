//! `profiler attach --pid P`.

use std::process::ExitCode;
use std::time::Instant;

use super::args::Attach;
use super::output::{finish, live, meter, open_json};
use super::{FAILED, Failure, USAGE};
use crate::session::{AttachError, Followed, Signals, follow};

/// Measures a process that runs already.
pub(super) fn attach(args: &Attach) -> Result<ExitCode, Failure> {
    let json = open_json(&args.output)?;
    let mut meter = meter(&args.output)?;
    let mut signals = Signals::take()?;
    meter.attach(args.pid).map_err(|error| match error {
        AttachError::Other(..) => Failure::new(FAILED, error),
        _ => Failure::new(USAGE, error),
    })?;
    let until = args.duration.and_then(|duration| Instant::now().checked_add(duration));
    let followed = Followed::Process { pid: args.pid, until };
    follow(followed, &mut *meter, &mut signals, live(&args.output))?;
    finish(&args.output, json.as_ref(), Vec::new(), meter.finish(), None)
}
