//! A file system in memory that can be full, or read only.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The file system; gone with this.
#[derive(Debug)]
pub struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// Mounts one, with options such as `size=1m`. Needs root.
    pub fn mount(options: &str) -> Self {
        let disk = Self(tempfile::tempdir().expect("a folder"));
        disk.apply(0, options).expect("root may mount");
        disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Forbids writing, or allows it again.
    pub fn set_read_only(&self, read_only: bool) {
        let flags = if read_only { libc::MS_RDONLY } else { 0 };
        self.apply(libc::MS_REMOUNT | flags, "").expect("it can be changed");
    }

    /// Gives it another size, as in `size=64m`.
    pub fn resize(&self, options: &str) {
        self.apply(libc::MS_REMOUNT, options).expect("it can be changed");
    }

    fn place(&self) -> CString {
        CString::new(self.path().as_os_str().as_bytes()).expect("no NUL")
    }

    fn apply(&self, flags: libc::c_ulong, options: &str) -> io::Result<()> {
        let (place, options) = (self.place(), CString::new(options).expect("no NUL"));
        let kind = c"tmpfs".as_ptr();
        // SAFETY: four strings that live past the call.
        let done =
            unsafe { libc::mount(kind, place.as_ptr(), kind, flags, options.as_ptr().cast()) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // SAFETY: a string that lives past the call. Somebody may still have a file open there.
        unsafe { libc::umount2(self.place().as_ptr(), libc::MNT_DETACH) };
    }
}
