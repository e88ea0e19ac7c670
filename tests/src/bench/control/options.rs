//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use profiler::simulate::controller::Kind;

use super::workload;

const HELP: &str = "\
Real jobs through a real agent on this host, against the best limits that do not change.

Usage: cargo xtask bench control [OPTIONS]

Options:
  --seconds N     How long each static limit is tried each time; the rest follows from it [default: 1]
  --only NAME     This workload only; may be given more than once: spin, sleep, memory, reads, requests
  --against LIST  Controllers of others, of those that `profiler simulate` knows and that look at the
                  host and at durations only [default: step,aimd,gradient2]
  --json FILE     All figures
  --keep FOLDER   The recordings of the agents that set their limits, for `profiler replay`, and why
                  their limits were what they were
  --help          This";

/// What to do.
#[derive(Debug)]
pub(super) struct Options {
    /// How long each static limit is tried.
    pub(super) trial: Duration,
    /// Which workloads.
    pub(super) workloads: Vec<&'static str>,
    /// Which controllers of others.
    pub(super) rivals: Vec<Kind>,
    /// Where all figures go.
    pub(super) json: Option<PathBuf>,
    /// Where recordings go.
    pub(super) keep: Option<PathBuf>,
}

/// What is said instead.
#[derive(Debug)]
pub(super) struct Told {
    /// The text.
    pub(super) text: String,
    /// Whether it was asked for.
    pub(super) is_help: bool,
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self { text, is_help: false }
    }
}

impl Options {
    /// Reads the words.
    ///
    /// # Errors
    /// What is wrong with them, or the help.
    pub(super) fn parse(words: &[String]) -> Result<Self, Told> {
        let mut options = Self {
            trial: Duration::from_secs(1),
            workloads: Vec::new(),
            rivals: vec![Kind::Step, Kind::Aimd, Kind::Gradient2],
            json: None,
            keep: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let known = ["--seconds", "--only", "--against", "--json", "--keep"];
            if word == "--help" || word == "-h" {
                return Err(Told { text: HELP.to_owned(), is_help: true });
            } else if !known.contains(&word.as_str()) {
                return Err(format!("{word} is not known; --help says what is").into());
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--seconds" => options.trial = seconds(value)?,
                "--only" => options.workloads.push(named(value)?),
                "--against" => options.rivals = rivals(value)?,
                "--json" => options.json = Some(value.into()),
                _ => options.keep = Some(value.into()),
            }
        }
        if options.workloads.is_empty() {
            options.workloads = workload::NAMES.to_vec();
        }
        Ok(options)
    }
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("--seconds {value}: a number from 0.1 to 600"))?;
    Ok(Duration::from_secs_f64(seconds))
}

fn named(value: &str) -> Result<&'static str, String> {
    let known = workload::NAMES.into_iter().find(|name| *name == value);
    known.ok_or_else(|| format!("--only {value}: there are {}", workload::NAMES.join(", ")))
}

fn rivals(value: &str) -> Result<Vec<Kind>, String> {
    let names = value.split(',').filter(|name| !name.is_empty());
    let kinds = names.map(|name| {
        let kind: Kind = name.parse().map_err(|error| format!("--against: {error}"))?;
        match kind {
            Kind::Ours | Kind::Static(_) => Err(format!("--against {name}: it takes part anyway")),
            Kind::RunQueue => Err(format!("--against {name}: it wants to see samples of jobs")),
            _ => Ok(kind),
        }
    });
    kinds.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Told> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_words_every_workload_runs_against_three_others() {
        let options = parse("").expect("no words");
        assert_eq!(options.workloads, workload::NAMES);
        assert_eq!(options.rivals.len(), 3);
    }

    #[test]
    fn words_that_are_not_known_are_refused_with_those_that_are() {
        for (line, said) in [
            ("--only tea", "there are spin, sleep, memory, reads, requests"),
            ("--second 3", "--second is not known"),
            ("--seconds", "needs a value"),
            ("--seconds 0", "from 0.1 to 600"),
            ("--against ours", "takes part anyway"),
            ("--against tea", "no controller is called"),
        ] {
            let told = parse(line).expect_err(line).text;
            assert!(told.contains(said), "{line}: {told}");
        }
    }
}
