//! Many short lives, each of which uses storage, sockets and memory, while many threads look on.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::args::Args;
use super::{last_words, note};
use crate::counted;
use crate::sys::{self, Fork};
use crate::truth::Report;

const PAGE: usize = 4096;
/// Pages that each life reads past the cache.
const READS: u64 = 4;
/// Messages that each sends to itself and receives, and their length.
const MESSAGES: u64 = 3;
const LENGTH: u64 = 1000;

/// `--per-second` (200) children for `--seconds` (2), with `--threads` (0) others that sleep. Each child
/// reads `--file`, talks to itself, touches `--kib` (256) of memory, and ends.
pub(crate) fn run(args: &Args) {
    let (per_second, seconds) = (args.get("per-second", 200_u32), args.get("seconds", 2.0));
    let (threads, kib) = (args.get("threads", 0_usize), args.get("kib", 256_usize));
    let (report, path) = (args.report(), args.text("file").expect("--file").to_owned());
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
    let file = file.expect("the file, past the cache");
    let done = Barrier::new(threads + 1);
    let made = thread::scope(|scope| {
        for _ in 0..threads {
            let sleeper = thread::Builder::new().stack_size(64 * 1024);
            sleeper.spawn_scoped(scope, || done.wait()).expect("one more thread");
        }
        let made = children(&file, per_second, seconds, kib);
        done.wait();
        made
    });
    say(&report, made);
    last_words(&report);
}

/// Has the children, evenly over the time or as fast as it goes, and says how many there were.
fn children(file: &File, per_second: u32, seconds: f64, kib: usize) -> u64 {
    let (begin, pause) = (Instant::now(), Duration::from_secs(1) / per_second);
    #[allow(clippy::cast_sign_loss, reason = "such a cast saturates, and neither is negative")]
    let count = (f64::from(per_second) * seconds) as u32;
    let mut running = 0;
    for index in 0..count {
        thread::sleep((pause * index).saturating_sub(begin.elapsed()));
        if sys::fork() == Fork::Child {
            live(file, u64::from(index), kib);
            sys::exit_group(0);
        }
        running += 1;
        if running == 20 {
            bury();
            running -= 1;
        }
    }
    for _ in 0..running {
        bury();
    }
    u64::from(count)
}

fn bury() {
    let (_, status) = sys::wait(-1, 0).expect("a child");
    assert_eq!(status, 0, "how a child ended");
}

/// One life. It runs between `fork` and the end, beside other threads of the parent, so it takes no lock.
fn live(file: &File, index: u64, kib: usize) {
    #[repr(align(4096))]
    struct Room([u8; PAGE]);
    let mut room = Room([0; PAGE]);
    let pages = file.metadata().expect("its length").len() / PAGE as u64;
    for read in 0..READS {
        let at = (index * READS + read) % pages * PAGE as u64;
        file.read_exact_at(&mut room.0, at).expect("a page");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut from =
        TcpStream::connect(listener.local_addr().expect("its address")).expect("to connect");
    let (mut to, _) = listener.accept().expect("the connection");
    for _ in 0..MESSAGES {
        from.write_all(&room.0[..LENGTH as usize]).expect("to send");
        to.read_exact(&mut room.0[..LENGTH as usize]).expect("to receive");
    }
    super::memory::touch(kib << 10);
}

/// What all of them did.
fn say(report: &Report, made: u64) {
    let figures = [
        ("children", made),
        ("bytes", made * READS * PAGE as u64),
        ("net_rx_bytes", made * MESSAGES * LENGTH),
        ("net_rx_ops", made * MESSAGES),
        ("net_tx_bytes", made * MESSAGES * LENGTH),
        ("net_tx_ops", made * MESSAGES),
    ];
    for (name, value) in figures {
        note(report, &counted::note(name, value));
    }
}
