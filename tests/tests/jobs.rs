//! Several jobs in one kernel half, by the library: what each is charged, and what becomes of
//! threads whose job is over.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiler::kernel::{Attribution, Capacity, JobSnapshot, LiveTask, Snapshot, Tasks};
use profiler_common::{Counters, JobRef, TagMode};
use profiler_tests::compare::assert_none;
use profiler_tests::sys::{self, Pid};
use profiler_tests::truth::{self, Figures};
use profiler_tests::{binaries, require_bpf, scale};

fn load(jobs: u32) -> Attribution {
    let capacity = Capacity { tasks: 1024, jobs, connectors: 2, ended_bytes: 1 << 16 };
    Attribution::load(capacity).expect("the kernel half")
}

/// A workload that sleeps until its input ends.
struct Sleeper {
    child: Child,
    pid: u32,
}

impl Sleeper {
    /// With this many processes below it, which have `threads` threads in all.
    fn start(threads: u32, processes: u32) -> Self {
        let mut child = Command::new(binaries::workload())
            .args(["many-threads", "--count", &threads.to_string()])
            .args(["--processes", &processes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a workload");
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut String::new()).expect("its word");
        let pid = child.id();
        Self { child, pid }
    }

    /// Born into a job, by a thread of ours that counts only what it starts.
    fn start_in(job: JobRef, to: &mut Attribution, threads: u32, processes: u32) -> Self {
        thread::scope(|scope| {
            let starter = scope.spawn(|| {
                let tid = u32::try_from(sys::gettid()).expect("a thread id");
                to.tag(Tasks::Thread(tid), job, TagMode::Parent).expect("a tag");
                Self::start(threads, processes)
            });
            starter.join().expect("the starter")
        })
    }

    fn pid(&self) -> Pid {
        Pid::try_from(self.pid).expect("a pid")
    }

    /// Lets it end, and gives its final figures.
    fn end(mut self) -> Figures {
        drop(self.child.stdin.take());
        let line = truth::reap(self.pid()).0;
        line.figures
    }
}

/// Waits until all threads of these processes sleep, after which their figures stand still.
fn wait_asleep(pids: &[u32]) {
    let begin = Instant::now();
    let is_asleep = |pid: &u32| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
        tasks.map(|task| fs::read_to_string(task.path().join("stat"))).all(|stat| {
            stat.is_ok_and(|stat| {
                stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S"))
            })
        })
    };
    while !pids.iter().all(is_asleep) {
        assert!(begin.elapsed() < Duration::from_secs(20), "they do not come to rest");
        thread::sleep(Duration::from_millis(5));
    }
    // A thread shows as asleep a moment before it leaves the CPU.
    thread::sleep(Duration::from_millis(50));
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
    list.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

fn job(snapshot: &Snapshot, job: JobRef) -> &JobSnapshot {
    snapshot.jobs.iter().find(|found| found.job == job).expect("the job")
}

fn tasks(snapshot: &Snapshot, job: JobRef) -> Vec<&LiveTask> {
    snapshot.tasks.iter().filter(|task| task.job == job).collect()
}

/// The product's counters under the names of the truth.
fn figures(of: &Counters) -> Figures {
    Figures {
        cpu_ns: Some(of.cpu_ns),
        run_queue_ns: Some(of.run_queue_ns),
        voluntary_switches: Some(of.voluntary_switches),
        involuntary_switches: Some(of.involuntary_switches),
        minor_faults: Some(of.minor_faults),
        major_faults: Some(of.major_faults),
        read_bytes: Some(of.read_bytes),
        write_bytes: Some(of.write_bytes),
        cancelled_write_bytes: Some(of.cancelled_write_bytes),
        logical_read_bytes: Some(of.logical_read_bytes),
        logical_write_bytes: Some(of.logical_write_bytes),
        read_calls: Some(of.read_calls),
        write_calls: Some(of.write_calls),
    }
}

fn since(mut now: Figures, before: &Figures) -> Figures {
    for (slot, (_, before)) in now.slots().into_iter().zip(before.named()) {
        *slot = slot.zip(before).map(|(now, before)| now - before);
    }
    now
}

/// Waits until the kernel half has seen this.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(5), "waited too long until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_thread_whose_job_is_over_is_not_charged_to_the_next_one_in_its_place() {
    require_bpf!();
    let mut attribution = load(1);
    let old = attribution.begin_job(0).expect("a job");
    let sleeper = Sleeper::start(0, 0);
    attribution.tag_process(sleeper.pid, old, TagMode::Count).expect("a tag");
    attribution.end_job(old);
    let new = attribution.begin_job(0).expect("the same place again");
    assert_eq!(old.slot(), new.slot(), "there is one place");
    assert_ne!(old, new, "another job");
    sleeper.end();
    wait_until("the end of the thread was seen", || attribution.lost().tasks_of_reused_slot > 0);
    assert_eq!(attribution.lost().tasks_of_reused_slot, 1, "tasks_of_reused_slot");
    let snapshot = attribution.snapshot();
    let new = job(&snapshot, new);
    assert_eq!(new.ended, Default::default(), "what the new job spent");
    assert_eq!((new.tasks, new.tasks_live, new.processes), (0, 0, 0), "threads of the new job");
    assert!(snapshot.tasks.is_empty(), "live threads: {:?}", snapshot.tasks);
}

