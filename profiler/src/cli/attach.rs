//! `profiler attach --pid P`.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use super::args::{Attach, Summary};
use super::output::{finish, is_live, live, meter, open_json};
use super::{FAILED, Failure, USAGE};
use crate::session::{AttachError, Followed, Signals, follow};
use crate::ui::text::plain;

/// Measures a process that runs already.
pub(super) fn attach(args: &Attach) -> Result<ExitCode, Failure> {
    let json = open_json(&args.output)?;
    let mut meter = meter(&args.output)?;
    let mut signals = Signals::take()?;
    meter.attach(args.pid).map_err(|error| match error {
        AttachError::Other(..) => Failure::new(FAILED, error),
        _ => Failure::new(USAGE, error),
    })?;
    if is_live(&args.output) || args.output.summary == Summary::Table {
        announce(args);
    }
    let until = args.duration.and_then(|duration| Instant::now().checked_add(duration));
    let followed = Followed::Process { pid: args.pid, until };
    follow(followed, &mut *meter, &mut signals, live(&args.output))?;
    finish(&args.output, json.as_ref(), Vec::new(), meter.finish(), None)
}

/// Says that the measurement has begun, and what ends it: a script may wait for the line.
fn announce(args: &Attach) {
    let name = fs::read_to_string(format!("/proc/{}/comm", args.pid)).unwrap_or_default();
    let until = match args.duration {
        Some(duration) => format!("ends after {duration:?} or at Ctrl-C"),
        None => "Ctrl-C ends the measurement".to_owned(),
    };
    // Nothing depends on the line.
    let _ = writeln!(
        io::stderr(),
        "profiler: attached to {} ({}); {until}",
        args.pid,
        plain(name.trim_end_matches('\n'))
    );
}
