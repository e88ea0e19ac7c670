//! `trace [--uid N] --report FILE -- PROGRAM ARGS...`: runs a program, as that user, and writes the
//! final figures of each thread that it ever had, to the nanosecond.
//!
//! A dead thread stays a zombie until its tracer reaped it, and a zombie's files under `/proc`
//! hold its final figures. So this process seizes the program, lets the kernel hand it each new
//! thread and child, and reads every one of them between its death and its burial. It stops
//! nobody in the middle of work: a tracee halts only when it makes a child, runs `exec` or gets
//! a signal. What the kernel will not hand over (io_uring's workers are cloned untraced) is
//! looked for whenever a tracee gets SIGURG, which workloads send themselves for that purpose,
//! and which does nothing without a tracer.
//!
//! One task has no final reading: a leader whose place another thread took by `exec`; the
//! kernel buries it itself. It is reported as [`What::AtLeast`], as last seen.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::process::ExitCode;

use super::args::Args;
use crate::sys::{self, Fork, Pid};
use crate::truth::{Figures, Line, Report, What, labelled, of_dead};

const OPTIONS: i32 = libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC;

/// What is remembered of a living tracee.
struct Tracee {
    pid: Pid,
    parent: Option<Pid>,
}

struct Tracer {
    report: Report,
    tracees: HashMap<Pid, Tracee>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let (program, arguments) = args.rest.split_first().expect("a program after --");
    let (gate, opener) = io::pipe().expect("a pipe");
    let root = match sys::fork() {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            drop(opener);
            // Until the tracer is there, which says so by closing its end.
            io::Read::read(&mut &gate, &mut [0]).expect("reading from the tracer");
            drop(gate);
            let uid = args.get("uid", 0);
            if uid != 0 {
                sys::become_user(uid);
            }
            let error = sys::exec(program.as_ref(), arguments);
            eprintln!("{program}: {error}");
            sys::exit_group(127);
        }
    };
    let mut tracer = Tracer { report: args.report(), tracees: HashMap::new() };
    seize(root).expect("seizing the program");
    tracer.report.write(&[Line::new(What::Root, root, root)]);
    tracer.met(root);
    drop((gate, opener));

    let mut root_status = 0;
    let wanted = libc::WEXITED | libc::WSTOPPED | libc::__WALL;
    while let Ok((tid, dead)) = sys::wait_and_leave(None, wanted) {
        if dead {
            tracer.died(tid);
        }
        let Ok((_, status)) = sys::wait(tid, libc::__WALL) else { continue };
        if libc::WIFSTOPPED(status) {
            tracer.stopped(tid, status);
        } else if tid == root {
            root_status = status;
        }
    }
    end_like(root_status)
}

impl Tracer {
    /// Remembers a task the first time it is seen.
    fn met(&mut self, tid: Pid) {
        if self.tracees.contains_key(&tid) {
            return;
        }
        let status = fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
        let id = |label| labelled(&status, label).and_then(|id| Pid::try_from(id).ok());
        let Some(pid) = id("Tgid") else { return };
        let parent = (pid == tid).then(|| id("PPid")).flatten();
        self.tracees.insert(tid, Tracee { pid, parent });
    }

    /// Writes down a zombie.
    fn died(&mut self, tid: Pid) {
        self.met(tid);
        let Some(tracee) = self.tracees.remove(&tid) else { return };
        let mut line = of_dead(tracee.pid, tid);
        line.parent = tracee.parent;
        self.report.write(&[line]);
    }

    /// Lets a stopped tracee go on, learning from why it stopped.
    fn stopped(&mut self, tid: Pid, status: i32) {
        self.met(tid);
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let group_stop = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        match event {
            libc::PTRACE_EVENT_STOP if group_stop.contains(&signal) => {
                resume(libc::PTRACE_LISTEN, tid, 0);
            }
            libc::PTRACE_EVENT_EXEC => {
                self.replaced(tid);
                resume(libc::PTRACE_CONT, tid, 0);
            }
            0 => {
                if signal == libc::SIGURG {
                    self.look_for_untraced(tid);
                }
                resume(libc::PTRACE_CONT, tid, signal);
            }
            _ => resume(libc::PTRACE_CONT, tid, 0),
        }
    }

    /// After an exec: the thread that ran it goes on under the leader's id, and the old leader,
    /// if that was another thread, is gone without a zombie.
    fn replaced(&mut self, pid: Pid) {
        let former = event_message(pid);
        if former == pid {
            return;
        }
        let mut line = Line::new(What::Exec, pid, former);
        line.figures = Figures::read(pid, pid);
        self.report.write(&[line]);
        self.tracees.remove(&former);
    }

    /// Seizes the threads of a process that the kernel did not hand over.
    fn look_for_untraced(&mut self, tid: Pid) {
        let pid = self.tracees.get(&tid).map_or(tid, |tracee| tracee.pid);
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.flatten() {
            let Ok(task) = task.file_name().to_string_lossy().parse::<Pid>() else { continue };
            if !self.tracees.contains_key(&task) && seize(task).is_ok() {
                self.met(task);
            }
        }
    }
}

fn seize(tid: Pid) -> io::Result<()> {
    let (none, options) = (std::ptr::null_mut::<libc::c_void>(), i64::from(OPTIONS));
    // SAFETY: PTRACE_SEIZE reads no memory of ours; the options travel in the pointer's place.
    match unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, none, options) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn resume(how: libc::c_uint, tid: Pid, signal: i32) {
    let (none, signal) = (std::ptr::null_mut::<libc::c_void>(), i64::from(signal));
    // SAFETY: no memory of ours is involved. It fails when the tracee was killed meanwhile, which
    // the next wait tells.
    unsafe { libc::ptrace(how, tid, none, signal) };
}

fn event_message(tid: Pid) -> Pid {
    let mut message: libc::c_ulong = 0;
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel writes one `unsigned long` at the address given.
    unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, none, &raw mut message) };
    Pid::try_from(message).unwrap_or(tid)
}

/// Ends as the program did, by the same signal or with the same status.
fn end_like(status: i32) -> ExitCode {
    if libc::WIFSIGNALED(status) {
        super::exits::die_of(libc::WTERMSIG(status));
    }
    ExitCode::from(u8::try_from(libc::WEXITSTATUS(status)).expect("a status above 255"))
}
