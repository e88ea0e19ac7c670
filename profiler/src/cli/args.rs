//! The arguments as written.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};

/// Exact cost of a command or a process, thread by thread, from the kernel's own accounting.
#[derive(Debug, Parser)]
#[command(name = "profiler", version, propagate_version = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a command and show exactly what it cost
    ///
    /// The command's input, output, signals and exit status pass through unchanged; the summary goes
    /// to standard error.
    ///
    /// Exit status: the command's own; 128 + n if signal n ended it; 127 if there is no such command;
    /// 126 if it cannot be executed; 2 if the arguments are unusable; 1 if the figures could not be
    /// written although the command succeeded.
    #[command(override_usage = "profiler run [OPTIONS] [--] COMMAND [ARGS]...")]
    Run(Run),
    /// Measure a process that runs already, and what it starts from now on
    ///
    /// Ends when the process does, after --duration, or at Ctrl-C, and then shows what was used
    /// since it began. Exit status 2 if there is no such process.
    Attach(Attach),
    /// Compare two runs, or two sets of runs, figure by figure
    ///
    /// Compares records that `--json` wrote. With sets, `--` between them, it
    /// says which figures differ by more than the runs of a set do among
    /// themselves; take at least 3 and 3 runs for that. With one run on a side
    /// it shows ratios only.
    ///
    ///   profiler diff A.json B.json
    ///   profiler diff A1.json A2.json A3.json -- B1.json B2.json B3.json
    ///
    /// Exit status 2 if a file cannot be used.
    #[command(
        verbatim_doc_comment,
        override_usage = "profiler diff [OPTIONS] A.json B.json\n       profiler diff [OPTIONS] A.json... -- B.json..."
    )]
    Diff(Diff),
    /// Show which figures this host can give, and what would give the others
    ///
    /// Exit status 0 if exact attribution is possible here, 1 if not.
    Doctor(Doctor),
    /// Try controllers on a virtual host, against the best that limits could do
    ///
    /// A plant is a host, what surrounds it and the work that wants to run on it, as a TOML file:
    /// docs/simulate.md describes each key. It runs in virtual time; the same plant and seed give the
    /// same figures. Exit status 2 if a plant cannot be used.
    Simulate(super::simulate::Simulate),
    /// Decide again what an agent decided, from what it recorded
    ///
    /// An agent records all that limits follow from in decisions.jsonl in its state directory
    /// (/var/lib/profiler), the part before it in decisions.1.jsonl. Each event is told again to the
    /// same controller, and what comes of it is compared bit for bit.
    ///
    ///   profiler replay /var/lib/profiler/decisions.jsonl
    ///
    /// Exit status: 0 if everything came out the same, 1 if not, with the first difference, 2 if a
    /// file cannot be used.
    #[command(verbatim_doc_comment)]
    Replay(Replay),
    /// Run the agent: the daemon that workers take slots from
    ///
    /// Stays in the foreground. Needs no configuration. At Ctrl-C or SIGTERM it lets no new job in,
    /// waits for those that run, takes everything off the kernel, unless told to keep it, and ends.
    /// After a crash the next agent goes on where this one ended. SIGHUP reads the configuration
    /// again.
    Agent(Agent),
    /// Take off the kernel what an agent left there
    ///
    /// Programs stop counting and their maps are freed. A running agent goes on, but nothing of it
    /// outlives its end.
    Unpin(Unpin),
    /// Check the agent's configuration, and show it
    ///
    /// Reads what the agent would read: files, environment, and --set. Says everything that is
    /// wrong, a line each, with what would be right.
    ///
    /// Exit status: 0 if it can be used, 2 if not.
    CheckConfig(CheckConfig),
    #[command(flatten)]
    Client(super::client::Command),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of `profiler replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// Recordings
    #[arg(required = true, value_name = "DECISIONS", value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
    /// Show each limit that changed, and why
    #[arg(long)]
    pub(super) decisions: bool,
}

/// Arguments of `profiler agent`.
#[derive(Debug, clap::Args)]
pub(super) struct Agent {
    #[command(flatten)]
    pub(super) configuration: Configuration,
    /// Folder of the sockets; /run/profiler for root, $XDG_RUNTIME_DIR/profiler for others
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(super) sockets: Option<PathBuf>,
    /// Go on counting after an orderly end, for an agent that starts soon
    #[arg(long)]
    pub(super) keep_on_stop: bool,
}

/// Arguments of `profiler unpin`.
#[derive(Debug, clap::Args)]
pub(super) struct Unpin {
    /// Folder of a bpffs where an agent kept its programs, if it was told another one
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(super) pins: Option<PathBuf>,
}

/// Arguments of `profiler run`.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) output: Output,
    /// Go on until everything that the command started has ended, detached daemons included
    #[arg(long)]
    pub(super) wait_all: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub(super) command: Vec<OsString>,
}

/// Arguments of `profiler attach`.
#[derive(Debug, clap::Args)]
pub(super) struct Attach {
    /// The process
    #[arg(long, value_name = "PID")]
    pub(super) pid: u32,
    /// Stop after this long: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Arguments of `profiler diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// Two records, or the first set of them
    #[arg(value_name = "A.json", value_hint = ValueHint::FilePath)]
    pub(super) a: Vec<PathBuf>,
    /// The second set
    #[arg(value_name = "B.json", last = true, value_hint = ValueHint::FilePath)]
    pub(super) b: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show figures too that are 0 or unknown in all runs
    #[arg(long)]
    pub(super) all: bool,
}

