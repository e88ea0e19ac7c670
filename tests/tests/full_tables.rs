//! What has no place in a table in the kernel is counted as lost, and no other figure suffers.

use profiler_tests::null_disk::NullDisk;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{require_bpf, skip};

macro_rules! disks {
    ($count:expr, $depth:expr, $completion_ns:expr) => {{
        if let Err(why) = NullDisk::available() {
            skip!("{why}");
        }
        let new = |_| NullDisk::new($depth, $completion_ns).expect("a disk");
        (0..$count).map(new).collect::<Vec<_>>()
    }};
}

/// As many reads of a block at each of the disks, all under way at once.
fn reads(disks: &[NullDisk], each: u32) -> Finished {
    let paths: Vec<String> = disks.iter().map(|disk| disk.path.display().to_string()).collect();
    let words = ["queue", "--each", &each.to_string(), "--files", &paths.join(",")];
    let run = Run::workload(&words).finish();
    run.assert_success();
    run
}

fn figure(run: &Finished, name: &str) -> u64 {
    run.session().usage.figure(name).unwrap_or_else(|| panic!("{name} is null"))
}

macro_rules! assert_charged {
    ($run:expr, $reads:expr) => {{
        if $run.session().usage.figure("device_read_ops").is_none() {
            skip!("this kernel does not show when a request starts");
        }
        assert_eq!(figure(&$run, "device_read_ops"), $reads, "device_read_ops");
        assert_eq!(figure(&$run, "device_read_bytes"), $reads * 4096, "device_read_bytes");
    }};
}

/// Keys that lie in any of eight places find all of them taken from some load of the table on.
#[test]
fn disks_over_the_table_are_counted_and_the_job_is_charged_all_the_same() {
    require_bpf!();
    // The table has 256 places on each CPU.
    let disks = disks!(260_u32, 16, 0);
    let run = reads(&disks, 1);
    assert_charged!(run, 260);
    let usage = &run.session().usage;
    let unlisted = usage.lost("devices_unlisted");
    assert!((4..200).contains(&unlisted), "devices_unlisted: {unlisted}");
    assert_eq!(usage.lost.as_object().map(serde_json::Map::len), Some(1), "lost: {}", usage.lost);
}

#[test]
fn requests_over_the_table_are_counted_and_miss_from_latencies_alone() {
    require_bpf!();
    // Two disks with 4096 requests under way, where a table has 8192 places.
    let disks = disks!(2_u32, 4096, 2_000_000_000);
    let run = reads(&disks, 4096);
    assert_charged!(run, 2 * 4096);
    let usage = &run.session().usage;
    let untimed = usage.lost("requests_untimed");
    assert!((1..4096).contains(&untimed), "requests_untimed: {untimed}");
    assert_eq!(usage.lost.as_object().map(serde_json::Map::len), Some(1), "lost: {}", usage.lost);
}

#[test]
fn address_spaces_over_the_table_are_counted_and_only_their_memory_is_missing() {
    require_bpf!();
    // The table has 8192 places.
    let words = ["many-threads", "--count", "5000", "--processes", "5000", "--until", "/proc"];
    let run = Run::workload(&words).options(&["--max-listed", "6000"]).finish();
    run.assert_success();
    let usage = &run.session().usage;
    assert_eq!((usage.tasks, usage.processes), (Some(5001), Some(5001)), "tasks and processes");
    let unlisted = usage.lost("address_spaces_unlisted");
    assert!((1..1000).contains(&unlisted), "address_spaces_unlisted: {unlisted}");
    assert_eq!(usage.lost.as_object().map(serde_json::Map::len), Some(1), "lost: {}", usage.lost);
}
