//! `files --how WAY --file FILE --mib N`: the ways in which a program's bytes get to a disk and
//! back. It says how many bytes it moved itself, and how many its own start read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::ptr;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::args::Args;
use super::{last_words, note, sleep_us};
use crate::truth::{Figures, Report};
use crate::{counted, sys};

/// What is moved by one call.
const BLOCK: usize = 256 * 1024;
const PAGE: usize = 4096;

/// Memory that direct I/O takes, for as long as the program lives.
fn pages(length: usize) -> &'static mut [u8] {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: a new mapping, at a place of the kernel's choice.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    // SAFETY: `length` bytes that are ours alone and are never unmapped.
    unsafe { std::slice::from_raw_parts_mut(at.cast(), length) }
}

pub(crate) fn run(args: &Args) {
    let (length, report) = (args.get("mib", 4_usize) << 20, args.report());
    let path = PathBuf::from(args.text("file").expect("--file"));
    let other = PathBuf::from(args.text("to").unwrap_or_default());
    let create = || File::create_new(&path).expect("a new file");
    let open = || File::open(&path).expect("the file");
    let direct = |write: bool| {
        let mut options = OpenOptions::new();
        options.read(!write).write(write).custom_flags(libc::O_DIRECT);
        options.open(&path).expect("the file, past the cache")
    };
    note_start(&report);
    let mut block = vec![7_u8; BLOCK];
    let blocks = length / BLOCK;
    let write = |mut file: &File| {
        for _ in 0..blocks {
            file.write_all(&block).expect("a block");
        }
    };
    match args.text("how").expect("--how") {
        "buffered" => write(&create()),
        "fsync" => {
            let file = create();
            write(&file);
            file.sync_all().expect("the disk");
        }
        // The kernel hands the work of this call to a thread of its own.
        "syncfs" => {
            let file = create();
            write(&file);
            // SAFETY: a plain number.
            let done = unsafe { libc::syncfs(file.as_raw_fd()) };
            assert_eq!(done, 0, "syncfs: {}", io::Error::last_os_error());
        }
        "truncate" => {
            let file = create();
            write(&file);
            file.set_len(0).expect("an empty file");
        }
        "mmap" => write_mapped(&path, length),
        "read" => {
            let mut file = open();
            for _ in 0..blocks {
                file.read_exact(&mut block).expect("a block");
            }
        }
        "direct-read" => {
            let (mut file, block) = (direct(false), pages(BLOCK));
            for _ in 0..blocks {
                file.read_exact(block).expect("a block");
            }
        }
        "direct-write" => {
            let (mut file, block) = (direct(true), pages(BLOCK));
            for _ in 0..blocks {
                file.write_all(block).expect("a block");
            }
        }
        "sendfile" => {
            let (from, to) = (open(), File::create_new(&other).expect("a new file"));
            move_all(length, |left| {
                // SAFETY: plain numbers; without a place, the file's own is used.
                unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), ptr::null_mut(), left) }
            });
        }
        "copy-file-range" => {
            let (from, to) = (open(), File::create_new(&other).expect("a new file"));
            move_all(length, |left| {
                let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
                // SAFETY: plain numbers; without places, the files' own are used.
                unsafe {
                    libc::copy_file_range(from, ptr::null_mut(), to, ptr::null_mut(), left, 0)
                }
            });
        }
        "neighbours" => {
            if let Err(error) = read_neighbours(direct(false).as_raw_fd(), length) {
                note(&report, &format!("cannot use io_uring: {error}"));
                return;
            }
        }
        "uring" => {
            let file = direct(false);
            let kind = args.text("ring").unwrap_or("inline");
            if let Err(error) = ring_read(file.as_raw_fd(), blocks, kind) {
                note(&report, &format!("cannot use io_uring: {error}"));
                return;
            }
        }
        other => panic!("--how {other}: no such way"),
    }
    note(&report, &counted::note("bytes", u64::try_from(length).expect("a length")));
    last_words(&report);
}

/// Reads the rest of this program and says what all of it took, so that from here on nothing is read
/// but what was asked for.
fn note_start(report: &Report) {
    sys::stay_in_memory();
    let pid = sys::getpid();
    let read_bytes = Figures::read(pid, pid).read_bytes.expect("read_bytes");
    note(report, &counted::note("start_read_bytes", read_bytes));
}

