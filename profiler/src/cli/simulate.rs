//! `profiler simulate`: plants under controllers, held against the best that limits could do.

mod report;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;

use super::{Failure, USAGE, print};
use crate::simulate::controller::{Kind, NAMES};
use crate::simulate::plant::{Plant, Positive, read};
use crate::simulate::trial::{Reference, Trial};

/// Arguments of `profiler simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Simulate {
    /// The plants
    #[arg(value_name = "PLANT.toml", value_hint = ValueHint::FilePath, required = true)]
    plants: Vec<PathBuf>,
    /// Who sets the limits; may be given several times
    #[arg(long, value_name = "NAME", default_value = "plain", value_parser = controller, long_help = controllers())]
    controller: Vec<Kind>,
    /// How many runs, each with random numbers of its own
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Multiply what profiles declare by this
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    declared_times: Option<Positive>,
    /// Show the best limits for each phase instead, free and without overcommitting memory
    #[arg(long)]
    oracle: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn controllers() -> String {
    format!("Who sets the limits; may be given several times: {}", NAMES.join(", "))
}

fn controller(name: &str) -> Result<Kind, String> {
    name.parse().map_err(|error: crate::simulate::controller::Unknown| error.to_string())
}

fn factor(text: &str) -> Result<Positive, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    Positive::try_from(number)
}

/// Runs the plants.
pub(super) fn simulate(args: &Simulate) -> Result<ExitCode, Failure> {
    let seeds: Vec<u64> = (0..u64::from(args.seeds)).map(|n| args.seed.wrapping_add(n)).collect();
    let progress = Progress::new();
    let mut trials = Vec::new();
    for file in &args.plants {
        let mut plant = read_plant(file)?;
        if let Some(factor) = args.declared_times {
            plant = plant.declared_times(factor);
        }
        progress.show(&format!("{}: searching the best limits", plant.name));
        let reference = Reference::search(&plant, &seeds, args.oracle);
        if args.oracle {
            progress.clear();
            print(&report::oracle(&plant, &reference, args.json)?)?;
            continue;
        }
        for kind in &args.controller {
            progress.show(&format!("{}: {kind}", plant.name));
            trials.push(Trial::run(&plant, &seeds, kind, &reference));
        }
    }
    progress.clear();
    if !args.oracle {
        print(&report::trials(&trials, args.json)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_plant(file: &PathBuf) -> Result<Plant, Failure> {
    let shown = file.display().to_string();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::new(USAGE, format_args!("cannot read {shown}: {error}")))?;
    read(&shown, &text).map_err(|invalid| Failure::new(USAGE, invalid))
}

/// What is being done, for whoever waits at a terminal.
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() }
    }

    fn show(&self, what: &str) {
        if self.is_shown {
            let what = crate::ui::text::shortened(&crate::ui::text::plain(what), 78);
            // Standard error may be closed; progress is no result.
            let _ = write!(io::stderr(), "\r\x1b[K{what}");
        }
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
