//! `profiler replay DECISIONS`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ExitCode;

use super::args;
use super::{FAILED, Failure, USAGE, print};
use crate::control::{Difference, Effect, Entry, Replay};
use crate::model::units;

pub(super) fn replay(args: &args::Replay) -> Result<ExitCode, Failure> {
    for file in &args.files {
        one(file, args.decisions)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(path: &Path, decisions: bool) -> Result<(), Failure> {
    let shown = path.display();
    let unusable =
        |what: &dyn std::fmt::Display| Failure::new(USAGE, format_args!("{shown}: {what}"));
    let file = File::open(path).map_err(|error| unusable(&error))?;
    let mut lines = BufReader::new(file).lines().zip(1..).peekable();
    let mut replay = Replay::default();
    while let Some((line, number)) = lines.next() {
        let line = line.map_err(|error| unusable(&error))?;
        match replay.follow(&line) {
            Ok(Entry::Effect(Effect::Decided(decision))) if decisions => {
                let at = replay.between.map_or(decision.at, |(first, _)| first);
                let since = units::duration(nanoseconds(decision.at.since(at)));
                let connector = decision.connector.0;
                print(&format!("{since:>9}  connector {connector}  {}\n", decision.words()))?;
            }
            Ok(_) => {}
            Err(Difference::Unreadable(_)) if number > 1 && lines.peek().is_none() => {
                // Whoever wrote it was stopped in the middle of a line.
                print(&format!("{shown}: ends within line {number}\n"))?;
            }
            Err(error @ Difference::Other { .. }) => {
                let what = format!("{shown}: line {number} comes out otherwise: {error}");
                return Err(Failure::new(FAILED, what));
            }
            Err(error) => return Err(unusable(&format_args!("line {number} {error}"))),
        }
    }
    if replay.told == 0 {
        return Err(unusable(&"nothing is recorded"));
    }
    print(&format!("{shown}: {}\n", summary(&replay)))?;
    Ok(())
}

fn summary(replay: &Replay) -> String {
    let (first, last) = replay.between.unwrap_or_default();
    let time = units::duration(nanoseconds(last.since(first)));
    let events = units::counted(replay.told, "event");
    let effects = units::counted(replay.effects, "effect");
    let state = if replay.is_complete {
        "and all of the controller's state at the end"
    } else {
        "up to where the recording stops"
    };
    format!("{events} over {time} and their {effects} are the same, {state}")
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
