//! A recording of all that a core was told and gave, and the same told again to another one.
//!
//! A recording is text, one JSON object a line: first the whole core as it stood, then each event
//! with what telling it gave, then what followed from it. Where it was ended in good order, the last
//! line is the whole core as it stood then. All numbers are written so that they are read again bit
//! for bit; what differs from what was recorded in a single bit is a difference.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::core::Core;
use super::event::{Effect, Event, Outcome};
use crate::model::Moment;

/// A line of a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It begins here.
    Begin(Box<Begin>),
    /// Something happened.
    Told(Told),
    /// Something followed from what was told since the effect before.
    Effect(Effect),
    /// The core as it stands at the end.
    End(Box<Core>),
}

/// Where a recording begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// The version of the program. Another one may decide otherwise.
    pub version: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The core as it stood.
    pub core: Core,
}

/// An event, when it was told, and what that gave; the reason if it was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Moment,
    /// What.
    pub event: Event,
    /// What it gave.
    pub gave: Result<Outcome, String>,
}

/// Why a recording was not followed to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Difference {
    /// A line is none of ours.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It does not begin with a core.
    #[error("does not begin as a recording does")]
    NoBegin,
    /// Something else came of it this time.
    #[error("recorded {recorded}, replayed {replayed}")]
    Other {
        /// What came of it when it was recorded.
        recorded: String,
        /// What came of it now.
        replayed: String,
    },
}

/// A core that is told what another one was told.
#[derive(Debug, Default)]
pub struct Replay {
    core: Option<Core>,
    pending: VecDeque<Effect>,
    /// Events told so far.
    pub told: u64,
    /// Effects that were the same.
    pub effects: u64,
    /// When the first and the latest event were told.
    pub between: Option<(Moment, Moment)>,
    /// Whether the recording was ended in good order, with all of the core the same.
    pub is_complete: bool,
}

impl Replay {
    /// Does what a line says, and gives the line. Several recordings may follow one another.
    ///
    /// # Errors
    ///
    /// The line is none of ours, or something else came of it this time.
    pub fn follow(&mut self, line: &str) -> Result<Entry, Difference> {
        let entry: Entry = serde_json::from_str(line)
            .map_err(|error| Difference::Unreadable(error.to_string()))?;
        match &entry {
            Entry::Begin(begin) => {
                self.none_pending()?;
                self.core = Some(begin.core.clone());
                self.is_complete = false;
            }
            Entry::Told(told) => {
                self.none_pending()?;
                let core = self.core.as_mut().ok_or(Difference::NoBegin)?;
                let gave = core.handle(told.at, told.event.clone());
                same(&told.gave, &gave.map_err(|error| error.to_string()))?;
                self.told += 1;
                let first = self.between.map_or(told.at, |(first, _)| first);
                self.between = Some((first, told.at));
            }
            Entry::Effect(effect) => {
                let core = self.core.as_mut().ok_or(Difference::NoBegin)?;
                if self.pending.is_empty() {
                    self.pending.extend(core.effects());
                }
                same(&Some(effect), &self.pending.pop_front().as_ref())?;
                self.effects += 1;
            }
            Entry::End(core) => {
                self.none_pending()?;
                same(core, self.core.as_ref().ok_or(Difference::NoBegin)?)?;
                self.is_complete = true;
            }
        }
        Ok(entry)
    }

    fn none_pending(&mut self) -> Result<(), Difference> {
        match self.pending.pop_front() {
            None => Ok(()),
            more => same(&None::<Effect>, &more),
        }
    }
}

/// Compares by the text that both are written as, which tells apart what differs in a bit.
fn same(recorded: &impl Serialize, replayed: &impl Serialize) -> Result<(), Difference> {
    let text = |written: Result<String, serde_json::Error>| {
        written.unwrap_or_else(|error| error.to_string())
    };
    let recorded = text(serde_json::to_string(recorded));
    let replayed = text(serde_json::to_string(replayed));
    if recorded == replayed {
        return Ok(());
    }
    Err(Difference::Other {
        recorded: from_difference(&recorded, &replayed),
        replayed: from_difference(&replayed, &recorded),
    })
}

