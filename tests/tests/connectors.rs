//! What jobs of one type did at devices adds up in that type, past jobs included.

use std::process::Command;
use std::thread;

use profiler::kernel::{Attribution, Capacity, Tasks};
use profiler_common::{JobRef, Observed, TagMode};
use profiler_tests::disk::Disk;
use profiler_tests::{binaries, require_bpf, skip, sys};

/// Reads a file past the cache, as the job's own doing.
fn read_in(job: JobRef, attribution: &mut Attribution, file: &str) {
    let status = thread::scope(|scope| {
        let starter = scope.spawn(|| {
            let tid = u32::try_from(sys::gettid()).expect("a thread id");
            attribution.tag(Tasks::Thread(tid), job, TagMode::Parent).expect("a tag");
            let words = ["files", "--how", "direct-read", "--mib", "4", "--file", file];
            Command::new(binaries::workload()).args(words).status().expect("the reader")
        });
        starter.join().expect("the starter")
    });
    assert!(status.success(), "the reader ended with {status}");
}

#[test]
fn what_jobs_did_at_devices_adds_up_in_their_type() {
    require_bpf!();
    let disk = match Disk::find() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let capacity = Capacity { tasks: 64, jobs: 1, connectors: 2, ended_bytes: 4096 };
    let mut attribution = Attribution::load(capacity).expect("to load");
    if !attribution.known().block {
        skip!("this kernel lets no program see block requests");
    }
    let mut sum = Observed::default();
    for name in ["one", "other"] {
        let file = disk.cold_file(name, 4).display().to_string();
        let job = attribution.begin_job(1).expect("a job");
        read_in(job, &mut attribution, &file);
        // The reader's last switch comes a little after its parent learns of its end.
        while attribution.snapshot().jobs[0].tasks_live > 0 {
            thread::yield_now();
        }
        let did = attribution.snapshot().jobs[0].ended.observed;
        let bytes = did.device_read_bytes;
        assert!(bytes >= 4 << 20, "read by {name}: {bytes} bytes");
        sum.device_read_bytes += bytes;
        sum.device_read_ops += did.device_read_ops;
        attribution.end_job(job);
    }
    for (connector, sum) in [(0, Observed::default()), (1, sum)] {
        let got = attribution.connector(connector).expect("a type").ended.observed;
        let device = |of: &Observed| [of.device_read_bytes, of.device_read_ops];
        assert_eq!(device(&got), device(&sum), "bytes and requests of type {connector}");
    }
}
