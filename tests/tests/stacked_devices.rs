//! Devices on devices: what goes through them is counted once, and they may go away meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiler_tests::disk::{Disk, Done};
use profiler_tests::loop_device::Loop;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, scale, skip};

fn mib() -> usize {
    scale(256, 16) as usize
}

fn reading(how: &str, path: &Path) -> Run {
    let (path, mib) = (path.display().to_string(), mib().to_string());
    Run::workload(&["files", "--how", how, "--file", &path, "--mib", &mib])
}

fn figure(run: &Finished, name: &str) -> u64 {
    run.session().usage.figure(name).unwrap_or_else(|| panic!("{name} is null"))
}

/// What was read is at devices once at most, and the reader is charged for it once.
fn assert_once(run: &Finished, done: &Done) {
    run.assert_success();
    let asked = run.counted("bytes") + run.counted("start_read_bytes");
    // Null before Linux 6.5, where the hook may be refused.
    if run.session().usage.figure("device_read_bytes").is_some() {
        let (bytes, ops) = (figure(run, "device_read_bytes"), figure(run, "device_read_ops"));
        // And the file system's notes about the file.
        assert!(bytes < asked + (1 << 20), "{bytes} bytes at devices, for {asked} asked for");
        assert!(bytes <= done.read_bytes, "{bytes} bytes, but the disk moved {}", done.read_bytes);
        assert!(ops <= done.read_ops, "{ops} requests, but the disk had {}", done.read_ops);
    }
    let read = run.session().usage.figures.read_bytes.expect("read_bytes");
    assert!((asked..asked + (1 << 20)).contains(&read), "read_bytes: expected {asked}, got {read}");
}

macro_rules! on_disk {
    () => {
        match Disk::find() {
            Ok(disk) => disk,
            Err(why) => skip!("{why}"),
        }
    };
}

macro_rules! loop_over {
    ($file:expr) => {
        match Loop::over($file) {
            Ok(device) => device,
            Err(error) => skip!("no loop device: {error}"),
        }
    };
}

#[test]
fn what_is_read_through_a_loop_device_is_not_counted_twice() {
    require_bpf!();
    let disk = on_disk!();
    let device = loop_over!(&disk.cold_file("image", mib()));
    let before = disk.done();
    let run = reading("direct-read", &device.path).finish();
    assert_once(&run, &disk.done().since(&before));
}

/// A device-mapper device that is another device, gone when this is dropped.
struct Mapped {
    name: String,
    path: PathBuf,
}

impl Mapped {
    fn over(device: &Path, bytes: usize) -> Result<Self, String> {
        let majors = fs::read_to_string("/proc/devices").expect("the kernel's drivers");
        if !majors.contains("device-mapper") {
            return Err("this kernel has no device-mapper".into());
        }
        let name = format!("profiler-test-{}", std::process::id());
        let table = format!("0 {} linear {} 0", bytes / 512, device.display());
        let mut command = Command::new("dmsetup");
        command.args(["create", &name, "--readonly", "--table", &table]).stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => {
                let path = Path::new("/dev/mapper").join(&name);
                Ok(Self { name, path })
            }
            Ok(output) => Err(format!("dmsetup: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("dmsetup: {error}")),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Nothing can be done about a device that stays.
        let _ = Command::new("dmsetup").args(["remove", "--retry", &self.name]).status();
    }
}

#[test]
fn what_is_read_through_device_mapper_over_a_loop_device_is_not_counted_twice() {
    require_bpf!();
    let disk = on_disk!();
    let device = loop_over!(&disk.cold_file("image", mib()));
    let mapped = match Mapped::over(&device.path, mib() << 20) {
        Ok(mapped) => mapped,
        Err(why) => skip!("{why}"),
    };
    let before = disk.done();
    let run = reading("direct-read", &mapped.path).finish();
    assert_once(&run, &disk.done().since(&before));
}

#[test]
fn a_device_whose_file_is_taken_away_while_it_is_read_loses_nothing() {
    require_bpf!();
    let disk = on_disk!();
    let image = disk.cold_file("image", mib());
    let device = loop_over!(&image);
    let (before, device_before) = (disk.done(), device.done());
    let run = reading("direct-read", &device.path).start();
    let deadline = Instant::now() + Duration::from_secs(20);
    while device.done().since(&device_before).read_bytes < 4 << 20 && Instant::now() < deadline {
        thread::sleep(Duration::from_micros(200));
    }
    device.detach().expect("to take the file away");
    drop(device);
    File::options().write(true).open(&image).and_then(|file| file.set_len(0)).expect("to cut it");
    fs::remove_file(&image).expect("to remove the file");
    let run = run.finish();
    let done = disk.done().since(&before);
    // The reader may have been done, or may have been told that there is nothing to read.
    if run.code() == 0 {
        assert_once(&run, &done);
    } else {
        let read = run.session().usage.figures.read_bytes.expect("read_bytes");
        let most = ((mib() as u64) << 20) + run.counted("start_read_bytes");
        assert!(read <= most, "read_bytes: {read} of {most}");
    }
    run.assert_sums();
}
