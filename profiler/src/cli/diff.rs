//! `profiler diff`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::args::Diff;
use super::{Failure, USAGE, print};
use crate::model::diff::{Comparison, MOST_RUNS, compare};
use crate::model::record::SCHEMA;
use crate::model::units::counted;
use crate::model::{Host, Source, Usage};
use crate::ui::comparison::{Set, comparison};

/// What of a record is compared; its lists are passed over.
#[derive(Deserialize)]
struct Run {
    command: Vec<String>,
    usage: Usage,
    host: Host,
}

/// What every record has, whatever its schema.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    a: &'a [PathBuf],
    b: &'a [PathBuf],
    figures: Vec<Comparison>,
    notes: Vec<String>,
}

/// Compares two runs, or two sets of runs.
pub(super) fn diff(args: &Diff) -> Result<ExitCode, Failure> {
    let (a_files, b_files) = sets(args, env::args_os().any(|word| word == "--"))?;
    let (a, b) = (read(a_files)?, read(b_files)?);
    let figures = compare(&usages(&a), &usages(&b));
    let notes = notes(&a, &b);
    if args.json {
        let report = Report { schema: SCHEMA, a: a_files, b: b_files, figures, notes };
        print(&(serde_json::to_string(&report)? + "\n"))?;
    } else {
        let sets = [shown(&a), shown(&b)];
        print(&comparison(&sets, &figures, &notes, args.all))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The two sets: what is on each side of `--`, or else two files.
fn sets(args: &Diff, has_separator: bool) -> Result<(&[PathBuf], &[PathBuf]), Failure> {
    let usage = |reason: String| Err(Failure::new(USAGE, reason));
    if !has_separator {
        return match args.a.as_slice() {
            [a, b] => Ok((std::slice::from_ref(a), std::slice::from_ref(b))),
            files => usage(format!(
                "diff takes two records, or two sets with -- between them, not {}",
                counted(files.len() as u64, "file")
            )),
        };
    }
    for (side, set) in [("before", &args.a), ("after", &args.b)] {
        if set.is_empty() {
            return usage(format!("diff: no record {side} --"));
        }
        if set.len() > MOST_RUNS {
            return usage(format!("diff: {} records {side} --, at most {MOST_RUNS}", set.len()));
        }
    }
    Ok((&args.a, &args.b))
}

fn read(files: &[PathBuf]) -> Result<Vec<Run>, Failure> {
    files.iter().map(|file| read_one(file)).collect()
}

fn read_one(file: &Path) -> Result<Run, Failure> {
    let shown = file.display();
    let no_record = |error: &serde_json::Error| {
        let reason = format!("{shown} is not a record of `profiler run` or `attach`: {error}");
        Failure::new(USAGE, reason)
    };
    let text = fs::read(file)
        .map_err(|error| Failure::new(USAGE, format_args!("cannot read {shown}: {error}")))?;
    let Versioned { schema } = serde_json::from_slice(&text).map_err(|error| no_record(&error))?;
    if schema != SCHEMA {
        let reason = format!("{shown} has schema {schema}; this version reads schema {SCHEMA}");
        return Err(Failure::new(USAGE, reason));
    }
    serde_json::from_slice(&text).map_err(|error| no_record(&error))
}

fn usages(runs: &[Run]) -> Vec<&Usage> {
    runs.iter().map(|run| &run.usage).collect()
}

fn shown(runs: &[Run]) -> Set {
    let first = runs.first();
    let is_one = runs.iter().all(|run| Some(&run.command) == first.map(|first| &first.command));
    let command = match first.map(|run| run.command.join(" ")) {
        Some(command) if is_one && !command.is_empty() => command,
        Some(_) if is_one => "attached".to_owned(),
        _ => "different commands".to_owned(),
    };
    Set { command, runs: runs.len() }
}

/// What one should know before comparing these runs.
fn notes(a: &[Run], b: &[Run]) -> Vec<String> {
    let runs: Vec<&Run> = a.iter().chain(b).collect();
    let any = |is: fn(&Run) -> bool| runs.iter().any(|run| is(run));
    let is_sampled = |run: &Run| run.usage.source == Source::Procfs;
    let mut notes = Vec::new();
    let mut note = |applies: bool, text: &str| {
        if applies {
            notes.push(format!("Note: {text}."));
        }
    };
    let (sampled, exact) = (any(is_sampled), any(|run| run.usage.source == Source::Ebpf));
    note(sampled && exact, "exact runs and samples of /proc are mixed; samples are lower bounds");
    note(sampled && !exact, "samples of /proc are lower bounds");
    note(
        any(|run| run.usage.source == Source::Ebpf && !run.usage.lost.is_empty()),
        "some run has losses; its figures may be lower bounds",
    );
    note(any(|run| run.usage.exit_status.unwrap_or(0) != 0), "some command failed");
    let host = |run: &&Run| (run.host.hostname.clone(), run.host.kernel.clone(), run.host.cpus);
    let first = runs.first().map(host);
    note(
        runs.iter().any(|run| Some(host(run)) != first),
        "the runs are from different hosts, kernels, or numbers of CPUs",
    );
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(a: &[&str], b: &[&str]) -> Diff {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        Diff { a: paths(a), b: paths(b), json: false, all: false }
    }

    fn reason(args: &Diff, has_separator: bool) -> String {
        sets(args, has_separator).unwrap_err().reason.to_string()
    }

    #[test]
    fn two_files_are_two_sets() {
        let args = args(&["a", "b"], &[]);
        let (a, b) = sets(&args, false).unwrap();
        assert_eq!((a, b), ([PathBuf::from("a")].as_slice(), [PathBuf::from("b")].as_slice()));
    }

    #[test]
    fn a_set_that_came_out_empty_is_no_pair() {
        assert_eq!(reason(&args(&["a", "b"], &[]), true), "diff: no record after --");
        assert_eq!(reason(&args(&[], &["a", "b"]), true), "diff: no record before --");
        assert!(reason(&args(&["a"], &[]), false).contains("not 1 file"));
        assert!(reason(&args(&["a", "b", "c"], &[]), false).contains("two sets with -- between"));
    }

    #[test]
    fn a_set_has_a_limit() {
        let many = vec!["a"; MOST_RUNS + 1];
        assert_eq!(reason(&args(&["a"], &many), true), "diff: 51 records after --, at most 50");
    }

    #[test]
    fn what_is_no_record_is_refused_by_name() {
        let reason = |file: &Path| match read_one(file) {
            Err(failure) => (failure.status, failure.reason.to_string()),
            Ok(_) => panic!("a record"),
        };
        let (status, text) = reason(Path::new("/nowhere.json"));
        assert!(status == USAGE && text.starts_with("cannot read /nowhere.json: No such file"));
        let (status, text) = reason(Path::new("/dev/null"));
        assert!(status == USAGE && text.starts_with("/dev/null is not a record"), "{text}");
    }
}
