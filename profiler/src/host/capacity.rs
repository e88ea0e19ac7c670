//! How many CPUs jobs may use: those that are online, less what the affinity or a quota takes away.
//!
//! What binds jobs is what binds everything here, not what binds this process alone: a unit's own
//! limits are no limits of the workers. So the affinity is that of process 1, which a container's
//! set of CPUs and a service manager's global setting show in; and the quota is that of the topmost
//! control group that can be seen, which has one only in a container.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity};

/// How many CPUs there are, and how much of them may be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// CPUs as the kernel counts them: hyper-threads.
    pub logical_cores: u32,
    /// CPUs that do not share their units; `None` where the kernel does not say.
    pub physical_cores: Option<u32>,
    /// CPUs that jobs may use; a quota gives fractions.
    pub usable_cores: f64,
}

impl Capacity {
    pub(super) fn read(online: u32) -> Self {
        let allowed = affinity().map_or(online, |allowed| allowed.min(online)).max(1);
        let usable = quota(Path::new("/sys/fs/cgroup")).unwrap_or(f64::INFINITY);
        Self {
            logical_cores: online,
            physical_cores: physical_cores(Path::new("/sys/devices/system/cpu")),
            usable_cores: f64::from(allowed).min(usable),
        }
    }
}

/// CPUs that process 1 may use, or this one where that cannot be asked.
fn affinity() -> Option<u32> {
    let set = sched_getaffinity(Some(Pid::INIT)).or_else(|_| sched_getaffinity(None)).ok()?;
    let count = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).count();
    u32::try_from(count).ok()
}

/// The quota of the topmost control group in CPUs, of either version; `None` if there is none.
fn quota(mounted: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(mounted.join(name)).ok();
    if let Some(text) = read("cpu.max") {
        let (quota, period) = text.trim().split_once(' ')?;
        return share(quota, period);
    }
    let folder = if mounted.join("cpu").is_dir() { "cpu" } else { "cpu,cpuacct" };
    let quota = read(&format!("{folder}/cpu.cfs_quota_us"))?;
    share(quota.trim(), read(&format!("{folder}/cpu.cfs_period_us"))?.trim())
}

/// `max`, or -1 in version 1, stands for no quota.
fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// Groups of hyper-threads that are online.
fn physical_cores(folder: &Path) -> Option<u32> {
    let siblings = fs::read_dir(folder).ok()?.filter_map(|cpu| {
        let list = cpu.ok()?.path().join("topology/thread_siblings_list");
        fs::read_to_string(list).ok()
    });
    let cores = siblings.collect::<BTreeSet<_>>().len();
    u32::try_from(cores).ok().filter(|cores| *cores > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_quota_is_a_number_of_cpus_in_both_versions_of_control_groups() {
        let of = |files: &[(&str, &str)]| quota(folder(files).path());
        assert_eq!(of(&[("cpu.max", "150000 100000\n")]), Some(1.5));
        assert_eq!(of(&[("cpu.max", "max 100000\n")]), None);
        let v1 =
            |quota| of(&[("cpu/cpu.cfs_quota_us", quota), ("cpu/cpu.cfs_period_us", "100000\n")]);
        assert_eq!((v1("50000\n"), v1("-1\n")), (Some(0.5), None));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn hyper_threads_of_a_core_count_once() {
        let list = |cpu| format!("cpu{cpu}/topology/thread_siblings_list");
        let files = [(list(0), "0-1\n"), (list(1), "0-1\n"), (list(2), "2\n")];
        let files = files.each_ref().map(|(name, text)| (name.as_str(), *text));
        assert_eq!(physical_cores(folder(&files).path()), Some(2));
        assert_eq!(physical_cores(folder(&[]).path()), None);
    }

    #[test]
    fn there_is_always_something_to_run_on() {
        let capacity = Capacity::read(4);
        assert!(capacity.usable_cores > 0.0 && capacity.usable_cores <= 4.0, "{capacity:?}");
    }
}
