//! Measuring a process that runs already: only what it spends from then on, exactly.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiler_tests::compare::{ByThread, assert_none, by_thread, differences};
use profiler_tests::run::Run;
use profiler_tests::sys::{self, Pid};
use profiler_tests::truth::{self, Figures, Line, Report, What};
use profiler_tests::{binaries, in_small_vm, require_bpf, scale};

/// A traced workload that said it is ready, with its process id.
fn start_traced(folder: &Path, words: &[&str]) -> (Child, Pid) {
    let truth = folder.join("truth");
    let mut tracer = Command::new(binaries::workload())
        .args(["trace", "--report"])
        .arg(&truth)
        .arg("--")
        .arg(binaries::workload())
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tracer");
    let mut line = String::new();
    let out = tracer.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n", "the workload's first line");
    let root = Report::read(&truth).into_iter().find(|line| line.what == What::Root);
    (tracer, root.expect("the tracer's first line").pid)
}

fn finals(lines: &[Line]) -> ByThread {
    let finals = lines.iter().filter(|line| line.what == What::Final);
    finals.map(|line| ((line.pid, line.tid), line.figures)).collect()
}

/// Figures less what was spent before.
fn since(mut now: Figures, before: &Figures) -> Figures {
    for (slot, (_, before)) in now.slots().into_iter().zip(before.named()) {
        *slot = slot.zip(before).map(|(now, before)| now - before);
    }
    now
}

/// Attaches `sessions` times to a process with `threads` sleeping threads, wakes it, and compares
/// what each session says with what the kernel says that was spent since.
fn attach_to_sleepers(threads: usize, sessions: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    sys::make_fifo(&fifo);
    let (fifo_text, others) = (fifo.display().to_string(), (threads - 1).to_string());
    let words = ["wait-then-work", "--fifo", &fifo_text, "--threads", &others];
    let (mut tracer, pid) = start_traced(folder.path(), &words);
    let mut before = ByThread::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten() {
        let tid = task.file_name().to_string_lossy().parse().expect("a thread id");
        // Everything sleeps until the named pipe is opened, so these figures stand still.
        truth::wait_asleep_in(tid, &[libc::SYS_futex, libc::SYS_openat]);
        before.insert((pid, tid), Figures::read(pid, tid));
    }
    assert_eq!(before.len(), threads, "threads before attaching");

    let mut runs = Vec::new();
    for _ in 0..sessions {
        let run = Run::verb("attach").options(&["--pid", &pid.to_string()]).start();
        run.wait_for("attached to");
        runs.push(run);
    }
    drop(fs::File::options().write(true).open(&fifo).expect("the named pipe"));
    tracer.wait().expect("the end of the workload");

    let mut truth = finals(&Report::read(&folder.path().join("truth")));
    assert_eq!(truth.len(), threads + 2, "threads in all, with a new one and the child");
    for (key, figures) in &mut truth {
        if let Some(before) = before.get(key) {
            *figures = since(*figures, before);
        }
    }
    for run in runs {
        let run = run.finish();
        run.assert_success();
        assert_none(&differences(run.session(), &truth), "since attaching");
        run.assert_sums();
    }
}

#[test]
fn a_process_is_charged_for_what_it_spends_after_attaching_to_the_nanosecond() {
    require_bpf!();
    attach_to_sleepers(3, 1);
}

#[test]
fn each_of_hundreds_of_threads_is_charged_from_attaching_on() {
    require_bpf!();
    attach_to_sleepers(scale(500, 30) as usize, 1);
}

#[test]
fn two_sessions_on_one_process_say_the_same() {
    require_bpf!();
    attach_to_sleepers(5, 2);
}

/// Attaches to a program that makes tasks all the time: whatever was born after the first one
/// that is listed is listed too, and is exact.
fn attach_to_a_maker(words: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let attached = folder.path().join("attached");
    let from = attached.display().to_string();
    let words: Vec<&str> = words.iter().copied().chain(["--counted-from", &from]).collect();
    let (mut tracer, pid) = start_traced(folder.path(), &words);
    let run = Run::verb("attach").options(&["--pid", &pid.to_string()]).start();
    run.wait_for("attached to");
    fs::write(&attached, []).expect("the word to come to an end");
    let run = run.finish();
    run.assert_success();
    tracer.wait().expect("the end of the workload");
    run.assert_sums();

    let lines = Report::read(&folder.path().join("truth"));
    let ours = by_thread(run.session());
    let mut made: Vec<_> = lines.into_iter().filter(|line| line.tid != pid).collect();
    made.retain(|line| line.what == What::Final);
    in_order_of_birth(&mut made, pid);
    // The first one may have lived already, and is charged from attaching on.
    let first = made.iter().position(|line| ours.contains_key(&(line.pid, line.tid)));
    let later = &made[first.expect("a task that is listed") + 1..];
    assert!(later.len() > 10, "only {} tasks were born after attaching", later.len());
    let mut session = run.session().clone();
    let born = finals(later);
    session.threads.retain(|thread| born.contains_key(&(thread.pid, thread.tid)));
    assert_none(&differences(&session, &born), "in what was born after attaching");
}

