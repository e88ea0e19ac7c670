//! The controller on this host: real jobs through a real agent, against the best limits that do not
//! change, and beside the controllers of others on the same jobs.
//!
//! For each workload: an agent with limits set by hand, all that are worth trying in turn, in another
//! order each time; the best of them is measured again. Then an agent that sets its limits itself, told
//! a quarter of what its jobs need. Then the controllers of others, which are those of
//! [`profiler::simulate::controller`]: they see the real host and set the agent's limit by hand. Last
//! the best static limit again, so that a host that became slower meanwhile favours nobody.
//!
//! Workers always want a slot, and count what they have done themselves.

mod crew;
mod interrupt;
pub mod memory;
mod options;
mod outcome;
mod report;
mod rival;
mod server;
mod statics;
mod tally;
mod trial;
mod work;
mod workload;

use std::fs;
use std::process::ExitCode;

use interrupt::Interrupted;
use options::Options;
use outcome::Outcome;
use report::Report;
use workload::Workload;

/// What the agents know the jobs by.
const CONNECTOR: &str = "bench";

/// The least share of the best static limits' goodput.
const BAR: f64 = 0.93;

/// Runs it; exit status 1 if a bar was missed, 2 for words that it does not know, 130 if it was to end.
#[must_use]
pub fn main(words: Vec<String>) -> ExitCode {
    let options = match Options::parse(&words) {
        Ok(options) => options,
        Err(told) if told.is_help => {
            println!("{}", told.text);
            return ExitCode::SUCCESS;
        }
        Err(told) => {
            eprintln!("bench control: {}", told.text);
            return ExitCode::from(2);
        }
    };
    interrupt::watch();
    let mut report = Report::begin(&options);
    println!("{}", report.host);
    if run(&options, &mut report).is_err() {
        eprintln!("bench control: ended early");
        return ExitCode::from(130);
    }
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report).expect("figures");
        fs::write(path, json + "\n").expect("the file for the figures");
    }
    let missed = report.missed();
    println!("{} bars missed", missed.len());
    missed.iter().for_each(|bar| println!("  {bar}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(options: &Options, report: &mut Report) -> Result<(), Interrupted> {
    for name in &options.workloads {
        match Workload::prepare(name, report.host.cores) {
            Ok(workload) => {
                let outcome = Outcome::measure(&workload, options)?;
                println!("{outcome}");
                report.outcomes.push(outcome);
            }
            Err(why) => {
                println!("SKIPPED: {name}: {why}\n");
                report.skipped.push(format!("{name}: {why}"));
            }
        }
    }
    Ok(())
}
