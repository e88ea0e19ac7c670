//! A file system on a real disk, and what the kernel says in `/sys/block` that the disk did.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder on a file system that has a disk under it.
#[derive(Debug)]
pub struct Disk {
    /// Gone with this value.
    pub folder: TempDir,
    leaves: Vec<PathBuf>,
}

/// What a disk did since the machine started.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Done {
    pub read_ops: u64,
    pub read_merges: u64,
    pub read_bytes: u64,
    pub write_ops: u64,
    pub write_bytes: u64,
}

impl Disk {
    /// The first of the usual folders that has a disk under it, or why there is none.
    pub fn find() -> Result<Self, String> {
        let test = std::env::current_exe().expect("the path of this test");
        let beside = test.parent().expect("its folder").to_owned();
        for parent in [std::env::temp_dir(), "/var/tmp".into(), beside] {
            let Ok(data) = fs::metadata(&parent) else { continue };
            let mut leaves = Vec::new();
            let (major, minor) = (libc::major(data.dev()), libc::minor(data.dev()));
            add_leaves(Path::new(&format!("/sys/dev/block/{major}:{minor}")), &mut leaves);
            // What has no queue of requests (a ramdisk) reads no figures either.
            if leaves.is_empty() || !leaves.iter().all(|leaf| leaf.join("mq").exists()) {
                continue;
            }
            if let Ok(folder) = TempDir::with_prefix_in("profiler-test-", &parent) {
                return Ok(Self { folder, leaves });
            }
        }
        Err("no file system on a disk here".into())
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of this many MiB that is on the disk and not in memory.
    pub fn cold_file(&self, name: &str, mib: usize) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, vec![0x5a; mib << 20]).expect("a file");
        let file = File::open(&path).expect("the file");
        file.sync_all().expect("the disk");
        // SAFETY: plain numbers.
        let done =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(done, 0, "posix_fadvise");
        path
    }

    /// What the disks under the folder did so far, whoever asked for it.
    pub fn done(&self) -> Done {
        let mut all = Done::default();
        for leaf in &self.leaves {
            let done = done(leaf);
            all.read_ops += done.read_ops;
            all.read_merges += done.read_merges;
            all.read_bytes += done.read_bytes;
            all.write_ops += done.write_ops;
            all.write_bytes += done.write_bytes;
        }
        all
    }
}

impl Done {
    /// What came since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            read_ops: self.read_ops - before.read_ops,
            read_merges: self.read_merges - before.read_merges,
            read_bytes: self.read_bytes - before.read_bytes,
            write_ops: self.write_ops - before.write_ops,
            write_bytes: self.write_bytes - before.write_bytes,
        }
    }
}

/// What the device of this folder of `/sys` did so far.
pub(crate) fn done(device: &Path) -> Done {
    let text = fs::read_to_string(device.join("stat")).expect("the device's figures");
    let words: Vec<u64> =
        text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    Done {
        read_ops: words[0],
        read_merges: words[1],
        read_bytes: words[2] * 512,
        write_ops: words[4],
        write_bytes: words[6] * 512,
    }
}

/// The devices that do the work of this one: what it is stacked on, or itself.
fn add_leaves(device: &Path, leaves: &mut Vec<PathBuf>) {
    let Ok(mut device) = device.canonicalize() else { return };
    if device.join("partition").exists() {
        device.pop();
    }
    let below: Vec<_> =
        fs::read_dir(device.join("slaves")).into_iter().flatten().flatten().collect();
    if below.is_empty() && !leaves.contains(&device) {
        leaves.push(device);
    } else {
        for slave in below {
            add_leaves(&slave.path(), leaves);
        }
    }
}

/// Whether the kernel has a tracepoint for a request's start: those before 6.5 show it to functions
/// only, and may not let programs at them.
///
/// # Panics
/// If the kernel does not tell its types.
#[must_use]
pub fn is_start_traced() -> bool {
    let types = fs::read("/sys/kernel/btf/vmlinux").expect("the kernel's types");
    let name = b"btf_trace_block_io_start\0";
    types.windows(name.len()).any(|text| text == name)
}