/// A tracer that lags behind its tracees learns of their deaths in any order. Ids are handed out
/// upwards, and from the bottom again when they reach the top.
fn in_order_of_birth(made: &mut [Line], maker: Pid) {
    let most = fs::read_to_string("/proc/sys/kernel/pid_max").expect("the number of ids");
    let most: Pid = most.trim().parse().expect("a number");
    made.sort_by_key(|line| (line.tid - maker).rem_euclid(most));
}

#[test]
fn no_thread_born_while_a_session_begins_is_lost() {
    require_bpf!();
    attach_to_a_maker(&["short-threads", "--ready", "1", "--count", "1000"]);
}

#[test]
fn no_child_born_while_a_session_begins_is_lost() {
    require_bpf!();
    attach_to_a_maker(&["children", "--ready", "1", "--count", "1000"]);
}

/// What the spinner published: moment and CPU clock.
fn published(path: &Path) -> Option<(u64, u64)> {
    let mut bytes = [0; 24];
    fs::File::open(path).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    Some((number(8), number(16)))
}

#[test]
fn a_thread_that_never_leaves_the_cpu_does_not_look_idle() {
    require_bpf!();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("published");
    let mut spinner = Command::new(binaries::workload())
        .args(["spin", "--seconds", "60", "--publish"])
        .arg(&file)
        .spawn()
        .expect("the spinner");
    while published(&file).is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    let pid = spinner.id().to_string();
    let run = Run::verb("attach").options(&["--pid", &pid, "--duration", "1s"]).start();
    let waiter = thread::spawn(move || run.finish());
    let mut samples = Vec::new();
    while !waiter.is_finished() {
        samples.extend(published(&file));
        thread::sleep(Duration::from_millis(1));
    }
    spinner.kill().expect("the spinner");
    spinner.wait().expect("its end");
    let run = waiter.join().expect("the profiler");
    run.assert_success();
    let session = run.session();
    let wall = session.usage.wall_ns.expect("wall_ns");
    let got = session.usage.figures.cpu_ns.expect("cpu_ns");
    // What the spinner used in each stretch of that length while the profiler was there.
    let stretch = |from: &(u64, u64)| {
        let end = samples.iter().find(|sample| sample.0 >= from.0 + wall)?;
        Some(end.1 - from.1)
    };
    let used: Vec<u64> = samples.iter().filter_map(stretch).collect();
    let slack = if in_small_vm() { 100_000_000 } else { 10_000_000 };
    let (least, most) = (used.iter().min(), used.iter().max());
    let (least, most) = (least.expect("a stretch") - slack, most.expect("a stretch") + slack);
    assert!(
        (least..=most).contains(&got),
        "thread {}: cpu_ns in {wall} ns: expected {least} to {most}, got {got}",
        spinner.id()
    );
}

#[test]
fn attaching_for_a_time_ends_after_that_time_and_leaves_the_process_alone() {
    require_bpf!();
    let mut sleeper = Command::new(binaries::workload())
        .args(["many-threads", "--count", "20"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a workload");
    let mut out = sleeper.stdout.take().expect("its output");
    out.read_exact(&mut [0; 6]).expect("its word");
    let begin = Instant::now();
    let pid = sleeper.id().to_string();
    let run = Run::verb("attach").options(&["--pid", &pid, "--duration", "300ms"]).finish();
    run.assert_success();
    assert!(begin.elapsed() >= Duration::from_millis(300), "too early: {:?}", begin.elapsed());
    assert!(sleeper.try_wait().expect("its state").is_none(), "the process ended");
    drop(sleeper.stdin.take());
    assert!(sleeper.wait().expect("its end").success(), "the process was disturbed");
}
