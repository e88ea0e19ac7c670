//! Block requests.

use std::fs;
use std::path::Path;

use super::{Group, Hook};

pub(super) const GROUP: Group = Group {
    name: "block requests",
    gives: "bytes, operations and latency at devices",
    is_required: false,
    ways: &[
        &[
            Hook::Tracepoint("block_rq_complete"),
            Hook::Tracepoint("block_rq_merge"),
            Hook::Tracepoint("block_bio_backmerge"),
            Hook::Tracepoint("block_bio_frontmerge"),
            Hook::Tracepoint("block_io_start"),
        ],
        // Before 6.5.
        &[
            Hook::Tracepoint("block_rq_complete"),
            Hook::Tracepoint("block_rq_merge"),
            Hook::Tracepoint("block_bio_backmerge"),
            Hook::Tracepoint("block_bio_frontmerge"),
            Hook::Entry("__blk_account_io_start"),
        ],
    ],
};

/// Major number of device-mapper on this host, 0 where there is none.
pub(in crate::kernel) fn device_mapper_major() -> u32 {
    let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
    let major = devices.lines().find_map(|line| line.trim().strip_suffix(" device-mapper"));
    major.and_then(|major| major.parse().ok()).unwrap_or(0)
}

/// Whether a disk with requests among these (`/sys/block`) has its statistics switched off, so that the
/// kernel keeps no begin of its requests.
pub(in crate::kernel) fn has_disk_without_statistics(disks: &Path) -> bool {
    let disks = fs::read_dir(disks).into_iter().flatten().flatten();
    disks.map(|disk| disk.path()).filter(|disk| disk.join("mq").exists()).any(|disk| {
        let statistics = fs::read_to_string(disk.join("queue/iostats"));
        statistics.is_ok_and(|on| on.trim() == "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_requests_has_statistics_unless_they_are_switched_off() {
        let disks = tempfile::tempdir().expect("a folder");
        let disk = |name: &str, has_requests: bool, statistics: &str| {
            let folder = disks.path().join(name);
            fs::create_dir_all(folder.join("queue")).expect("a disk");
            if has_requests {
                fs::create_dir_all(folder.join("mq")).expect("its queues");
            }
            fs::write(folder.join("queue/iostats"), statistics).expect("its switch");
        };
        disk("vda", true, "1\n");
        disk("zram0", false, "0\n");
        assert!(!has_disk_without_statistics(disks.path()));
        disk("nvme0n1", true, "0\n");
        assert!(has_disk_without_statistics(disks.path()));
        assert!(!has_disk_without_statistics(&disks.path().join("none")));
    }
}