/// Writes to a file through memory, and waits for the disk.
fn write_mapped(path: &std::path::Path, length: usize) {
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("a new file");
    file.set_len(u64::try_from(length).expect("a length")).expect("room");
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let (flags, fd) = (libc::MAP_SHARED, file.as_raw_fd());
    // SAFETY: a new mapping, at a place of the kernel's choice.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, fd, 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    for page in (0..length).step_by(PAGE) {
        // SAFETY: inside the mapping.
        let place = unsafe { at.cast::<u8>().add(page) };
        // SAFETY: as above; nobody else has the file.
        unsafe { place.write_volatile(9) };
    }
    // SAFETY: the mapping made above.
    let done = unsafe { libc::msync(at, length, libc::MS_SYNC) };
    assert_eq!(done, 0, "msync: {}", io::Error::last_os_error());
}

/// Calls until everything was moved; the call is told how much is left.
fn move_all(length: usize, call: impl Fn(usize) -> isize) {
    let mut left = length;
    while left > 0 {
        let done = usize::try_from(call(left.min(BLOCK)));
        let done = done.unwrap_or_else(|_| panic!("moving: {}", io::Error::last_os_error()));
        assert_ne!(done, 0, "nothing was moved");
        left -= done;
    }
}

/// Direct reads of single pages by io_uring, handed to the kernel many at once and in an order in
/// which a scheduler has whole requests to merge: every other page, then those in between.
fn read_neighbours(file: RawFd, length: usize) -> io::Result<()> {
    const AT_ONCE: usize = 32;
    let mut ring = IoUring::new(64)?;
    let room = pages(AT_ONCE * PAGE);
    for first in (0..length / PAGE).step_by(AT_ONCE) {
        for index in (0..AT_ONCE).step_by(2).chain((1..AT_ONCE).step_by(2)) {
            let offset = u64::try_from((first + index) * PAGE).expect("an offset");
            let place = &mut room[index * PAGE..(index + 1) * PAGE];
            let length = u32::try_from(PAGE).expect("a page");
            let entry = opcode::Read::new(types::Fd(file), place.as_mut_ptr(), length);
            // SAFETY: room and file live until all have completed, below.
            unsafe { ring.submission().push(&entry.offset(offset).build()) }.expect("room");
        }
        ring.submit_and_wait(AT_ONCE)?;
        let done: Vec<_> = ring.completion().collect();
        assert_eq!(done.len(), AT_ONCE, "completions");
        assert!(done.iter().all(|one| usize::try_from(one.result()) == Ok(PAGE)), "a short read");
    }
    Ok(())
}

/// Direct reads by io_uring: in the caller (`inline`), on a worker of the kernel's (`async`), or
/// submitted by its polling thread (`sqpoll`).
fn ring_read(file: RawFd, blocks: usize, kind: &str) -> io::Result<()> {
    let mut builder = IoUring::<squeue::Entry, cqueue::Entry>::builder();
    if kind == "sqpoll" {
        builder.setup_sqpoll(50);
    }
    let mut ring = builder.build(8)?;
    let block = pages(BLOCK);
    for index in 0..blocks {
        let length = u32::try_from(BLOCK).expect("a small block");
        let mut entry = opcode::Read::new(types::Fd(file), block.as_mut_ptr(), length)
            .offset(u64::try_from(index * BLOCK).expect("an offset"))
            .build();
        if kind == "async" {
            entry = entry.flags(squeue::Flags::ASYNC);
        }
        // SAFETY: block and file live until the completion below, and one read at a time uses
        // the block.
        unsafe { ring.submission().push(&entry) }.expect("room in the ring");
        ring.submit_and_wait(1)?;
        let done = ring.completion().next().expect("a completion").result();
        assert_eq!(done, i32::try_from(BLOCK).expect("a small block"), "a short read");
        if index == 0 {
            // The kernel's threads exist now; a tracer looks for them when it sees this signal.
            sys::kill(sys::getpid(), libc::SIGURG)?;
        }
    }
    sys::kill(sys::getpid(), libc::SIGURG)?;
    sleep_us(20_000);
    Ok(())
}
