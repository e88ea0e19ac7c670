//! Groups of processes under a CPU quota, and what the kernel says that the quota took.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A control group of the `cpu` controller, of either version; gone with this value.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
}

/// Where the controller is, and in which of the two shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Group {
    /// A new group without a quota, or why there can be none.
    pub fn new(name: &str) -> Result<Self, String> {
        Self::below(&root()?, name)
    }

    /// A new group in this one.
    pub fn child(&self, name: &str) -> Result<Self, String> {
        Self::below(&self.folder, name)
    }

    fn below(parent: &Path, name: &str) -> Result<Self, String> {
        let folder = parent.join(format!("profiler-test-{}-{name}", std::process::id()));
        if version(parent) == Version::Two {
            let control = parent.join("cgroup.subtree_control");
            fs::write(&control, "+cpu").map_err(|why| format!("{}: {why}", control.display()))?;
        }
        fs::create_dir(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Gives the group so much CPU time, of all CPUs together, in each 100 milliseconds.
    pub fn set_quota_ms(&self, ms: u32) {
        let us = ms * 1000;
        match version(&self.folder) {
            Version::One => self.write("cpu.cfs_quota_us", &us.to_string()),
            Version::Two => self.write("cpu.max", &format!("{us} 100000")),
        }
    }

    fn write(&self, name: &str, value: &str) {
        let path = self.folder.join(name);
        fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// A command that goes into the group first.
    pub fn command(&self, words: &[String]) -> Vec<String> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.folder.display());
        let shell = ["sh".to_owned(), "-c".to_owned(), enter, "sh".to_owned()];
        shell.into_iter().chain(words.iter().cloned()).collect()
    }

    /// Where the kernel says what the quota took.
    pub fn stat(&self) -> PathBuf {
        self.folder.join("cpu.stat")
    }

    /// For how long the group's own quota kept it off the CPUs that it wanted, added up over CPUs.
    pub fn throttled_ns(&self) -> u64 {
        throttled_ns(&fs::read_to_string(self.stat()).expect("cpu.stat"))[0]
    }
}

/// [`Group::throttled_ns`] as each of these texts of its [`Group::stat`] has it.
pub fn throttled_ns(stats: &str) -> Vec<u64> {
    let ns = |line: &str| {
        let (label, value) = line.split_once(' ')?;
        let unit_ns = match label {
            "throttled_time" => 1,
            "throttled_usec" => 1000,
            _ => return None,
        };
        Some(value.parse::<u64>().ok()? * unit_ns)
    };
    let all: Vec<u64> = stats.lines().filter_map(ns).collect();
    assert!(!all.is_empty(), "no throttled time in cpu.stat: {stats}");
    all
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may still be in it for a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.folder).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn version(folder: &Path) -> Version {
    if folder.join("cgroup.controllers").exists() { Version::Two } else { Version::One }
}

/// The folder of the controller's first group.
fn root() -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/mounts").expect("/proc/mounts");
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, folder, kind, options, ..] = words[..] else { continue };
        let folder = PathBuf::from(folder);
        let controllers = fs::read_to_string(folder.join("cgroup.controllers"));
        let has_cpu = match kind {
            "cgroup" => options.split(',').any(|option| option == "cpu"),
            "cgroup2" => controllers.is_ok_and(|all| all.split_whitespace().any(|it| it == "cpu")),
            _ => false,
        };
        if has_cpu {
            return Ok(folder);
        }
    }
    Err("the cpu controller of control groups is mounted nowhere".into())
}
