//! Holds memory of one kind for a while.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::ptr;

use super::args::Args;
use super::{last_words, sleep_us};
use crate::sys::{self, Fork};

const PAGE: usize = 4096;

/// Touches every page of `--anonymous-mib`, `--shared-mib` and `--file-mib`, has `--children` that
/// sleep `--ms` with what they inherited, holds it for `--ms` itself, gives it back, and sleeps for
/// `--after-ms`.
pub(crate) fn run(args: &Args) {
    let bytes = |name: &str| args.get(name, 0_usize) << 20;
    let (ms, after_ms) = (args.get("ms", 5_u64), args.get("after-ms", 0_u64));
    let mapped_file = file(bytes("file-mib"));
    let maps = [
        touched(bytes("anonymous-mib"), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        touched(bytes("shared-mib"), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1),
        touched(bytes("file-mib"), libc::MAP_SHARED, mapped_file.as_raw_fd()),
    ];
    let mut children = Vec::new();
    for _ in 0..args.get("children", 0) {
        match sys::fork() {
            Fork::Parent(pid) => children.push(pid),
            Fork::Child => {
                sleep_us(ms * 1000);
                sys::exit_group(0);
            }
        }
    }
    sleep_us(ms * 1000);
    for child in children {
        sys::wait(child, 0).expect("a child");
    }
    for (start, length) in maps.into_iter().filter(|(_, length)| *length > 0) {
        // SAFETY: a mapping of ours that nobody uses any more.
        unsafe { libc::munmap(start, length) };
    }
    sleep_us(after_ms * 1000);
    last_words(&args.report());
}

fn file(length: usize) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&vec![1; length]).expect("its content");
    file
}

/// Touches so much memory of its own, and keeps it.
pub(crate) fn touch(length: usize) {
    touched(length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1);
}

/// A mapping of small pages, all of which were written to.
fn touched(length: usize, flags: i32, file: i32) -> (*mut libc::c_void, usize) {
    if length == 0 {
        return (ptr::null_mut(), 0);
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address that the kernel picks.
    let start = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, file, 0) };
    assert_ne!(start, libc::MAP_FAILED, "mmap");
    // SAFETY: the mapping that was just made. Where it has no huge pages anyway it says so.
    let _ = unsafe { libc::madvise(start, length, libc::MADV_NOHUGEPAGE) };
    for at in (0..length).step_by(PAGE) {
        // SAFETY: inside the mapping.
        let place = unsafe { start.cast::<u8>().add(at) };
        // SAFETY: as above; it may be written to.
        unsafe { place.write_volatile(1) };
    }
    (start, length)
}
