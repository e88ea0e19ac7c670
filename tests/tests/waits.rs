//! Where the time of a thread that does not run goes: the parts add up to its life, and each wait
//! is named for what it was.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use profiler_tests::disk::Disk;
use profiler_tests::record::Usage;
use profiler_tests::run::{Finished, Run};
use profiler_tests::{binaries, in_small_vm, require_bpf, scale, skip};

/// A thread's time in its parts.
#[derive(Debug, Clone, Copy)]
struct Parts {
    life: u64,
    cpu: u64,
    queue: u64,
    block: u64,
    other: u64,
}

fn parts(usage: &Usage) -> Parts {
    Parts {
        life: usage.figure("life_ns").expect("life_ns"),
        cpu: usage.figures.cpu_ns.expect("cpu_ns"),
        queue: usage.figures.run_queue_ns.expect("run_queue_ns"),
        block: usage.block_wait_ns.expect("block_wait_ns"),
        other: usage.other_wait_ns.expect("other_wait_ns"),
    }
}

/// Who held the CPU while the thread waited for it: (the job itself, managed, external).
fn holders(usage: &Usage) -> (u64, u64, u64) {
    let of = |figure: Option<u64>| figure.expect("a part of run_queue_ns");
    let own = of(usage.run_queue_self_ns);
    (own, of(usage.run_queue_managed_ns), of(usage.run_queue_external_ns))
}

/// For each thread, each process and the whole: four parts make the life, within 0.1 %, and four
/// make the wait for a CPU, exactly.
fn assert_adds_up(run: &Finished) {
    let session = run.session();
    let threads = session.threads.iter().map(|thread| (thread.comm.as_str(), &thread.usage));
    let processes = session.processes.iter().map(|process| (process.comm.as_str(), &process.usage));
    // The clock of an emulated machine's scheduler is not the one by which a life is measured; then
    // a thread may have run and waited for longer than it lived, and the rest is 0.
    let mut clocks = 0;
    for parts in session.threads.iter().map(|thread| parts(&thread.usage)) {
        let excess = (parts.cpu + parts.queue).saturating_sub(parts.life);
        if in_small_vm() && excess > 0 {
            assert_eq!(parts.other, 0, "other_wait_ns of a full life: {parts:?}");
            clocks += excess;
        }
    }
    for (who, usage) in threads.chain(processes).chain([("the whole", &session.usage)]) {
        let parts = parts(usage);
        let sum = parts.cpu + parts.queue + parts.block + parts.other;
        let off = sum.abs_diff(parts.life);
        let allowed = parts.life / 1000 + clocks;
        assert!(off <= allowed, "{who}: parts make {sum}, off by {off}: {parts:?}");
        for part in [parts.cpu, parts.queue, parts.block, parts.other] {
            assert!(part <= parts.life + allowed, "{who}: a part is absurd: {parts:?}");
        }
        let (own, managed, external) = holders(usage);
        let throttled = usage.run_queue_throttled_ns.expect("run_queue_throttled_ns");
        let sum = throttled + own + managed + external;
        let all = format!("{throttled} + {own} + {managed} + {external}");
        assert_eq!(sum, parts.queue, "{who}: {all} ns of run_queue_ns");
    }
    let whole: u64 = session.threads.iter().map(|thread| parts(&thread.usage).life).sum();
    assert_eq!(whole, parts(&session.usage).life, "the lives of the threads");
}

fn finish(words: &[&str]) -> Finished {
    let run = Run::workload(words).finish();
    run.assert_success();
    assert_adds_up(&run);
    run
}

#[test]
fn the_parts_of_each_threads_time_add_up_to_its_life() {
    require_bpf!();
    finish(&["threads", "--count", "16", "--work-us", "8000"]);
    finish(&["oversubscribe", "--count", &scale(100, 20).to_string(), "--seconds", "0.3"]);
    finish(&["ping-pong", "--switches", &scale(20_000, 2000).to_string()]);
}

#[test]
fn the_parts_add_up_for_threads_and_processes_that_hardly_lived() {
    require_bpf!();
    finish(&["short-threads", "--count", &scale(500, 50).to_string()]);
    finish(&["forks", "--count", &scale(200, 20).to_string()]);
}

