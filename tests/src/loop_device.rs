//! Loop devices: disks that are files.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::disk::{self, Done};

/// A loop device over a file, gone when this is dropped and nobody has it open.
#[derive(Debug)]
pub struct Loop {
    /// Its path.
    pub path: PathBuf,
    device: File,
}

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
const LOOP_CLR_FD: libc::c_ulong = 0x4c01;
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Size of the kernel's `struct loop_config`, and where `lo_flags` is in it.
const LOOP_CONFIG: usize = 304;
const LO_FLAGS: usize = 8 + 52;

impl Loop {
    /// A device over a file, to be read only.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn over(file: &Path) -> io::Result<Self> {
        let control = File::open("/dev/loop-control")?;
        let file: OwnedFd = File::open(file)?.into();
        // SAFETY: takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::open(&path)?;
        let mut config = [0_u8; LOOP_CONFIG];
        config[..4].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
        let flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
        config[LO_FLAGS..LO_FLAGS + 4].copy_from_slice(&flags.to_ne_bytes());
        // SAFETY: a `struct loop_config` of its true size, which lives past the call.
        let done =
            unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, config.as_mut_ptr()) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { path, device })
    }

    /// What the kernel says that it did, over whichever file, since the machine started.
    pub fn done(&self) -> Done {
        let name = self.path.file_name().expect("a name");
        disk::done(&Path::new("/sys/block").join(name))
    }

    /// Takes its file away; while somebody has it open, as soon as nobody has.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn detach(&self) -> io::Result<()> {
        // SAFETY: takes no argument.
        match unsafe { libc::ioctl(self.device.as_raw_fd(), LOOP_CLR_FD as _) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
