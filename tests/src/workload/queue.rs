//! Many requests under way at once.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use io_uring::{IoUring, opcode, types};

use super::args::Args;
use super::last_words;
use crate::sys;

const BLOCK: usize = 4096;

#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// Has `--each` direct reads of one block under way at each of the `--files`, with commas between them,
/// all at once, and waits for all of them.
pub(crate) fn run(args: &Args) {
    let (each, report) = (args.get("each", 1_u32), args.report());
    let open = |path: &str| {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_DIRECT).open(path).expect("a disk")
    };
    let disks: Vec<File> = args.text("files").expect("--files").split(',').map(open).collect();
    // On one CPU, which then has to account for all disks.
    sys::pin(0);
    let mut ring = IoUring::new(each).expect("a ring");
    let mut block = Box::new(Block([0; BLOCK]));
    for disk in &disks {
        for place in 0..each {
            let length = u32::try_from(BLOCK).expect("a small block");
            let read = opcode::Read::new(types::Fd(disk.as_raw_fd()), block.0.as_mut_ptr(), length)
                .offset(u64::from(place) * u64::from(length))
                .build();
            // SAFETY: block and files live until all have completed, below; nobody reads the block.
            unsafe { ring.submission().push(&read) }.expect("room in the ring");
        }
        ring.submit().expect("submitting");
    }
    let mut completed = 0;
    while completed < disks.len() * each as usize {
        ring.submit_and_wait(1).expect("waiting");
        for done in ring.completion() {
            assert_eq!(done.result(), i32::try_from(BLOCK).expect("a small block"), "a short read");
            completed += 1;
        }
    }
    last_words(&report);
}
