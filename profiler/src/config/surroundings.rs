//! What the defaults depend on: who runs the agent, and where the service manager wants its files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Places that are right for whoever runs this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The configuration file that is read where none is named.
    pub file: PathBuf,
    /// Where sockets are.
    pub runtime_directory: PathBuf,
    /// Where the history is.
    pub state_directory: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let is_root = rustix::process::geteuid().is_root();
        Self::of(is_root, rustix::process::geteuid().as_raw(), |name| std::env::var_os(name))
    }

    /// Those of a user with these environment variables. Relative paths among them do not count,
    /// as the XDG base directory specification asks.
    pub fn of(is_root: bool, uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name: &str| {
            // The service manager may give several, separated by colons; the first is the main one.
            let text = variable(name)?.into_string().ok()?;
            let first = PathBuf::from(text.split(':').next()?);
            first.is_absolute().then_some(first)
        };
        let given = |name: &str, otherwise: PathBuf| folder(name).unwrap_or(otherwise);
        if is_root {
            return Self {
                file: PathBuf::from("/etc/profiler/profiler.toml"),
                runtime_directory: given("RUNTIME_DIRECTORY", PathBuf::from("/run/profiler")),
                state_directory: given("STATE_DIRECTORY", PathBuf::from("/var/lib/profiler")),
            };
        }
        let own = Path::new("/tmp").join(format!("profiler-{uid}"));
        let home = |variable: &str, inside_home: &str| {
            let base = folder(variable).or_else(|| Some(folder("HOME")?.join(inside_home)));
            base.map_or_else(|| own.clone(), |base| base.join("profiler"))
        };
        let runtime = folder("XDG_RUNTIME_DIR").map(|base| base.join("profiler"));
        Self {
            file: home("XDG_CONFIG_HOME", ".config").join("profiler.toml"),
            runtime_directory: given("RUNTIME_DIRECTORY", runtime.unwrap_or_else(|| own.clone())),
            state_directory: given("STATE_DIRECTORY", home("XDG_STATE_HOME", ".local/state")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(is_root: bool, variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::of(is_root, 1000, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn root_uses_the_places_of_the_system() {
        let places = around(true, &[("XDG_RUNTIME_DIR", "/run/user/0"), ("HOME", "/root")]);
        assert_eq!(places.file, Path::new("/etc/profiler/profiler.toml"));
        assert_eq!(places.runtime_directory, Path::new("/run/profiler"));
        assert_eq!(places.state_directory, Path::new("/var/lib/profiler"));
    }

    #[test]
    fn a_user_uses_places_of_their_own() {
        let places = around(false, &[("XDG_RUNTIME_DIR", "/run/user/1000"), ("HOME", "/home/u")]);
        assert_eq!(places.file, Path::new("/home/u/.config/profiler/profiler.toml"));
        assert_eq!(places.runtime_directory, Path::new("/run/user/1000/profiler"));
        assert_eq!(places.state_directory, Path::new("/home/u/.local/state/profiler"));
        assert_eq!(around(false, &[]).runtime_directory, Path::new("/tmp/profiler-1000"));
    }

    #[test]
    fn the_service_manager_goes_first_and_relative_paths_do_not_count() {
        let given = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("RUNTIME_DIRECTORY", "run")];
        let places = around(true, &given);
        assert_eq!(places.state_directory, Path::new("/var/lib/a"));
        assert_eq!(places.runtime_directory, Path::new("/run/profiler"));
    }
}
