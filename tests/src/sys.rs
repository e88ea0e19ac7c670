//! The few system calls that the workloads and the harness need and `std` does not have, each
//! behind a safe function.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A process or thread id as the kernel gives it.
pub type Pid = i32;

/// Where `fork` came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// In the new process.
    Child,
    /// In the old one, with the new one's id.
    Parent(Pid),
}

/// Makes a second process. The caller must have one thread only.
pub fn fork() -> Fork {
    // SAFETY: no memory is passed. The workloads fork while they have a single thread, so no lock
    // is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        0 => Fork::Child,
        pid if pid > 0 => Fork::Parent(pid),
        _ => panic!("fork: {}", io::Error::last_os_error()),
    }
}

/// As [`fork`], with a process id of the caller's choice, which must be free. Needs privilege.
pub fn fork_as(pid: Pid) -> io::Result<Fork> {
    // SAFETY: all-zero asks for nothing special.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.exit_signal = u64::try_from(libc::SIGCHLD).expect("a small number");
    how.set_tid = &raw const pid as u64;
    how.set_tid_size = 1;
    // SAFETY: `how` and `pid` live past the call; no stack is given, so this is a plain fork.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut how, size_of_val(&how)) } {
        0 => Ok(Fork::Child),
        child if child > 0 => Ok(Fork::Parent(Pid::try_from(child).expect("a pid"))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From now on children are born into a process-id namespace of their own.
pub fn enter_pid_namespace() -> io::Result<()> {
    // SAFETY: plain numbers.
    match unsafe { libc::unshare(libc::CLONE_NEWPID) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// This thread's id.
pub fn gettid() -> Pid {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::gettid() }
}

/// This process's id.
pub fn getpid() -> Pid {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::getpid() }
}

/// The effective user id.
pub fn geteuid() -> u32 {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes this thread, and no other, a user's: the system call as such, which concerns one thread.
pub fn become_user(uid: u32) {
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    assert_eq!(result, 0, "root may become anybody");
}

/// Brings what this process maps into memory and keeps it there.
pub fn stay_in_memory() {
    // SAFETY: a plain number.
    let done = unsafe { libc::mlockall(libc::MCL_CURRENT) };
    assert_eq!(done, 0, "mlockall: {}", io::Error::last_os_error());
}

/// As many descriptors as this process may have, which is returned.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a valid value.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    limit.rlim_cur
}

/// Ends the whole process at once, running no exit handlers.
pub fn exit_group(code: i32) -> ! {
    // SAFETY: does not return; nothing of this process is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Ends only the calling thread, inside the system call; no destructor runs.
pub fn exit_thread() -> ! {
    // SAFETY: the thread's stack is left as it is (leaked); the kernel wakes whoever joins it.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("SYS_exit came back")
}

/// Reads one of the kernel's clocks, in nanoseconds.
pub fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing for the length of the call.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(done, 0, "clock_gettime({clock}): {}", io::Error::last_os_error());
    let part = |value: i64| u64::try_from(value).expect("a clock before its origin");
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// The calling thread's CPU time, brought up to date by the kernel for this call.
pub fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of a process, its dead threads included, by the kernel's process clock.
pub fn process_cpu_ns(pid: Pid) -> u64 {
    // The kernel's encoding of "scheduler clock of process PID": see clock_getcpuclockid(3).
    clock_ns((!pid << 3) | 2)
}

/// Binds this thread to one CPU.
pub fn pin(cpu: usize) {
    run_on([cpu]);
}

/// Lets this thread run on every CPU again.
pub fn unpin() {
    run_on(0..libc::CPU_SETSIZE as usize);
}

fn run_on(cpus: impl IntoIterator<Item = usize>) {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus {
        // SAFETY: `CPU_SET` bounds-checks by the size of the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: the set outlives the call and its true size is given.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(done, 0, "sched_setaffinity: {}", io::Error::last_os_error());
}

/// Has the kernel kill this process when the thread that started it ends, however it ends.
pub fn die_with_parent() {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Gives the CPU to whoever waits for it.
pub fn yield_now() {
    // SAFETY: takes no argument.
    unsafe { libc::sched_yield() };
}

/// Sends a signal to a process.
pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts a session of its own, away from the caller's terminal and group.
pub fn setsid() {
    // SAFETY: takes no argument.
    let session = unsafe { libc::setsid() };
    assert!(session > 0, "setsid: {}", io::Error::last_os_error());
}

/// Waits until a signal handler ran, or for ever.
pub fn pause() {
    // SAFETY: takes no argument.
    unsafe { libc::pause() };
}

/// Replaces this process by another program, from whichever thread calls it.
pub fn exec(program: &Path, arguments: &[String]) -> io::Error {
    let text = |bytes: &[u8]| CString::new(bytes).expect("an argument with a NUL");
    let program = text(program.as_os_str().as_bytes());
    let owned: Vec<CString> = arguments.iter().map(|word| text(word.as_bytes())).collect();
    let mut words: Vec<*const libc::c_char> = vec![program.as_ptr()];
    words.extend(owned.iter().map(|word| word.as_ptr()));
    words.push(std::ptr::null());
    // SAFETY: every pointer is a NUL-terminated string that lives past the call, and the list
    // ends with a null pointer.
    unsafe { libc::execvp(program.as_ptr(), words.as_ptr()) };
    io::Error::last_os_error()
}

/// Waits for an event of one child (or of any, with `None`) and leaves it there to be waited for
/// again. Gives the id that the event is about and whether that task is dead.
pub fn wait_and_leave(child: Option<Pid>, options: i32) -> io::Result<(Pid, bool)> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let (kind, id) = match child {
        Some(pid) => (libc::P_PID, u32::try_from(pid).expect("a negative pid")),
        None => (libc::P_ALL, 0),
    };
    loop {
        // SAFETY: `info` is valid for writing.
        let done = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options | libc::WNOWAIT) };
        if done == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: zeroed first and then filled by the call.
    let info = unsafe { info.assume_init() };
    let dead = matches!(info.si_code, libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED);
    // SAFETY: waitid fills the fields of a SIGCHLD.
    Ok((unsafe { info.si_pid() }, dead))
}

/// Time on CPU of all children that were waited for, in whole microseconds of user and system time.
pub fn children_cpu_ns() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: there is room for the answer.
    let done = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    assert_eq!(done, 0, "getrusage: {}", io::Error::last_os_error());
    // SAFETY: the kernel filled it in, and zeros are a value.
    let usage = unsafe { usage.assume_init() };
    let us = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    u64::try_from(us(usage.ru_utime) + us(usage.ru_stime)).expect("a time") * 1000
}

/// Takes one event of a child away and gives its wait status.
pub fn wait(child: Pid, options: i32) -> io::Result<(Pid, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for writing.
        let pid = unsafe { libc::waitpid(child, &raw mut status, options) };
        if pid >= 0 {
            return Ok((pid, status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Makes a named pipe.
pub fn make_fifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("a path with a NUL");
    // SAFETY: the name is NUL-terminated and lives past the call.
    let done = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(done, 0, "mkfifo {}: {}", path.display(), io::Error::last_os_error());
}

/// Lets a program find the usual signals at their defaults, whoever runs the tests and however:
/// under `nohup`, say, it would find one ignored, and a shell cannot trap that.
pub fn with_default_signals(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt as _;

    const USUAL: [i32; 5] =
        [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1];
    let reset = || {
        for signal in USUAL {
            // SAFETY: may be called between fork and exec, and these signals may have their defaults.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the closure makes only calls that are safe there.
    unsafe { command.pre_exec(reset) }
}
