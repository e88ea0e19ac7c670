//! A thread that works for one job after another: what each is charged, and that nothing is lost.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use profiler::kernel::{Attribution, Capacity, TagError};
use profiler_common::{JobRef, Observed};
use profiler_tests::hand::Hand;
use profiler_tests::truth::{self, Figures};
use profiler_tests::{require_bpf, skip, sys};

fn load() -> Attribution {
    let capacity = Capacity { tasks: 256, jobs: 4, connectors: 2, ended_bytes: 1 << 16 };
    Attribution::load(capacity).expect("the kernel half")
}

fn cpu(attribution: &Attribution, job: JobRef) -> u64 {
    let snapshot = attribution.snapshot();
    let ended = snapshot.jobs.iter().find(|found| found.job == job).expect("the job").ended;
    let live = snapshot.tasks.iter().filter(|task| task.job == job);
    ended.counters.cpu_ns + live.map(|task| task.spent.counters.cpu_ns).sum::<u64>()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(5), "waited too long until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_job_of_a_thread_is_charged_its_own_part_to_the_nanosecond() {
    require_bpf!();
    let mut attribution = load();
    let hand = Hand::hire();
    let [first, second] = [0, 1].map(|c| attribution.begin_job(c).expect("a job"));
    hand.work(3);
    let begin = hand.truth();
    let worker = attribution.enlist(hand.tid(), first).expect("a tag").expect("an entry");
    hand.work(20);
    let middle = hand.truth();
    let spent = attribution.reassign(&worker, Some(second)).expect("it lives");
    assert_eq!(Some(spent.counters.cpu_ns), grown(&middle, &begin), "the first part");
    assert_eq!(cpu(&attribution, first), spent.counters.cpu_ns, "of the first job");
    hand.work(10);
    let end = hand.truth();
    let spent = attribution.reassign(&worker, None).expect("it lives");
    assert_eq!(Some(spent.counters.cpu_ns), grown(&end, &middle), "the second part");
    hand.work(5);
    assert_eq!(cpu(&attribution, second), spent.counters.cpu_ns, "nothing for time between jobs");
    assert_eq!(cpu(&attribution, first), grown(&middle, &begin).expect("known"), "as before");
    assert_eq!(attribution.lost(), Default::default(), "lost");
}

#[test]
fn what_a_thread_moved_stands_under_the_same_name_when_its_job_is_over() {
    require_bpf!();
    let mut attribution = load();
    let known = attribution.known();
    if !known.net {
        skip!("this kernel does not tell what sockets move");
    }
    let job = attribution.begin_job(0).expect("a job");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let mut far = TcpStream::connect(listener.local_addr().expect("its port")).expect("connects");
    let (mut near, _) = listener.accept().expect("a connection");
    let (mut local, mut other) = UnixStream::pair().expect("a pair");
    far.write_all(&[0; 30]).expect("it goes out");
    other.write_all(&[0; 5]).expect("it goes out");
    let (tell, told) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        tell.send(sys::gettid()).expect("somebody listens");
        may_go.recv().expect("to begin");
        near.write_all(&[0; 1000]).expect("it goes out");
        near.read_exact(&mut [0; 30]).expect("it is there");
        local.write_all(&[0; 7]).expect("it goes out");
        local.read_exact(&mut [0; 5]).expect("it is there");
        tell.send(0).expect("somebody listens");
        may_go.recv().expect("to end");
    });
    let tid = told.recv().expect("its id");
    let worker = attribution.enlist(tid.cast_unsigned(), job).expect("a tag").expect("an entry");
    go.send(()).expect("it waits");
    told.recv().expect("it is done");
    truth::wait_asleep(tid);
    let spent = attribution.reassign(&worker, None).expect("it lives");
    let expected = Observed {
        net_tx_bytes: 1000,
        net_tx_ops: 1,
        net_rx_bytes: 30,
        net_rx_ops: 1,
        local_tx_bytes: 7 * u64::from(known.local),
        local_rx_bytes: 5 * u64::from(known.local),
        run_queue_managed_ns: spent.observed.run_queue_managed_ns,
        run_queue_self_ns: spent.observed.run_queue_self_ns,
        ..Observed::default()
    };
    assert_eq!(spent.observed, expected, "what it moved");
    let snapshot = attribution.snapshot();
    let ended = snapshot.jobs.iter().find(|found| found.job == job).expect("the job").ended;
    assert_eq!(ended, spent, "all that the job is charged");
    go.send(()).expect("it waits");
    thread.join().expect("its end");
}

