//! What came of each stage, and the closing line.
//!
//! Promise: whatever failed or was skipped is named once more at the end, where it is seen.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::counts::Counts;

/// The stages so far.
#[derive(Default)]
pub(crate) struct Report {
    stages: Vec<Stage>,
}

struct Stage {
    name: String,
    outcome: Outcome,
    took: Duration,
}

enum Outcome {
    Passed,
    Failed,
    LeftOut(String),
    Tests(Counts),
}

impl Report {
    /// Runs a stage that either succeeds or does not.
    pub(crate) fn check(&mut self, name: &str, stage: impl FnOnce() -> Result<()>) {
        self.time(name, || match stage() {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                eprintln!("{error:#}");
                Outcome::Failed
            }
        });
    }

    /// Runs a stage that counts tests.
    pub(crate) fn tests(&mut self, name: &str, stage: impl FnOnce() -> Result<Counts>) {
        self.time(name, || match stage() {
            Ok(counts) => Outcome::Tests(counts),
            Err(error) => {
                eprintln!("{error:#}");
                Outcome::Failed
            }
        });
    }

    /// Notes a stage that this machine cannot run.
    pub(crate) fn left_out(&mut self, name: &str, why: &str) {
        self.time(name, || Outcome::LeftOut(why.to_owned()));
    }

    fn time(&mut self, name: &str, stage: impl FnOnce() -> Outcome) {
        eprintln!("\n=== {name}");
        let started = Instant::now();
        let outcome = stage();
        self.stages.push(Stage { name: name.to_owned(), outcome, took: started.elapsed() });
    }

    /// Prints the summary, and the closing line last of all.
    pub(crate) fn close(self) -> ExitCode {
        let mut total = Counts::default();
        println!("\n=== summary");
        for Stage { name, outcome, took } in &self.stages {
            let said = match outcome {
                Outcome::Passed => "ok".to_owned(),
                Outcome::Failed => {
                    total.fail(name);
                    "FAILED".to_owned()
                }
                Outcome::LeftOut(why) => format!("left out: {why}"),
                Outcome::Tests(counts) => {
                    let mut counts = counts.clone();
                    for line in counts.failures.iter_mut().chain(&mut counts.reasons) {
                        *line = format!("{name}: {line}");
                    }
                    total.add(&counts);
                    let word = if counts.failed > 0 { "FAILED" } else { "ok" };
                    format!("{word}: {}", numbers(&counts))
                }
            };
            println!("{name:<34} {:>7.1} s  {said}", took.as_secs_f64());
        }
        if !total.reasons.is_empty() {
            println!("\n!!! TESTS THAT COULD NOT RUN, AND SAY NOTHING ABOUT THE PRODUCT:");
            println!("{}", total.reasons.join("\n"));
        }
        if !total.failures.is_empty() {
            println!("\n!!! FAILED:");
            println!("{}", total.failures.join("\n"));
        }
        println!("\n{}", numbers(&total));
        if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn numbers(counts: &Counts) -> String {
    let Counts { passed, failed, skipped, .. } = counts;
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}
