//! `profiler simulate`: plants under controllers, held against the best that limits could do.

mod report;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::ValueHint;

use super::{Failure, USAGE, print};
use crate::simulate::controller::{Kind, NAMES};
use crate::simulate::draw::{Shortage, draw};
use crate::simulate::plant::{Plant, Positive, read};
use crate::simulate::trial::{Reference, Trial};

/// Arguments of `profiler simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Simulate {
    /// The plants
    #[arg(value_name = "PLANT.toml", value_hint = ValueHint::FilePath, required_unless_present = "random")]
    plants: Vec<PathBuf>,
    /// Draw so many plants at random instead, with profiles wrong by up to four times
    #[arg(long, value_name = "N", conflicts_with = "plants", value_parser = clap::value_parser!(u16).range(1..=1000))]
    random: Option<u16>,
    /// What is short in drawn plants: cpu, network, disk, memory; the first three by default
    #[arg(long, value_name = "KIND", requires = "random", value_delimiter = ',', value_parser = Shortage::from_str)]
    kind: Vec<Shortage>,
    /// Write the drawn plants to this folder
    #[arg(long, value_name = "FOLDER", requires = "random", value_hint = ValueHint::DirPath)]
    keep: Option<PathBuf>,
    /// Who sets the limits; may be given several times
    #[arg(long, value_name = "NAME", default_value = "ours", value_parser = controller, long_help = controllers())]
    controller: Vec<Kind>,
    /// How many runs, each with random numbers of its own
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// The first seed; of drawn plants, the one that they are drawn with
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
    let plants = plants(args)?;
    for (number, plant) in plants.iter().enumerate() {
        let of = format!("{}/{} {}", number + 1, plants.len(), plant.name);
        progress.show(&format!("{of}: searching the best limits"));
        let reference = Reference::search(plant, &seeds, args.oracle);
        if args.oracle {
            progress.clear();
            print(&report::oracle(plant, &reference, args.json)?)?;
            continue;
        }
        for kind in &args.controller {
            progress.show(&format!("{of}: {kind}"));
            trials.push(Trial::run(plant, &seeds, kind, &reference));
        }
    }
    progress.clear();
    if !args.oracle {
        print(&report::trials(&trials, args.random.is_some(), args.json)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The plants that are asked for: all of them, before the first one runs.
fn plants(args: &Simulate) -> Result<Vec<Plant>, Failure> {
    let plants: Vec<Plant> = match args.random {
        Some(count) => drawn(args, u64::from(count))?,
        None => args.plants.iter().map(|file| read_plant(file)).collect::<Result<_, _>>()?,
    };
    let declared = |plant: Plant| match args.declared_times {
        Some(factor) => plant.declared_times(factor),
        None => plant,
    };
    Ok(plants.into_iter().map(declared).collect())
}

fn drawn(args: &Simulate, count: u64) -> Result<Vec<Plant>, Failure> {
    let kinds = if args.kind.is_empty() { &Shortage::USUAL[..] } else { &args.kind };
    let mut plants = Vec::new();
    if let Some(folder) = &args.keep {
        fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
    }
    for number in 0..count {
        let (plant, text) = draw(args.seed, number, kinds)?;
        if let Some(folder) = &args.keep {
            let file = folder.join(format!("{}-{number}.toml", args.seed));
            fs::write(&file, text).map_err(|error| unwritten(&file, &error))?;
        }
        plants.push(plant);
    }
    Ok(plants)
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    anyhow::anyhow!("cannot write {}: {error}", path.display()).into()
}

fn read_plant(file: &Path) -> Result<Plant, Failure> {
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
