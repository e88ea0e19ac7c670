//! What the jobs of each workload do that are threads of the benchmark: compute, sleep, read, ask a
//! server.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::server::Server;
use crate::chance::Chance;
use crate::disk::Disk;

/// One worker's job, run once for each lease; it says when a piece of it is done.
pub(super) type Job = Box<dyn FnMut(&mut dyn FnMut()) + Send>;

/// A kind of work.
pub(super) trait Work: Send + Sync {
    /// The job of a new worker, with what the worker keeps from one to the next.
    fn worker(&self, seed: u64) -> Job;
}

/// Steps of [`compute`] in a piece: about 5 ms on a processor of 2020.
pub(super) const STEPS: u64 = 4_000_000;

/// Work that is the same however long it takes.
fn compute(steps: u64) {
    let mut value = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..steps {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
    }
    black_box(value);
}

/// Computes, and sleeps after each piece: three times as long as that takes, if `sleep` says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compute {
    /// The fewest and the most pieces of a job.
    pub(super) pieces: (u64, u64),
    /// What a piece is, in [`compute`]'s steps.
    pub(super) steps: u64,
    /// How long it sleeps after each.
    pub(super) sleep: Duration,
}

impl Work for Compute {
    fn worker(&self, seed: u64) -> Job {
        let (work, mut chance) = (*self, Chance::new(seed));
        Box::new(move |done| {
            for _ in 0..chance.within(work.pieces) {
                compute(work.steps);
                if !work.sleep.is_zero() {
                    thread::sleep(work.sleep);
                }
                done();
            }
        })
    }
}

/// Bytes of a read.
const BLOCK: usize = 64 << 10;

/// Reads blocks from everywhere in a file, past the cache.
#[derive(Debug)]
pub(super) struct Reads {
    path: PathBuf,
    blocks: u64,
    /// The fewest and the most reads of a job.
    pieces: (u64, u64),
}

#[repr(align(4096))]
struct Block([u8; BLOCK]);

impl Reads {
    /// Writes a file of this many MiB to a disk. It is there as long as that is.
    ///
    /// # Errors
    /// Where the disk cannot be read past the cache.
    pub(super) fn new(disk: &Disk, mib: usize, pieces: (u64, u64)) -> Result<Self, String> {
        let path = disk.cold_file("blocks", mib);
        let blocks = ((mib << 20) / BLOCK) as u64;
        let reads = Self { path, blocks, pieces };
        reads.open().map_err(|error| format!("{}: {error}", reads.path.display()))?;
        Ok(reads)
    }

    fn open(&self) -> std::io::Result<File> {
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&self.path)
    }
}

impl Work for Reads {
    fn worker(&self, seed: u64) -> Job {
        let file = self.open().expect("it could be opened before");
        let (blocks, pieces) = (self.blocks, self.pieces);
        let (mut chance, mut room) = (Chance::new(seed), Box::new(Block([0; BLOCK])));
        Box::new(move |done| {
            for _ in 0..chance.within(pieces) {
                let at = chance.below(blocks) * BLOCK as u64;
                file.read_exact_at(&mut room.0, at).expect("a block");
                done();
            }
        })
    }
}

/// Asks a server, and does nothing for a while after each answer.
#[derive(Debug)]
pub(super) struct Requests {
    /// The server.
    pub(super) server: Server,
    /// The fewest and the most requests of a job.
    pub(super) pieces: (u64, u64),
    /// How long it does nothing.
    pub(super) pause: Duration,
}

impl Work for Requests {
    fn worker(&self, seed: u64) -> Job {
        let (mut caller, mut chance) = (self.server.caller(), Chance::new(seed));
        let (pieces, pause) = (self.pieces, self.pause);
        Box::new(move |done| {
            for _ in 0..chance.within(pieces) {
                caller.call();
                done();
                thread::sleep(pause);
            }
        })
    }
}
