//! Memory and swap, of the host or of the container that this is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::model::Bytes;

/// Memory and swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that there is.
    pub total: Bytes,
    /// What can be had without swapping.
    pub available: Bytes,
    /// All swap that there is.
    pub swap_total: Bytes,
    /// What of it holds nothing.
    pub swap_free: Bytes,
}

impl Memory {
    pub(super) fn read() -> io::Result<Self> {
        let host = parse(&fs::read_to_string("/proc/meminfo")?);
        Ok(match Limit::read(Path::new("/sys/fs/cgroup")) {
            Some(limit) => host.within(limit),
            None => host,
        })
    }

    /// The same seen from inside a container, which may use less.
    fn within(self, limit: Limit) -> Self {
        if limit.most.0 >= self.total.0 {
            return self;
        }
        // Cache can be had back, and so it is available.
        let free = limit.most.less(limit.used).plus(limit.cache);
        let available = Bytes(free.0.min(self.available.0).min(limit.most.0));
        Self { total: limit.most, available, ..self }
    }
}

fn parse(text: &str) -> Memory {
    let figure = |line: &str| -> Option<(String, Bytes)> {
        let (name, rest) = line.split_once(':')?;
        let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
        Some((name.to_owned(), Bytes(kib.saturating_mul(1024))))
    };
    let figures: BTreeMap<_, _> = text.lines().filter_map(figure).collect();
    let get = |name: &str| figures.get(name).copied().unwrap_or_default();
    Memory {
        total: get("MemTotal"),
        available: get("MemAvailable"),
        swap_total: get("SwapTotal"),
        swap_free: get("SwapFree"),
    }
}

/// What the topmost control group that can be seen may use. Outside a container it has no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    most: Bytes,
    used: Bytes,
    /// Of what is used, what the kernel would give up first.
    cache: Bytes,
}

impl Limit {
    fn read(mounted: &Path) -> Option<Self> {
        let number = |name: &str| -> Option<Bytes> {
            fs::read_to_string(mounted.join(name)).ok()?.trim().parse().ok().map(Bytes)
        };
        let stat = |file: &str, name: &str| -> Option<Bytes> {
            let text = fs::read_to_string(mounted.join(file)).ok()?;
            let of = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
            text.lines().find_map(of).map(Bytes)
        };
        if let Some(most) = number("memory.max") {
            let used = number("memory.current")?;
            let cache = stat("memory.stat", "inactive_file ").unwrap_or_default();
            return Some(Self { most, used, cache });
        }
        // In version 1 no limit is a number beyond any memory.
        let most = number("memory/memory.limit_in_bytes")?;
        let used = number("memory/memory.usage_in_bytes")?;
        let cache = stat("memory/memory.stat", "total_inactive_file ").unwrap_or_default();
        Some(Self { most, used, cache })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_hosts_figures_are_the_kernels() {
        let text = "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\nHugePages: 3\n\
                    SwapTotal: 2097152 kB\nSwapFree: 1048576 kB\n";
        let expected = Memory {
            total: Bytes(8 * GIB),
            available: Bytes(4 * GIB),
            swap_total: Bytes(2 * GIB),
            swap_free: Bytes(GIB),
        };
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn a_container_has_what_it_may_use_and_its_cache_counts_as_available() {
        let host = Memory { total: Bytes(8 * GIB), available: Bytes(4 * GIB), ..Memory::default() };
        let limit = |most, used, cache| Limit {
            most: Bytes(most * GIB),
            used: Bytes(used * GIB),
            cache: Bytes(cache * GIB),
        };
        let inside = host.within(limit(3, 2, 1));
        assert_eq!((inside.total, inside.available), (Bytes(3 * GIB), Bytes(2 * GIB)));
        // The host has less left than the container may still take.
        assert_eq!(host.within(limit(7, 1, 0)).available, Bytes(4 * GIB));
        assert_eq!(host.within(limit(3, 4, 0)).available, Bytes(0));
        assert_eq!(host.within(limit(9, 1, 0)), host);
    }

    #[test]
    fn both_versions_of_control_groups_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(Limit::read(folder.path()), None);
        write("memory/memory.limit_in_bytes", "3000\n");
        write("memory/memory.usage_in_bytes", "2000\n");
        write("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
        let expected = Limit { most: Bytes(3000), used: Bytes(2000), cache: Bytes(500) };
        assert_eq!(Limit::read(folder.path()), Some(expected));
        write("memory.max", "max\n");
        assert_eq!(Limit::read(folder.path()), Some(expected));
        write("memory.max", "1000\n");
        write("memory.current", "900\n");
        let expected = Limit { most: Bytes(1000), used: Bytes(900), cache: Bytes(0) };
        assert_eq!(Limit::read(folder.path()), Some(expected));
    }
}
