//! What `run` and `attach` have in common: choosing the meter, and showing the result.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use anyhow::Context;

use super::args::{Live, Output, Source, Summary};
use super::own_cost::own_cost;
use super::{FAILED, Failure, USAGE};
use crate::export::json::Target;
use crate::kernel::Capacity;
use crate::model::record::SCHEMA;
use crate::model::{RunRecord, Usage};
use crate::session::{Exact, Measured, Meter, Sampled, Standing, this_host};
use crate::ui::live::LiveLine;
use crate::ui::paint::Paint;
use crate::ui::summary::{Ending, Options, summary};

/// Opens what the record goes to, before anything is measured.
pub(super) fn open_json(output: &Output) -> Result<Option<Target>, Failure> {
    let Some(path) = &output.json else { return Ok(None) };
    Target::open(path).map(Some).map_err(|error| {
        Failure::new(USAGE, format_args!("cannot write --json {}: {error}", path.display()))
    })
}

/// The meter that the user asked for, or the best that works here.
pub(super) fn meter(output: &Output) -> Result<Box<dyn Meter>, Failure> {
    if output.source == Source::Procfs {
        return Ok(Box::new(Sampled::new(output.max_listed)));
    }
    let capacity = Capacity { tasks: output.max_tasks, ..Capacity::AD_HOC };
    match Exact::new(capacity, output.max_listed) {
        Ok(exact) => Ok(Box::new(with_own_time(exact, output))),
        Err(error) if output.source == Source::Ebpf => Err(Failure::new(
            FAILED,
            format_args!("{error}; `profiler doctor` says what is missing"),
        )),
        Err(error) => {
            eprintln!("profiler: sampling /proc instead of exact figures: {error}");
            eprintln!("profiler: `profiler doctor` says what is missing and how to get it");
            Ok(Box::new(Sampled::new(output.max_listed)))
        }
    }
}

/// Turns on what the user asked to be known of our own cost, if this host permits it.
fn with_own_time(mut exact: Exact, output: &Output) -> Exact {
    if output.bpf_time
        && let Err(error) = exact.keep_own_time()
    {
        eprintln!("profiler: the time of its own programs is not known: {error}");
    }
    exact
}

/// What is called at each look: the live line, where it is wanted.
pub(super) fn live(output: &Output) -> impl FnMut(Standing) + use<> {
    let mut line = is_live(output).then(LiveLine::new);
    move |standing| {
        if let Some(line) = &mut line {
            line.show(standing);
        }
    }
}

/// Whether something is to be seen while it runs.
pub(super) fn is_live(output: &Output) -> bool {
    output.live == Live::Auto && stderr().is_terminal()
}

/// Shows and writes what was measured. Whatever cannot be written as asked is shown instead.
pub(super) fn finish(
    output: &Output,
    json: Option<&Target>,
    command: Vec<String>,
    measured: Measured,
    exit_status: Option<i32>,
) -> Result<ExitCode, Failure> {
    let Measured { usage, processes, threads, still_running, bpf_ns, conservation } = measured;
    let usage = Usage { exit_status, ..usage };
    let record = RunRecord {
        schema: SCHEMA,
        command,
        usage,
        processes,
        threads,
        host: this_host(conservation),
    };
    let written = json.map_or(Ok(()), |target| target.write(&record));
    if output.summary == Summary::Table || written.is_err() {
        let ending = Ending { still_running, own: own_cost(bpf_ns) };
        let options = Options { top: output.top, width: width(), paint: Paint::on(&stderr()) };
        // Standard error may be closed; the exit status still says how the command ended.
        let _ = stderr().write_all(summary(&record, &ending, &options).as_bytes());
    }
    let status = exit_status.and_then(|status| u8::try_from(status).ok()).unwrap_or(0);
    match written.with_context(|| format!("cannot write --json {}", shown(output))) {
        Ok(()) => Ok(ExitCode::from(status)),
        Err(reason) => Err(Failure { reason, status: if status == 0 { FAILED } else { status } }),
    }
}

fn shown(output: &Output) -> String {
    output.json.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

/// Columns of the terminal, and where there is none those of an old one. Very wide lines are hard
/// to read.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(stderr()).map(|size| usize::from(size.ws_col));
    columns.ok().filter(|columns| *columns > 0).unwrap_or(80).clamp(40, 100)
}
