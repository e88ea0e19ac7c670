//! Memory: what a command held at its highest and over time is what it touched.

use std::thread;
use std::time::{Duration, Instant};

use profiler::kernel::{Attribution, Capacity, Tasks};
use profiler_common::TagMode;
use profiler_tests::bench::events::make_faults;
use profiler_tests::run::{Finished, Run};
use profiler_tests::sys::{self, Fork};
use profiler_tests::{require_bpf, scale};

const MIB: u64 = 1 << 20;
/// What a small program needs besides: its stack, its heap, its libraries' data.
const BESIDES: u64 = 4 * MIB;

fn run(options: &[&str]) -> Finished {
    let words = [&["memory"], options].concat();
    let run = Run::workload(&words).finish();
    run.assert_success();
    run
}

fn whole(run: &Finished, name: &str) -> u64 {
    run.session().usage.figure(name).unwrap_or_else(|| panic!("{name} is not known"))
}

fn assert_about(what: &str, got: u64, expected: u64) {
    assert!((expected..expected + BESIDES).contains(&got), "{what}: {got}, touched {expected}");
}

#[test]
fn a_peak_of_five_milliseconds_is_seen() {
    require_bpf!();
    let mib = scale(200, 50);
    let run = run(&["--anonymous-mib", &mib.to_string(), "--ms", "5", "--after-ms", "300"]);
    let (peak, mean) = (whole(&run, "memory_peak_bytes"), whole(&run, "memory_mean_bytes"));
    assert_about("peak", peak, u64::from(mib) * MIB);
    assert!(mean < peak / 2, "most of the time nothing was held: mean {mean}, peak {peak}");
}

#[test]
fn memory_held_to_the_end_is_the_mean_too() {
    require_bpf!();
    let run = run(&["--anonymous-mib", "20", "--ms", "1500"]);
    let (peak, mean) = (whole(&run, "memory_peak_bytes"), whole(&run, "memory_mean_bytes"));
    assert_about("peak", peak, 20 * MIB);
    assert!(mean > peak * 6 / 10, "nearly all of the time it was held: mean {mean}, peak {peak}");
    assert!(mean <= peak, "mean {mean}, peak {peak}");
}

#[test]
fn shared_memory_counts_and_file_pages_stay_apart() {
    require_bpf!();
    let run = run(&["--shared-mib", "30", "--file-mib", "20"]);
    let (peak, file) = (whole(&run, "memory_peak_bytes"), whole(&run, "memory_file_peak_bytes"));
    // A mapped file is file pages on a disk, and shared memory where files live in memory.
    if file >= 20 * MIB {
        assert_about("peak beside a file on a disk", peak, 30 * MIB);
        assert_about("file pages", file, 20 * MIB);
    } else {
        assert_about("peak with a file in memory", peak, 50 * MIB);
    }
}

#[test]
fn pages_that_children_share_with_their_parent_are_not_counted_again() {
    require_bpf!();
    let run = run(&["--anonymous-mib", "60", "--children", "4", "--ms", "100"]);
    assert_about("peak of the run", whole(&run, "memory_peak_bytes"), 60 * MIB);
    let processes = &run.session().processes;
    assert_eq!(processes.len(), 5);
    for process in processes {
        let peak = process.usage.figure("memory_peak_bytes").expect("it is known");
        assert_about(&format!("peak of process {}", process.pid), peak, 60 * MIB);
    }
}

#[test]
fn a_thread_has_no_memory_of_its_own() {
    require_bpf!();
    let run = run(&["--anonymous-mib", "1"]);
    for thread in &run.session().threads {
        assert_eq!(thread.usage.figure("memory_peak_bytes"), None);
    }
}

/// Its pages come and go all the time, on another CPU than that from which it is put into a job and
/// taken out again.
#[test]
fn a_process_that_leaves_its_job_takes_along_what_it_holds_and_no_more() {
    require_bpf!();
    const PAGES: i64 = 1000;
    // The child allocates nothing, so it needs no lock that a thread of ours may hold.
    let began = Instant::now();
    let Fork::Parent(child) = sys::fork() else {
        while began.elapsed() < Duration::from_secs(60) {
            make_faults(PAGES as u32);
        }
        sys::exit_group(0);
    };
    let mut attribution = Attribution::load(Capacity::AD_HOC).expect("programs");
    let job = attribution.begin_job(0).expect("a job");
    let held = |attribution: &Attribution| {
        let (figures, _) = attribution.job(job).expect("its slot");
        figures.held.pages.cast_signed()
    };
    let (mut most, mut left) = (0, Vec::new());
    for _ in 0..scale(2000, 200) {
        let process = Tasks::Process(child.cast_unsigned());
        attribution.tag(process, job, TagMode::Process).expect("a tag");
        thread::sleep(Duration::from_micros(300));
        most = most.max(held(&attribution));
        attribution.untag_all(job).expect("no tag");
        if held(&attribution) != 0 {
            // An update may be under way.
            thread::sleep(Duration::from_millis(20));
        }
        left.push(held(&attribution));
    }
    sys::kill(child, libc::SIGKILL).expect("to kill it");
    sys::wait(child, 0).expect("its end");
    left.retain(|pages| *pages != 0);
    assert_eq!(left, [0; 0], "pages that nobody holds");
    let besides = (BESIDES / 4096).cast_signed();
    assert!((1..PAGES + besides).contains(&most), "{most} pages at a time, touched {PAGES}");
}
