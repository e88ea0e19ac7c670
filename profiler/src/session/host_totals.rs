//! The host's own totals, read before and after a session.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use profiler_common::DeviceUse;

use crate::model::{Balance, Conservation, CpuAccount, DeviceAccount};

/// Bytes in a sector of the kernel's block statistics, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;
/// Major number of loop devices: what they do shows again at the device under their file.
const LOOP_MAJOR: i32 = 7;

/// Everything that the host counts, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct HostTotals {
    cpu: Vec<CpuTotal>,
    /// By major and minor number.
    devices: BTreeMap<(u32, u32), (String, DeviceUse)>,
}

#[derive(Clone, Debug)]
struct CpuTotal {
    source: String,
    resolution_ns: u64,
    ns: u64,
}

impl HostTotals {
    pub(super) fn read() -> Self {
        let cpu = [cpuacct(), cgroup(), proc_stat()].into_iter().flatten().collect();
        Self { cpu, devices: devices() }
    }

    /// What the host did from then to `now`, and what of it was measured.
    pub(super) fn conservation(
        &self,
        now: &Self,
        cpu_ns: u64,
        managed: &BTreeMap<(u32, u32), DeviceUse>,
    ) -> Conservation {
        let pairs = self.cpu.iter().zip(&now.cpu).filter(|(then, now)| then.source == now.source);
        let cpu = pairs.map(|(then, now)| CpuAccount {
            source: now.source.clone(),
            resolution_ns: now.resolution_ns,
            ns: Balance::of(cpu_ns, then.ns, now.ns),
        });
        let devices = now.devices.iter().map(|(number, (name, after))| {
            // A device that appeared meanwhile began at 0.
            let before = self.devices.get(number).map(|(_, before)| *before).unwrap_or_default();
            let managed = managed.get(number).copied().unwrap_or_default();
            account(name, &managed, &before, after)
        });
        let is_busy = |device: &DeviceAccount| device.read_ops.host + device.write_ops.host > 0;
        Conservation {
            cpu: cpu.collect(),
            devices: devices.filter(is_busy).collect(),
            disagreements: Vec::new(),
        }
        .checked()
    }
}

fn account(
    name: &str,
    managed: &DeviceUse,
    before: &DeviceUse,
    after: &DeviceUse,
) -> DeviceAccount {
    DeviceAccount {
        name: name.to_owned(),
        read_bytes: Balance::of(managed.read_bytes, before.read_bytes, after.read_bytes),
        write_bytes: Balance::of(managed.write_bytes, before.write_bytes, after.write_bytes),
        read_ops: Balance::of(managed.read_ops, before.read_ops, after.read_ops),
        write_ops: Balance::of(managed.write_ops, before.write_ops, after.write_ops),
    }
}

/// cgroup v1: the sum of what the scheduler charged every task, to the nanosecond; the same figure
/// that we add up. A task that runs is charged at each tick.
fn cpuacct() -> Option<CpuTotal> {
    let path = mounted("cgroup", Some("cpuacct"))?.join("cpuacct.usage");
    let ns = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    Some(CpuTotal { source: path.display().to_string(), resolution_ns: tick_ns(), ns })
}

/// cgroup v2: the root's total, made from the same ticks as `/proc/stat`.
fn cgroup() -> Option<CpuTotal> {
    let path = mounted("cgroup2", None)?.join("cpu.stat");
    let text = fs::read_to_string(&path).ok()?;
    let us: u64 = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()?;
    Some(CpuTotal { source: path.display().to_string(), resolution_ns: tick_ns(), ns: us * 1000 })
}

/// `/proc/stat`: whole ticks of every CPU.
fn proc_stat() -> Option<CpuTotal> {
    let path = "/proc/stat";
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, then idle and iowait, which are none, then irq and softirq.
    let busy: u64 = ticks.iter().take(3).chain(ticks.iter().skip(5).take(2)).sum();
    let ns = busy * (1_000_000_000 / rustix::param::clock_ticks_per_second());
    Some(CpuTotal { source: path.to_owned(), resolution_ns: tick_ns(), ns })
}

/// How much each CPU's share of a total can be late: a tick of the clock that `/proc` counts in.
fn tick_ns() -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    cpus * 1_000_000_000 / rustix::param::clock_ticks_per_second()
}

/// Where a file system of this type is mounted, with this option if one is asked for.
fn mounted(kind: &str, option: Option<&str>) -> Option<PathBuf> {
    let mounts = procfs::mounts().ok()?;
    let has_option = |options: &std::collections::HashMap<String, Option<String>>| {
        option.is_none_or(|option| options.contains_key(option))
    };
    let mut fitting =
        mounts.into_iter().filter(|mount| mount.fs_vfstype == kind && has_option(&mount.fs_mntops));
    fitting.next().map(|mount| PathBuf::from(mount.fs_file))
}

/// Leaf devices: whole disks, without what is stacked on others.
fn devices() -> BTreeMap<(u32, u32), (String, DeviceUse)> {
    let all = procfs::diskstats().unwrap_or_default();
    let leaves = all.into_iter().filter(|disk| disk.major != LOOP_MAJOR && is_leaf(&disk.name));
    leaves
        .map(|disk| {
            let number = (disk.major.unsigned_abs(), disk.minor.unsigned_abs());
            let total = DeviceUse {
                read_bytes: disk.sectors_read * SECTOR_BYTES,
                write_bytes: disk.sectors_written * SECTOR_BYTES,
                read_ops: disk.reads,
                write_ops: disk.writes,
            };
            (number, (disk.name, total))
        })
        .collect()
}

fn is_leaf(name: &str) -> bool {
    let folder = Path::new("/sys/block").join(name.replace('/', "!"));
    // Partitions have no folder there; stacked devices name the ones below them.
    fs::read_dir(folder.join("slaves")).is_ok_and(|mut below| below.next().is_none())
}
