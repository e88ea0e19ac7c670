//! The agent's settings: defaults, files, environment and command line, each over the one before.
//!
//! ```text
//! defaults ◄── /etc/profiler/profiler.toml ◄── profiler.toml.d/*.toml ◄── environment ◄── --set
//! ```
//!
//! There is one definition of each setting ([`sections`], [`profiles`]): it gives the typed field,
//! the check, the name that others are held against and the documentation. What is wrong is reported
//! all at once, each with its file and line and with what would be right, and then nothing of it is
//! used: a [`Config`] that exists makes sense as a whole. With no configuration at all there is one
//! too.

mod changes;
mod checked;
mod environment;
mod key_path;
mod keys;
mod layers;
mod log_filter;
mod merged;
mod problem;
mod profiles;
mod raw;
mod resolved;
mod section;
mod sections;
mod setting;
mod shown;
mod surroundings;
mod written;

#[cfg(test)]
mod tests;

pub use changes::Change;
pub use environment::{VARIABLES, Variable};
pub use key_path::KeyPath;
pub use keys::keys;
pub use layers::Layers;
pub use log_filter::LogFilter;
pub use problem::{Origin, Problem, Problems};
pub use profiles::{Connector, Provider};
pub use resolved::Config;
pub use section::{Effect, Key};
pub use sections::{
    Attribution, Capacities, Control, General, History, Intervals, Limits, Log, LogFormat, Memory,
    Monitoring, Shutdown, Sockets, Streaming, Thresholds,
};
pub use surroundings::Surroundings;
