//! Block requests.

use std::fs;
use std::path::{Path, PathBuf};

use profiler_common::block::REQUESTS_BITS;

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
    with_requests(disks).any(|disk| {
        let statistics = fs::read_to_string(disk.join("queue/iostats"));
        statistics.is_ok_and(|on| on.trim() == "0")
    })
}

/// Binary logarithm of how many places there are to be for requests: two for each one that these disks
/// (`/sys/block`) have.
pub(in crate::kernel) fn requests_bits(disks: &Path) -> u32 {
    // What stacked ones are asked shows again at the disk under them.
    let is_stacked = |disk: &PathBuf| {
        let name = disk.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("loop") || name.starts_with("dm-")
    };
    let requests = with_requests(disks).filter(|disk| !is_stacked(disk)).map(|disk| {
        let in_queue = fs::read_to_string(disk.join("queue/nr_requests"));
        let in_queue: u32 =
            in_queue.ok().and_then(|number| number.trim().parse().ok()).unwrap_or(0);
        let queues = fs::read_dir(disk.join("mq")).into_iter().flatten().count();
        in_queue.saturating_mul(queues as u32)
    });
    let places = requests.fold(0_u32, u32::saturating_add).saturating_mul(2);
    let bits = u32::BITS - places.saturating_sub(1).leading_zeros();
    bits.clamp(*REQUESTS_BITS.start(), *REQUESTS_BITS.end())
}

/// Those of these disks that have requests; others pass on what they are asked to do.
fn with_requests(disks: &Path) -> impl Iterator<Item = PathBuf> {
    let disks = fs::read_dir(disks).into_iter().flatten().flatten().map(|disk| disk.path());
    disks.filter(|disk| disk.join("mq").exists())
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

    #[test]
    fn there_are_two_places_for_each_request_that_disks_have() {
        let disks = tempfile::tempdir().expect("a folder");
        let disk = |name: &str, requests: &str, queues: u32| {
            let folder = disks.path().join(name);
            fs::create_dir_all(folder.join("queue")).expect("a disk");
            fs::write(folder.join("queue/nr_requests"), requests).expect("its requests");
            (0..queues).for_each(|queue| {
                fs::create_dir_all(folder.join(format!("mq/{queue}"))).expect("a queue");
            });
        };
        assert_eq!(requests_bits(disks.path()), 9, "disks may come later");
        disk("loop0", "1023\n", 64);
        disk("vda", "256\n", 1);
        assert_eq!(requests_bits(disks.path()), 9);
        disk("vdb", "256\n", 2);
        assert_eq!(requests_bits(disks.path()), 11);
        disk("nvme0n1", "1023\n", 64);
        assert_eq!(requests_bits(disks.path()), 13, "only so many are under way at once");
        disk("nvme1n1", "4294967295", 2);
        assert_eq!(requests_bits(disks.path()), 13);
    }
}
