//! The arguments as written.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Subcommand, ValueEnum, ValueHint};
use profiler_client::Request;
use profiler_client::protocol::{OnTimeout, Priority, Text};

use crate::cli::args::duration;

/// The commands that talk to an agent.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Run a command as a job of a connector: wait for a slot, run, release
    ///
    /// Input, output, signals and exit status pass through. Without an agent the command runs all the
    /// same, and that is said.
    ///
    ///   profiler exec --connector imap_mailbox --max-wait 10m -- sync-mail
    ///
    /// Exit status: the command's own; 128 + n if signal n ended it; 127 if there is no such command;
    /// 126 if it cannot be executed; 75 if no slot came free in time or the agent takes no work;
    /// 2 if the arguments are unusable.
    #[command(
        verbatim_doc_comment,
        override_usage = "profiler exec --connector NAME [OPTIONS] [--] COMMAND [ARGS]..."
    )]
    Exec(Exec),
    /// Call a method of the agent, and print what it gives as JSON
    ///
    /// Without METHOD, lists the methods. What is acquired ends with the call.
    ///
    ///   profiler call Hint '{"connector": "imap_mailbox"}'
    ///   profiler call --more org.profiler.Control.Status
    ///
    /// Exit status: 1 if the agent says no, 2 if there is no such method or parameter.
    #[command(verbatim_doc_comment)]
    Call(Call),
    /// Show the host, the agent and every connector at a glance
    Status(Live),
    /// Show how many jobs there may be, there are, and wait, and what binds
    Slots(Filtered),
    /// Show the jobs that run now
    Jobs(Filtered),
    /// Show what jobs of each connector are expected to need, and what they did
    Connectors(Filtered),
    /// Show jobs that ended, the latest first
    History(History),
    /// Say why a connector's limit is what it is, or how a live job stands
    Explain(Explain),
}

/// How something is shown.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Print JSON, as the agent gives it
    #[arg(long)]
    pub(super) json: bool,
    /// The agent's socket for operators
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(super) socket: Option<PathBuf>,
}

/// How something that changes is shown.
#[derive(Debug, clap::Args)]
pub(super) struct View {
    #[command(flatten)]
    pub(super) one: One,
    /// Show it again each second, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
}

/// Arguments of `profiler status`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Live {
    #[command(flatten)]
    pub(super) view: View,
}

/// Arguments of `profiler slots`, `jobs` and `connectors`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Filtered {
    /// Of this connector only
    connector: Option<String>,
    #[command(flatten)]
    pub(super) view: View,
}

impl Filtered {
    pub(super) fn connector(&self) -> Option<Text<'_>> {
        self.connector.as_deref().map(Text::from)
    }
}

/// Arguments of `profiler history`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct History {
    /// Of this connector only
    pub(super) connector: Option<String>,
    /// Only jobs that began within this time: 10m, 24h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    since: Option<Duration>,
    /// Most jobs to show
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) one: One,
}

impl History {
    pub(super) fn since_unix_ms(&self) -> Option<u64> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        u64::try_from(now.checked_sub(self.since?).unwrap_or_default().as_millis()).ok()
    }
}

/// Arguments of `profiler explain`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Explain {
    /// The connector
    #[arg(required_unless_present = "job", conflicts_with = "job")]
    pub(super) connector: Option<String>,
    /// Say how a live job stands instead, by the number of its lease
    #[arg(long, value_name = "LEASE")]
    pub(super) job: Option<u64>,
    #[command(flatten)]
    pub(super) one: One,
}

/// Arguments of `profiler call`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Call {
    /// The method, with or without its interface
    pub(super) method: Option<String>,
    /// Its parameters, a JSON object
    #[arg(default_value = "{}")]
    pub(super) parameters: String,
    /// Print each of several replies as it comes
    #[arg(long)]
    pub(super) more: bool,
    /// The agent's socket; otherwise the usual one for the interface
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(super) socket: Option<PathBuf>,
}

/// Arguments of `profiler exec`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Exec {
    /// The type of job
    #[arg(long, value_name = "NAME")]
    connector: String,
    /// Where its input comes from, one mailbox for instance
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// What people will know the job by; otherwise the command's name
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Who goes first when not everybody can; otherwise as the profile says
    #[arg(long, value_enum)]
    priority: Option<Class>,
    /// Memory that the job needs at most, in MB
    #[arg(long, value_name = "MB")]
    memory_mb: Option<u64>,
    /// An external service that the job uses; may be given several times
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,
    /// How long to wait for a slot: 30s, 10m; otherwise as long as it takes
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_wait: Option<Duration>,
    /// What to do when the wait is over
    #[arg(long, value_enum)]
    on_timeout: Option<WhenOver>,
    /// Show on standard error what the job used
    #[arg(long)]
    pub(super) usage: bool,
    /// Write what the job used, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) json: Option<PathBuf>,
    /// The agent's socket for workers
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(super) socket: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub(super) command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Class {
    Background,
    Normal,
    Interactive,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhenOver {
    /// Give up, with exit status 75
    Refuse,
    /// Run without a slot
    Proceed,
    /// Run without a slot, unless memory is what is short
    ProceedIfCompressible,
}

impl Exec {
    /// What to ask the agent for.
    pub(super) fn request(&self) -> Request {
        let command = self.command.first().map(|name| name.to_string_lossy().into_owned());
        let label = self.label.clone().or(command).unwrap_or_default();
        let mut request = Request::new(self.connector.as_str()).label(label);
        if let Some(source) = &self.source {
            request = request.source(source.as_str());
        }
        if let Some(class) = self.priority {
            request = request.priority(match class {
                Class::Background => Priority::Background,
                Class::Normal => Priority::Normal,
                Class::Interactive => Priority::Interactive,
            });
        }
        if let Some(memory) = self.memory_mb {
            request = request.memory_bytes(memory.saturating_mul(1_000_000));
        }
        if !self.provider.is_empty() {
            request = request.providers(self.provider.iter().map(String::as_str));
        }
        if let Some(wait) = self.max_wait {
            request = request.max_wait(wait);
        }
        if let Some(when_over) = self.on_timeout {
            request = request.on_timeout(match when_over {
                WhenOver::Refuse => OnTimeout::Refuse,
                WhenOver::Proceed => OnTimeout::Proceed,
                WhenOver::ProceedIfCompressible => OnTimeout::ProceedIfCompressible,
            });
        }
        request
    }
}
