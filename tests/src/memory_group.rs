//! A control group that limits memory, of whichever version the machine has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::Pid;

/// The names of a version's files.
#[derive(Debug)]
struct Files {
    usage: &'static str,
    limit: &'static str,
    no_limit: &'static str,
}

const V1: Files =
    Files { usage: "memory.usage_in_bytes", limit: "memory.limit_in_bytes", no_limit: "-1" };
const V2: Files = Files { usage: "memory.current", limit: "memory.max", no_limit: "max" };

/// A group below the root, gone with this value once it is empty.
#[derive(Debug)]
pub struct MemoryGroup {
    root: PathBuf,
    folder: PathBuf,
    files: Files,
}

impl MemoryGroup {
    /// Makes one, or says why there can be none.
    pub fn new() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
        let (root, files) = mounts.lines().find_map(usable).ok_or("no control groups of memory")?;
        let folder = root.join(format!("profiler-test-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Self { root, folder, files };
        if group.path(group.files.limit).exists() {
            Ok(group)
        } else {
            Err("control groups do not limit memory here".to_owned())
        }
    }

    /// Puts a process into it.
    pub fn take(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.path("cgroup.procs"), pid.to_string())
    }

    /// Puts a process out of it, into the root.
    pub fn release(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.root.join("cgroup.procs"), pid.to_string())
    }

    /// The processes in it.
    pub fn processes(&self) -> Vec<Pid> {
        let list = fs::read_to_string(self.path("cgroup.procs")).expect("its processes");
        list.lines().map(|pid| pid.parse().expect("a process id")).collect()
    }

    /// Lets it have no more than it has.
    pub fn close(&self) -> io::Result<()> {
        let usage = fs::read_to_string(self.path(self.files.usage))?;
        fs::write(self.path(self.files.limit), usage.trim())
    }

    /// Lets it have so many bytes, and no swap in their stead.
    pub fn limit(&self, bytes: u64) -> io::Result<()> {
        for (file, none) in [("memory.swappiness", "0"), ("memory.swap.max", "0")] {
            // Each version has one of them, if the kernel knows swap at all.
            if self.path(file).exists() {
                fs::write(self.path(file), none)?;
            }
        }
        fs::write(self.path(self.files.limit), bytes.to_string())
    }

    /// Bytes that it has.
    pub fn used(&self) -> io::Result<u64> {
        let usage = fs::read_to_string(self.path(self.files.usage))?;
        usage.trim().parse().map_err(io::Error::other)
    }

    /// Lets it have as much as it wants.
    pub fn open(&self) -> io::Result<()> {
        fs::write(self.path(self.files.limit), self.files.no_limit)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Where this line of `/proc/mounts` has control groups of memory, if it does.
fn usable(line: &str) -> Option<(PathBuf, Files)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, place, kind, options, ..] = words[..] else { return None };
    let root = Path::new(place);
    match kind {
        "cgroup" if options.split(',').any(|option| option == "memory") => Some((root.into(), V1)),
        "cgroup2" => {
            let given = fs::read_to_string(root.join("cgroup.subtree_control")).ok()?;
            given.split_whitespace().any(|name| name == "memory").then(|| (root.into(), V2))
        }
        _ => None,
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Whoever is still in it keeps it.
        let _ = self.open();
        let _ = fs::remove_dir(&self.folder);
    }
}