#[test]
fn what_a_thread_starts_after_its_job_is_over_is_not_charged_to_the_next_one() {
    require_bpf!();
    let mut attribution = load(1);
    let old = attribution.begin_job(0).expect("a job");
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    sys::make_fifo(&fifo);
    let mut starter = Command::new(binaries::workload())
        .args(["wait-then-work", "--work-us", "500", "--fifo"])
        .arg(&fifo)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a workload");
    let out = starter.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut String::new()).expect("its word");
    attribution.tag_process(starter.id(), old, TagMode::Count).expect("a tag");
    attribution.end_job(old);
    let new = attribution.begin_job(0).expect("the same place again");
    drop(fs::File::options().write(true).open(&fifo).expect("the named pipe"));
    starter.wait().expect("its end");
    thread::sleep(Duration::from_millis(100));
    let snapshot = attribution.snapshot();
    let new = job(&snapshot, new);
    assert_eq!(new.ended, Default::default(), "what the new job spent");
    assert_eq!((new.tasks, new.tasks_live, new.processes), (0, 0, 0), "threads of the new job");
    assert!(snapshot.tasks.is_empty(), "live threads: {:?}", snapshot.tasks);
    // Three threads had a tag; what they started is the old job's too, which is charged no more.
    let lost = attribution.lost().tasks_of_reused_slot;
    assert!(lost >= 3, "tasks_of_reused_slot: {lost}");
}

#[test]
fn two_jobs_at_once_are_charged_each_for_its_own() {
    require_bpf!();
    let mut attribution = load(2);
    let sleepers = [Sleeper::start(0, 0), Sleeper::start(0, 0)];
    wait_asleep(&sleepers.each_ref().map(|sleeper| sleeper.pid));
    let before = sleepers.each_ref().map(|sleeper| Figures::read(sleeper.pid(), sleeper.pid()));
    let jobs = [0, 1].map(|connector| attribution.begin_job(connector).expect("a job"));
    for (sleeper, job) in sleepers.iter().zip(jobs) {
        attribution.tag_process(sleeper.pid, job, TagMode::Count).expect("a tag");
    }
    let snapshot = attribution.snapshot();
    for (sleeper, job) in sleepers.iter().zip(jobs) {
        let pids: Vec<u32> = tasks(&snapshot, job).iter().map(|task| task.pid).collect();
        assert_eq!(pids, [sleeper.pid], "processes of one job");
    }

    // The first ends while the second sleeps on, and then the second.
    for ((sleeper, before), own) in sleepers.into_iter().zip(before).zip(jobs) {
        let truth = since(sleeper.end(), &before);
        wait_until("the end was seen", || job(&attribution.snapshot(), own).tasks_live == 0);
        let snapshot = attribution.snapshot();
        let got = job(&snapshot, own);
        assert_eq!(figures(&got.ended.counters), truth, "what the job spent");
        assert_eq!((got.tasks, got.processes), (1, 1), "its threads and processes");
        let connector = attribution.connector(got.connector).expect("its type");
        assert_eq!(figures(&connector.ended.counters), truth, "what jobs of its type spent");
    }
    assert_eq!(attribution.lost(), Default::default(), "lost");
}

#[test]
fn threads_born_into_different_jobs_at_the_same_time_do_not_mix() {
    require_bpf!();
    let mut attribution = load(8);
    let jobs = [(); 8].map(|()| attribution.begin_job(0).expect("a job"));
    let sleepers: Vec<_> = (3..)
        .zip(jobs)
        .map(|(threads, job)| (job, threads, Sleeper::start_in(job, &mut attribution, threads, 1)))
        .collect();
    let snapshot = attribution.snapshot();
    for (own, threads, sleeper) in &sleepers {
        let mut pids: Vec<u32> = tasks(&snapshot, *own).iter().map(|task| task.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        let mut expected = children(sleeper.pid);
        expected.push(sleeper.pid);
        expected.sort_unstable();
        assert_eq!(pids, expected, "processes of one job");
        let got = job(&snapshot, *own);
        let all = u64::from(*threads) + 1;
        assert_eq!((got.tasks, got.tasks_live, got.processes), (all, all, 2), "its threads");
    }
    for (_, _, sleeper) in sleepers {
        sleeper.end();
    }
}

#[test]
fn a_snapshot_of_sleeping_threads_says_what_the_kernel_says() {
    require_bpf!();
    let mut attribution = load(1);
    let own = attribution.begin_job(0).expect("a job");
    let threads = scale(200, 40);
    let sleeper = Sleeper::start_in(own, &mut attribution, threads, 4);
    let mut pids = children(sleeper.pid);
    pids.push(sleeper.pid);
    wait_asleep(&pids);
    let snapshot = attribution.snapshot();
    let live = tasks(&snapshot, own);
    assert_eq!(live.len() as u64, u64::from(threads) + 1, "live threads");
    let (mut wrong, mut sum, mut truth) = (Vec::new(), Figures::default(), Figures::default());
    for task in live {
        let id = |id: u32| Pid::try_from(id).expect("an id");
        let expected = Figures::read(id(task.pid), id(task.tid));
        let got = figures(&task.spent.counters);
        sum.add(&got);
        truth.add(&expected);
        for ((name, expected), (_, got)) in expected.named().into_iter().zip(got.named()) {
            if expected != got {
                wrong.push(format!(
                    "thread {}: {name}: expected {expected:?} got {got:?}",
                    task.tid
                ));
            }
        }
    }
    assert_none(&wrong, "of sleeping threads");
    assert_eq!(sum, truth, "the sums");
    sleeper.end();
}

#[test]
fn a_job_takes_no_more_places_than_there_are() {
    require_bpf!();
    let mut attribution = load(2);
    let jobs = [(); 2].map(|()| attribution.begin_job(0).expect("a job"));
    attribution.begin_job(0).expect_err("all places are taken");
    attribution.end_job(jobs[0]);
    let again = attribution.begin_job(0).expect("one place is free");
    assert_eq!(again.slot(), jobs[0].slot(), "the place that is free");
    // The former job has no place to give back any more.
    attribution.end_job(jobs[0]);
    attribution.begin_job(0).expect_err("all places are taken");
}
