//! Disks, file systems and network interfaces.

use std::path::Path;
use std::time::Duration;

use sysinfo::{DiskRefreshKind, Disks};

use super::view::FilesystemView;

/// Bytes in a sector of the kernel's statistics, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;

/// What a disk did since the host started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockDevice {
    /// Its name: `nvme0n1`.
    pub name: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Requests to read that completed.
    pub reads: u64,
    /// Requests to write that completed.
    pub writes: u64,
    /// Time in which a request was under way.
    pub busy: Duration,
}

impl BlockDevice {
    pub(super) fn unused(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Bytes read and written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.read_bytes.saturating_add(self.written_bytes)
    }

    /// Requests completed.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.reads.saturating_add(self.writes)
    }
}

/// Whole disks that were used: no partitions, and nothing that stands for a file or for memory.
pub(super) fn block_devices() -> Vec<BlockDevice> {
    let all = procfs::diskstats().unwrap_or_default();
    let device = |disk: procfs::DiskStat| BlockDevice {
        read_bytes: disk.sectors_read.saturating_mul(SECTOR_BYTES),
        written_bytes: disk.sectors_written.saturating_mul(SECTOR_BYTES),
        reads: disk.reads,
        writes: disk.writes,
        busy: Duration::from_millis(disk.time_in_progress),
        name: disk.name,
    };
    let used = all.into_iter().filter(|disk| disk.reads + disk.writes > 0);
    used.filter(|disk| is_whole_disk(&disk.name)).map(device).collect()
}

fn is_whole_disk(name: &str) -> bool {
    let is_virtual = ["loop", "ram", "zram"].iter().any(|prefix| name.starts_with(prefix));
    // Partitions have no folder of their own there.
    !is_virtual && Path::new("/sys/block").join(name.replace('/', "!")).is_dir()
}

/// What a network interface carried since it came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name: `eth0`.
    pub name: String,
    /// Bytes that came in.
    pub received_bytes: u64,
    /// Bytes that went out.
    pub sent_bytes: u64,
}

/// Network interfaces of the namespace that we are in.
pub(super) fn interfaces() -> Vec<Interface> {
    let all = procfs::net::dev_status().unwrap_or_default();
    let mut interfaces: Vec<_> = all
        .into_values()
        .map(|it| Interface {
            name: it.name,
            received_bytes: it.recv_bytes,
            sent_bytes: it.sent_bytes,
        })
        .collect();
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    interfaces
}

/// How full file systems on disks are. Those of other hosts are left out: asking them may take as
/// long as it likes.
pub(super) fn filesystems() -> Vec<FilesystemView> {
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage());
    let Ok(disks) = disks else { return Vec::new() };
    let mut filesystems: Vec<_> = disks
        .iter()
        .map(|disk| FilesystemView {
            mounted: disk.mount_point().to_string_lossy().into_owned(),
            total_bytes: disk.total_space(),
            available_bytes: disk.available_space(),
        })
        .collect();
    filesystems.sort_by(|a, b| a.mounted.cmp(&b.mounted));
    filesystems
}
