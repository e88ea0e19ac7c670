//! Disks that do nothing, of the kernel's module `null_blk`: as many and as slow as a test wants.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the module is asked for disks, once it is loaded and configfs is mounted.
const DISKS: &str = "/sys/kernel/config/nullb";

/// A disk of 64 MiB, gone with this value.
#[derive(Debug)]
pub struct NullDisk {
    /// Its device file.
    pub path: PathBuf,
    queue: PathBuf,
    folder: PathBuf,
}

impl NullDisk {
    /// Why there can be none, if so.
    ///
    /// # Errors
    /// What is missing.
    pub fn available() -> Result<(), String> {
        if Path::new(DISKS).exists() {
            return Ok(());
        }
        Err("no module null_blk is loaded, or no configfs is mounted".into())
    }

    /// A disk, on a kernel that calls it what its folder is called (6.1 and later), that takes `depth` requests at once and completes each after `completion_ns`. It merges
    /// none, and nothing holds any back.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(depth: u32, completion_ns: u64) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("null{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(DISKS).join(&name);
        fs::create_dir(&folder)?;
        let queue = Path::new("/sys/block").join(&name).join("queue");
        let disk = Self { path: Path::new("/dev").join(name), queue, folder };
        // 2: by a timer.
        let mode = if completion_ns > 0 { 2 } else { 0 };
        let settings: [(&str, u64); 6] = [
            ("size", 64),
            ("submit_queues", 1),
            ("hw_queue_depth", depth.into()),
            ("irqmode", mode),
            ("completion_nsec", completion_ns),
            ("power", 1),
        ];
        for (name, value) in settings {
            fs::write(disk.folder.join(name), value.to_string())?;
        }
        fs::write(disk.queue.join("scheduler"), "none")?;
        fs::write(disk.queue.join("nomerges"), "2")?;
        Ok(disk)
    }

    /// The file that switches its statistics on (1) and off (0).
    #[must_use]
    pub fn statistics(&self) -> PathBuf {
        self.queue.join("iostats")
    }
}

impl Drop for NullDisk {
    fn drop(&mut self) {
        // Without power it takes no requests; the folder then goes, and the disk with it.
        fs::write(self.folder.join("power"), "0").ok();
        fs::remove_dir(&self.folder).ok();
    }
}