/// What is worth showing of a text that may be long: from a little before the first difference on.
fn from_difference(text: &str, other: &str) -> String {
    const BEFORE: usize = 60;
    const SHOWN: usize = 200;
    let same = text.bytes().zip(other.bytes()).take_while(|(one, its)| one == its).count();
    let mut shown: String = text.chars().skip(same.saturating_sub(BEFORE)).take(SHOWN).collect();
    if same > BEFORE {
        shown.insert_str(0, "...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::Settings;
    use crate::lease::Request;
    use crate::model::{Bytes, HostSample, JobSample, LeaseId, ResourceProfile, RunQueue};

    /// A host on which jobs of one connector come and run, looked at four times a second, with all
    /// that the core was told and gave as lines.
    fn recorded() -> Vec<String> {
        let mut core = Core::new(Settings::default(), LeaseId(1));
        let mut lines = vec![line(&Entry::Begin(Box::new(Begin {
            version: "1".to_owned(),
            unix_ms: 0,
            core: core.clone(),
        })))];
        let mut tell = |core: &mut Core, quarter: u64, event: Event| {
            let at = Moment(quarter * 250_000_000);
            let gave = core.handle(at, event.clone()).map_err(|error| error.to_string());
            lines.push(line(&Entry::Told(Told { at, event, gave })));
            lines.extend(core.effects().map(|effect| line(&Entry::Effect(effect))));
        };
        let profile = ResourceProfile::default();
        tell(&mut core, 0, Event::Connector { profile, providers: Vec::new() });
        for quarter in 1..400 {
            let leases: Vec<LeaseId> = core.ledger().leases().map(|lease| lease.id).collect();
            let third = 1.0 / (3.0 + (quarter % 7) as f64);
            let jobs = leases.iter().map(|lease| JobSample {
                lease: *lease,
                interval: Duration::from_millis(250),
                life: Duration::from_millis(250),
                cpu: Duration::from_secs_f64(0.25 * third),
                run_queue: Some(RunQueue {
                    total: Duration::from_secs_f64(0.01 * third),
                    ..RunQueue::default()
                }),
                memory: Some(Bytes(quarter << 20)),
                ..JobSample::default()
            });
            let host = HostSample {
                interval: Duration::from_millis(250),
                cores: 4.0,
                busy: Duration::from_secs_f64(leases.len() as f64 * third * 0.25 + 0.1),
                memory_total: Bytes(16 << 30),
                memory_available: Bytes(12 << 30),
                ..HostSample::default()
            };
            let jobs = jobs.collect();
            tell(&mut core, quarter, Event::Sample { host, jobs });
            tell(&mut core, quarter, Event::Request(Request::default()));
            if let Some(lease) = leases.first().filter(|_| quarter % 5 == 0) {
                tell(&mut core, quarter, Event::Release { lease: *lease, finished: None });
            }
        }
        tell(&mut core, 400, Event::Release { lease: LeaseId(0), finished: None });
        lines.push(line(&Entry::End(Box::new(core))));
        lines
    }

    fn line(entry: &Entry) -> String {
        serde_json::to_string(entry).unwrap()
    }

    #[test]
    fn a_recording_is_followed_bit_for_bit() {
        let mut replay = Replay::default();
        for line in recorded() {
            replay.follow(&line).unwrap();
        }
        assert!(replay.is_complete && replay.told > 800 && replay.effects > 50);
    }

    #[test]
    fn what_was_changed_in_a_recording_shows_where_it_matters() {
        let mut lines = recorded();
        let sample = lines.iter().position(|line| line.contains("sample")).unwrap() + 200;
        let sample = sample + lines[sample..].iter().position(|l| l.contains("sample")).unwrap();
        let changed = lines[sample].replacen("\"cpu\":{\"secs\":0,", "\"cpu\":{\"secs\":1,", 1);
        assert_ne!(changed, lines[sample]);
        lines[sample] = changed;
        let mut replay = Replay::default();
        let found = lines.iter().find_map(|line| replay.follow(line).err()).unwrap();
        let Difference::Other { recorded, replayed } = found else { panic!("{found}") };
        assert_ne!(recorded, replayed);
    }

    #[test]
    fn what_is_no_recording_is_told_apart() {
        let follow = |line: &str| Replay::default().follow(line).unwrap_err().to_string();
        assert!(follow("{}").starts_with("cannot be read"));
        let told = Told { at: Moment(0), event: Event::Pass, gave: Ok(Outcome::Done) };
        assert_eq!(follow(&line(&Entry::Told(told))), "does not begin as a recording does");
    }
}
