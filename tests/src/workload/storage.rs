//! A workload that writes and reads files in known amounts.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};

use super::args::Args;
use super::last_words;

const BLOCK: usize = 64 * 1024;

/// Writes `--mib` in blocks of 64 KiB, waits for the disk, reads it back from the cache, and in a
/// second file throws away pages before they were written.
pub(crate) fn run(args: &Args) {
    let (mib, report) = (args.get("mib", 4_usize), args.report());
    let folder = args.text("folder").map_or_else(std::env::temp_dir, Into::into);
    let (path, gone) = (folder.join("workload-storage"), folder.join("workload-cancelled"));
    let blocks = mib * 1024 * 1024 / BLOCK;
    let mut block = vec![7_u8; BLOCK];

    let mut file = File::create(&path).expect("a file to write");
    for _ in 0..blocks {
        file.write_all(&block).expect("a block");
    }
    file.sync_all().expect("the disk");
    let mut file = File::open(&path).expect("the file again");
    for _ in 0..blocks {
        file.read_exact(&mut block).expect("a block back");
    }
    fs::remove_file(&path).expect("removing");

    let mut file = File::create(&gone).expect("a file to cancel");
    file.write_all(&block).expect("a block");
    drop(file);
    fs::remove_file(&gone).expect("removing");
    last_words(&report);
}