#[test]
#[expect(clippy::zombie_processes, reason = "its figures are read before it is reaped")]
fn the_way_to_its_end_is_charged_to_a_threads_last_job() {
    require_bpf!();
    let mut attribution = load();
    let jobs = [0, 0].map(|connector| attribution.begin_job(connector).expect("a job"));
    // Not a thread of ours: of a zombie the kernel tells the final figure.
    let counter = Command::new("sh")
        .args(["-c", "kill -STOP $$; i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done"])
        .spawn()
        .expect("a shell");
    let pid = counter.id().cast_signed();
    wait_until("it stops", || truth::state(pid) == Some('T'));
    truth::wait_asleep(pid);
    let figure = || Figures::read(pid, pid).cpu_ns.expect("known");
    let begin = figure();
    let worker = attribution.enlist(counter.id(), jobs[0]).expect("a tag").expect("an entry");
    attribution.reassign(&worker, Some(jobs[1])).expect("it lives");
    sys::kill(pid, libc::SIGCONT).expect("it lives");
    let (last, _) = truth::reap(pid);
    wait_until("all is charged", || attribution.snapshot().tasks.is_empty());
    let expected = last.figures.cpu_ns.expect("known") - begin;
    assert_eq!(jobs.map(|job| cpu(&attribution, job)), [0, expected], "of both jobs");
    assert_eq!(
        attribution.connector(0).expect("a connector").ended.counters.cpu_ns,
        expected,
        "what the connector's jobs spent"
    );
    assert_eq!(attribution.lost(), Default::default(), "lost");
}

#[test]
fn a_thread_that_ended_is_given_to_no_job() {
    require_bpf!();
    let mut attribution = load();
    let mut hand = Hand::hire();
    let [first, second] = [0, 1].map(|c| attribution.begin_job(c).expect("a job"));
    let worker = attribution.enlist(hand.tid(), first).expect("a tag").expect("an entry");
    hand.fire();
    wait_until("it ended", || !attribution.is_alive(&worker));
    attribution.reassign(&worker, Some(second)).expect_err("it ended");
    // What it spent is still on its way to its job then.
    wait_until("that is over", || attribution.snapshot().tasks.is_empty());
    let snapshot = attribution.snapshot();
    let counts: Vec<_> = snapshot.jobs.iter().map(|job| (job.tasks, job.tasks_live)).collect();
    assert_eq!(counts, [(1, 0), (0, 0)], "threads of both jobs");
}

#[test]
fn a_thread_of_one_job_cannot_be_taken_by_another() {
    require_bpf!();
    let mut attribution = load();
    let hand = Hand::hire();
    let [first, second] = [0, 1].map(|c| attribution.begin_job(c).expect("a job"));
    attribution.enlist(hand.tid(), first).expect("a tag");
    let refused = attribution.enlist(hand.tid(), second).expect_err("it works for the first");
    assert!(matches!(refused, TagError::Taken), "{refused}");
}

#[test]
fn threads_that_end_while_they_change_jobs_are_charged_once() {
    require_bpf!();
    let mut attribution = load();
    let [first, second] = [0, 1].map(|c| attribution.begin_job(c).expect("a job"));
    let mut spent = 0;
    for round in 0..200 {
        let mut hand = Hand::hire();
        let worker = attribution.enlist(hand.tid(), first).expect("a tag").expect("an entry");
        spent += 1;
        hand.dismiss();
        if round % 2 == 0 {
            thread::yield_now();
        }
        // An error says that its end came first.
        let _ = attribution.reassign(&worker, Some(second));
        hand.fire();
    }
    wait_until("all ended", || attribution.snapshot().tasks.is_empty());
    let snapshot = attribution.snapshot();
    assert!(snapshot.jobs.iter().all(|job| job.tasks_live == 0), "live: {:?}", snapshot.jobs);
    assert_eq!(snapshot.jobs[0].tasks, spent, "threads of the first job");
    assert_eq!(snapshot.unsettled, 0, "unsettled");
    assert_eq!(attribution.lost(), Default::default(), "lost");
}

/// How much time on CPU came on top.
fn grown(now: &Figures, before: &Figures) -> Option<u64> {
    now.cpu_ns.zip(before.cpu_ns).map(|(now, before)| now - before)
}
