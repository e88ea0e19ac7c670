//! Where an agent listens.

use std::env;
use std::path::PathBuf;

/// One of the sockets of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// For workers.
    Worker,
    /// For operators.
    Control,
}

impl Socket {
    /// The environment variable that names the socket instead.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Worker => "PROFILER_WORKER_SOCKET",
            Self::Control => "PROFILER_CONTROL_SOCKET",
        }
    }

    /// Its file name.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Worker => "worker.sock",
            Self::Control => "control.sock",
        }
    }

    /// Where to look for it, the first first: where the environment says, and nowhere else; or the
    /// user's own agent, then the system's.
    #[must_use]
    pub fn candidates(self) -> Vec<PathBuf> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set(self.variable()) {
            return vec![path];
        }
        let own = set("XDG_RUNTIME_DIR").map(|folder| folder.join("profiler"));
        let system = PathBuf::from("/run/profiler");
        own.into_iter().chain([system]).map(|folder| folder.join(self.file_name())).collect()
    }
}
