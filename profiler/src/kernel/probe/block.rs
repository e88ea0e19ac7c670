//! Block requests.

use std::fs;

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
