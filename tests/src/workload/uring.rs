//! A workload on io_uring, whose work is done by threads that the kernel makes inside the
//! process and that no library call ever shows.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::args::Args;
use super::{last_words, note, sleep_us};
use crate::sys;
use crate::truth::{Figures, Line, What};

const BLOCK: usize = 64 * 1024;

/// `--reads` buffered reads, each forced onto a worker (`IOSQE_ASYNC`); with `--sqpoll 1` also
/// submitted by a kernel thread. Before it ends it lists the workers, and gives a tracer time to
/// take them (SIGURG), because they end with the process.
pub(crate) fn run(args: &Args) {
    let (reads, report) = (args.get("reads", 64_u64), args.report());
    let folder = args.text("folder").map_or_else(std::env::temp_dir, Into::into);
    let path = folder.join(format!("workload-uring-{}", sys::getpid()));
    fs::write(&path, vec![3_u8; BLOCK * 16]).expect("a file to read");
    let file = File::open(&path).expect("the file");

    let mut builder = IoUring::<squeue::Entry, cqueue::Entry>::builder();
    if args.get("sqpoll", 0) == 1 {
        builder.setup_sqpoll(50);
    }
    let mut ring = match builder.build(8) {
        Ok(ring) => ring,
        Err(error) => {
            fs::remove_file(&path).ok();
            note(&report, &format!("no io_uring: {error}"));
            return;
        }
    };
    let mut block = vec![0_u8; BLOCK];
    for read in 0..reads {
        let length = u32::try_from(BLOCK).expect("a small block");
        let offset = read % 16 * u64::from(length);
        let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), block.as_mut_ptr(), length)
            .offset(offset)
            .build()
            .flags(squeue::Flags::ASYNC);
        // SAFETY: block and file live until the completion below, and one read at a time uses
        // the block.
        unsafe { ring.submission().push(&entry) }.expect("room in the ring");
        ring.submit_and_wait(1).expect("submitting");
        let done = ring.completion().next().expect("a completion").result();
        assert_eq!(done, i32::try_from(BLOCK).expect("a small block"), "a short read");
        if read == 0 {
            // The workers exist now; a tracer looks for them when it sees this signal.
            sys::kill(sys::getpid(), libc::SIGURG).expect("a signal to myself");
        }
    }
    fs::remove_file(&path).expect("removing");
    sys::kill(sys::getpid(), libc::SIGURG).expect("a signal to myself");
    sleep_us(20_000);
    let pid = sys::getpid();
    for task in fs::read_dir("/proc/self/task").expect("my threads").flatten() {
        let tid = task.file_name().to_string_lossy().parse().expect("a thread id");
        if tid != pid {
            let mut line = Line::new(What::AtLeast, pid, tid);
            line.figures = Figures::read(pid, tid);
            report.write(&[line]);
        }
    }
    last_words(&report);
}
