//! The memory that our own programs and their maps hold in the kernel.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::Ebpf;
use aya::maps::Map;

use super::load::Attribution;

impl Attribution {
    /// Bytes that the programs and their maps hold in the kernel, as it says. Our own mappings of maps are
    /// part of it, the tag of each thread is not. `None` where others loaded them.
    #[must_use]
    pub const fn kernel_memory_bytes(&self) -> Option<u64> {
        self.kernel_memory_bytes
    }
}

/// What an object that was just loaded holds.
pub(super) fn held<'a>(ebpf: &'a Ebpf, programs: impl Iterator<Item = &'a OwnedFd>) -> Option<u64> {
    let maps = ebpf.maps().filter_map(|(_, map)| held_by(map));
    maps.chain(programs.map(|program| locked(program.as_fd()))).sum()
}

/// What a map holds; nothing where it is of a type that we do not have.
fn held_by(map: &Map) -> Option<Option<u64>> {
    match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::Unsupported(data) => {
            Some(locked(data.fd().as_fd()))
        }
        // Before 6.4 (`bpf_map_memory_footprint`) the kernel multiplies a map's entries by the size of
        // one, and those of a ring have none.
        Map::RingBuf(data) => {
            let length = data.info().ok()?.max_entries();
            Some(locked(data.fd().as_fd()).map(|held| held.max(length.into())))
        }
        _ => None,
    }
}

/// What the kernel charges for a map or a program (`map_mem_usage` and `prog->pages`).
fn locked(object: BorrowedFd<'_>) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}