#[test]
fn the_parts_add_up_where_the_cpu_is_never_left() {
    require_bpf!();
    finish(&["spin", "--seconds", "0.5"]);
}

#[test]
fn a_sleep_is_a_wait_for_something_else_than_a_disk() {
    require_bpf!();
    let run = finish(&["sleep", "--ms", "300"]);
    let (parts, slept) = (parts(&run.session().threads[0].usage), run.counted("slept_ns"));
    assert!(parts.other >= 300_000_000, "other_wait_ns: {parts:?}");
    assert!(parts.life >= slept, "it slept for {slept} ns by its own clock: {parts:?}");
    // Pages of the program may have to be read from a disk at its start.
    assert!(parts.block <= 20_000_000, "block_wait_ns: {parts:?}");
}

#[test]
fn a_reader_past_the_cache_waits_for_the_disk() {
    require_bpf!();
    let disk = match Disk::find() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let mib = scale(64, 8) as usize;
    let file = disk.cold_file("file", mib).display().to_string();
    let mib = mib.to_string();
    let run = finish(&["files", "--how", "direct-read", "--file", &file, "--mib", &mib]);
    let usage = &run.session().threads[0].usage;
    let parts = parts(usage);
    assert!(parts.block > 0, "block_wait_ns: {parts:?}");
    assert!(parts.block <= usage.wall_ns.expect("wall_ns"), "longer than it lived: {parts:?}");
    // It does nothing else that it could wait for.
    assert!(parts.block > parts.other, "the disk is most of what it waits for: {parts:?}");
}

/// Those threads of the run that were on the crowded CPU.
fn crowded(run: &Finished) -> Vec<&Usage> {
    let leader = run.session().processes[0].pid;
    let threads = run.session().threads.iter().filter(|thread| thread.tid != leader);
    threads.map(|thread| &thread.usage).collect()
}

#[test]
fn two_threads_of_a_command_on_one_cpu_wait_for_the_command_itself() {
    require_bpf!();
    // A wait is charged to the last of those that it was behind, so nobody may come between.
    let words = ["hogs", "--count", "2", "--cpu", "0", "--seconds", "0.8", "--real-time", "1"];
    let run = finish(&words);
    let hogs = crowded(&run);
    assert_eq!(hogs.len(), 2, "threads that want the CPU");
    for usage in hogs {
        let (own, _, _) = holders(usage);
        let parts = parts(usage);
        assert!(parts.queue * 5 > parts.life, "it hardly waited: {parts:?}");
        assert!(own * 4 > parts.queue * 3, "{own} ns for itself: {parts:?}");
    }
}

/// A program that is on no bill, and ends with this value.
struct Outsider(Child);

impl Drop for Outsider {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn outside_hog() -> Outsider {
    let mut hog = Command::new(binaries::workload())
        .args(["hogs", "--count", "1", "--cpu", "0", "--seconds", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a hog");
    let out = hog.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut String::new()).expect("its word");
    Outsider(hog)
}

#[test]
fn a_thread_that_shares_its_cpu_with_a_stranger_waits_for_others() {
    require_bpf!();
    let _hog = outside_hog();
    let run = finish(&["hogs", "--count", "1", "--cpu", "0", "--seconds", "0.8"]);
    for usage in crowded(&run) {
        let (own, managed, external) = holders(usage);
        let parts = parts(usage);
        assert!(parts.queue * 5 > parts.life, "it hardly waited: {parts:?}");
        assert!(external * 4 > parts.queue * 3, "{external} ns for others, {own} for itself");
        assert_eq!(managed, 0, "there is no other job");
    }
}

#[test]
fn another_profilers_command_is_a_stranger() {
    require_bpf!();
    let other = Run::workload(&["hogs", "--count", "1", "--cpu", "0", "--seconds", "60"]).start();
    other.wait_for("begun");
    let run = finish(&["hogs", "--count", "1", "--cpu", "0", "--seconds", "0.5"]);
    for usage in crowded(&run) {
        let (_, managed, external) = holders(usage);
        assert_eq!(managed, 0, "jobs of another profiler are none of ours");
        assert!(external * 4 > parts(usage).queue * 3, "{external} of {:?}", parts(usage));
    }
    other.signal(libc::SIGTERM);
    assert_adds_up(&other.finish());
}
