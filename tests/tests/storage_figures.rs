//! The ways in which bytes get to a disk and back: whichever a program takes, each of its threads
//! has the bytes and calls that the kernel has in `/proc/PID/task/TID/io`, to the byte.

use std::path::Path;

use profiler_tests::compare::{assert_none, differences};
use profiler_tests::disk::Disk;
use profiler_tests::run::{Finished, Run};
use profiler_tests::truth::Figures;
use profiler_tests::{require_bpf, scale, skip};

const MIB: u64 = 1 << 20;

fn mib() -> usize {
    scale(16, 4) as usize
}

/// Runs one way under the tracer, and compares every thread with the kernel. Gives the bytes that
/// the program says it moved, and what the whole says that it cost without what its start read.
fn exact(words: &[&str], file: &Path) -> Result<(u64, Figures, Finished), String> {
    let (file, mib) = (file.display().to_string(), mib().to_string());
    let run = Run::workload(&[&["files", "--file", &file, "--mib", &mib, "--how"], words].concat());
    let run = run.traced().finish();
    run.assert_success();
    if let Some(why) = run.excuse() {
        return Err(why);
    }
    assert_none(&differences(run.session(), &run.finals()), "of the threads that the tracer saw");
    run.assert_sums();
    let mut figures = run.session().usage.figures;
    for (name, value) in figures.named() {
        assert!(value.is_some(), "{name} is null");
    }
    let at_start = run.counted("start_read_bytes");
    figures.read_bytes = figures.read_bytes.and_then(|all| all.checked_sub(at_start));
    Ok((run.counted("bytes"), figures, run))
}

/// A figure is at least this, and not much more: the file system's notes about the file.
fn assert_about(name: &str, got: Option<u64>, least: u64) {
    let got = got.expect("a figure");
    assert!((least..least + MIB).contains(&got), "{name}: expected about {least}, got {got}");
}

macro_rules! on_disk {
    () => {
        match Disk::find() {
            Ok(disk) => disk,
            Err(why) => skip!("{why}"),
        }
    };
}

macro_rules! or_skip {
    ($what:expr) => {
        match $what {
            Ok(done) => done,
            Err(why) => skip!("{why}"),
        }
    };
}

#[test]
fn what_is_written_to_the_cache_is_charged_to_the_writer_before_it_reaches_the_disk() {
    require_bpf!();
    let disk = on_disk!();
    let (bytes, got, _) = or_skip!(exact(&["buffered"], &disk.path("file")));
    assert_about("write_bytes", got.write_bytes, bytes);
    assert_about("logical_write_bytes", got.logical_write_bytes, bytes);
    assert_eq!(got.cancelled_write_bytes, Some(0), "cancelled_write_bytes");
}

#[test]
fn what_the_writer_waits_for_is_charged_to_it_once() {
    require_bpf!();
    let disk = on_disk!();
    let (bytes, got, _) = or_skip!(exact(&["fsync"], &disk.path("file")));
    assert_about("write_bytes", got.write_bytes, bytes);
}

#[test]
fn what_a_kernel_thread_writes_out_is_charged_to_the_writer() {
    require_bpf!();
    let disk = on_disk!();
    let (bytes, got, run) = or_skip!(exact(&["syncfs"], &disk.path("file")));
    assert_about("write_bytes", got.write_bytes, bytes);
    // At the device it was the kernel thread.
    let device = run.session().usage.figure("device_write_bytes");
    assert!(device.is_none_or(|device| device < bytes), "device_write_bytes: {device:?}");
}

#[test]
fn what_is_written_past_the_cache_is_charged_to_the_writer() {
    require_bpf!();
    let disk = on_disk!();
    let file = disk.cold_file("file", mib());
    let (bytes, got, _) = or_skip!(exact(&["direct-write"], &file));
    assert_about("write_bytes", got.write_bytes, bytes);
    assert_about("logical_write_bytes", got.logical_write_bytes, bytes);
}

#[test]
fn what_is_read_past_the_cache_is_charged_to_the_reader() {
    require_bpf!();
    let disk = on_disk!();
    let file = disk.cold_file("file", mib());
    let (bytes, got, _) = or_skip!(exact(&["direct-read"], &file));
    assert_about("read_bytes", got.read_bytes, bytes);
    assert_about("logical_read_bytes", got.logical_read_bytes, bytes);
}

#[test]
fn what_is_written_through_memory_is_charged_without_any_call() {
    require_bpf!();
    let disk = on_disk!();
    let (bytes, got, _) = or_skip!(exact(&["mmap"], &disk.path("file")));
    assert_about("write_bytes", got.write_bytes, bytes);
    assert!(got.logical_write_bytes < Some(MIB), "logical: {:?}", got.logical_write_bytes);
}

#[test]
fn what_the_kernel_reads_ahead_is_charged_to_the_reader() {
    require_bpf!();
    let disk = on_disk!();
    let file = disk.cold_file("file", mib());
    let (bytes, got, _) = or_skip!(exact(&["read"], &file));
    assert_about("read_bytes", got.read_bytes, bytes);
    assert_about("logical_read_bytes", got.logical_read_bytes, bytes);
}

#[test]
fn what_is_cut_off_before_it_was_written_shows_as_cancelled() {
    require_bpf!();
    let disk = on_disk!();
    let (bytes, got, _) = or_skip!(exact(&["truncate"], &disk.path("file")));
    let cancelled = got.cancelled_write_bytes.expect("a figure");
    assert!(cancelled > 0, "nothing was cancelled");
    assert!(cancelled <= got.write_bytes.expect("a figure"), "more cancelled than written");
    assert_about("write_bytes", got.write_bytes, bytes);
}

#[test]
fn a_copy_without_a_buffer_is_charged_as_read_and_written() {
    require_bpf!();
    let disk = on_disk!();
    for how in ["sendfile", "copy-file-range"] {
        let (from, to) = (disk.cold_file("from", mib()), disk.path(how));
        let words = [how, "--to", &to.display().to_string()];
        let (bytes, got, _) = or_skip!(exact(&words, &from));
        assert_about(how, got.logical_read_bytes, bytes);
        assert_about(how, got.logical_write_bytes, bytes);
        assert_about(how, got.read_bytes, bytes);
        assert_about(how, got.write_bytes, bytes);
    }
}

#[test]
fn reads_by_io_uring_are_charged_to_whichever_thread_does_them() {
    require_bpf!();
    let disk = on_disk!();
    for ring in ["inline", "async", "sqpoll"] {
        let file = disk.cold_file(ring, mib());
        let (bytes, got, _) = or_skip!(exact(&["uring", "--ring", ring], &file));
        assert_about(ring, got.read_bytes, bytes);
    }
}