/// Arguments of `profiler doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Where the agent's settings come from.
#[derive(Debug, clap::Args)]
pub(super) struct Configuration {
    /// The configuration file [default: /etc/profiler/profiler.toml, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,
    /// Change one setting: thresholds.cpu_percent=90
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// Arguments of `profiler check-config`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckConfig {
    #[command(flatten)]
    pub(super) configuration: Configuration,
    /// Print the whole configuration, defaults included, and where each value comes from
    #[arg(long)]
    pub(super) show: bool,
}

/// What to show, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// Write the whole record, each process and thread included, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) json: Option<PathBuf>,
    /// What to print at the end
    #[arg(long, value_enum, default_value_t = Summary::Table)]
    pub(super) summary: Summary,
    /// How many processes and threads the table shows
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(super) top: usize,
    /// Show a line with elapsed time, CPUs in use and tasks while it runs
    #[arg(long, value_enum, default_value_t = Live::Auto)]
    pub(super) live: Live,
    /// Measure what the profiler's own programs take in the kernel too, and show it at the end
    ///
    /// The kernel's statistics, which are turned on for it, add 25 to 50 ns to each run of each eBPF
    /// program of the host. Without this the time is shown only where kernel.bpf_stats_enabled is on.
    #[arg(long)]
    pub(super) bpf_time: bool,
    /// Most threads to list; the others count in the total only
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(super) max_listed: usize,
    /// Most live threads to keep track of in the kernel
    #[arg(long, value_name = "N", default_value_t = crate::kernel::Capacity::AD_HOC.tasks, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(super) max_tasks: u32,
    /// Where the figures come from; ebpf fails where auto would fall back to /proc
    #[arg(long, value_enum, default_value_t = Source::Auto)]
    pub(super) source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Summary {
    /// A table on standard error
    Table,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Live {
    /// If standard error is a terminal
    Auto,
    /// Never
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// Exact where permitted, samples of /proc otherwise
    Auto,
    /// Exact, or not at all
    Ebpf,
    /// Samples of /proc
    Procfs,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit:?}; use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| "not a number; try 500ms, 10s or 5m")?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_take_the_usual_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("5 parsecs").is_err());
        assert!(duration("s").is_err());
        assert!(duration("-1s").is_err());
    }

    #[test]
    fn everything_after_the_command_is_the_commands() {
        let args = Args::try_parse_from(["profiler", "run", "ls", "--json", "x"]).unwrap();
        let Command::Run(run) = args.command else { panic!("not a run") };
        assert_eq!(run.command, ["ls", "--json", "x"]);
        assert_eq!(run.output.json, None);
    }
}
