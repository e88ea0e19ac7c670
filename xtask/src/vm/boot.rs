//! One boot of a virtual machine: its first program, its console, its end.
//!
//! The console is the only way out of the guest, so the first program marks there where each
//! command begins and ends, with a word made up for this boot. Promises: a line is passed on as
//! soon as it comes; the whole console is kept in a log; no guest outlives its time limit.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use super::{GuestCommand, needed};
use crate::process;

/// How much of the console an error shows.
const TAIL_LINES: usize = 80;

/// Quiet, but for a kernel that is broken or stuck: that one says where, and ends the guest. The
/// watchdog waits for twice its threshold, because an emulated processor on a busy host is slow.
const KERNEL_LINE: &str = "console=ttyS0 quiet loglevel=3 oops=panic softlockup_panic=1 \
     watchdog_thresh=30 panic=-1";

/// A virtualised guest that has not begun by then will not: it takes two seconds.
const KVM_START: Duration = Duration::from_secs(30);

/// How the emulator reports that virtualisation has failed. It does not exit then.
const KVM_ERROR: &str = "KVM internal error";

/// A virtual machine that is about to be started.
pub(crate) struct Boot {
    kernel: PathBuf,
    log: PathBuf,
    limit: Duration,
    mark: String,
}

/// How a command in the guest ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// What it is called.
    pub(crate) name: String,
    /// Its exit status, as a shell gives it.
    pub(crate) status: i32,
    /// What it wrote, line by line.
    pub(crate) output: Vec<String>,
    /// What its tests wrote into the file that `PROFILER_SKIPPED_LOG` names.
    pub(crate) skipped: Vec<String>,
}

impl Boot {
    /// Prepares a boot of this kernel.
    pub(crate) fn new(kernel: PathBuf, log: PathBuf, limit: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mark = format!("@@{:x}-{:x}", std::process::id(), now.as_nanos());
        Self { kernel, log, limit, mark }
    }

    /// The script that the kernel starts: mounts, runs the commands, turns the machine off.
    pub(crate) fn init(&self, commands: &[GuestCommand]) -> String {
        let mark = &self.mark;
        let mut script = String::from(
            "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=dumb RUST_BACKTRACE=1
export PROFILER_VM=1 PROFILER_BIN=/bin/profiler PROFILER_WORKLOAD=/bin/workload
export PROFILER_SKIPPED_LOG=/tmp/skipped
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
sh /modules/load
ip link set lo up
hostname guest
cd /tmp
",
        );
        for (index, GuestCommand { line, .. }) in commands.iter().enumerate() {
            // The empty line ends whatever the command left unfinished.
            write!(
                script,
                "rm -f /tmp/skipped
echo '{mark} begin {index}'
( {line}
) </dev/null
status=$?
echo
echo \"{mark} skipped {index}\"
[ -e /tmp/skipped ] && cat /tmp/skipped
echo \"{mark} end {index} $status\"
"
            )
            .ok();
        }
        writeln!(script, "echo '{mark} off'\npoweroff -f").ok();
        script
    }

    /// Starts the machine and follows it to its end: virtualised where that works, else emulated.
    pub(crate) fn run(&self, initrd: &Path, commands: &[GuestCommand]) -> Result<Outcome> {
        // That the device can be opened does not yet mean that guests run: nested virtualisation
        // may lack half of the instructions.
        if File::options().read(true).write(true).open("/dev/kvm").is_ok() {
            let outcome = self.attempt(&["kvm", "-cpu", "host"], KVM_START, initrd, commands)?;
            if !outcome.virtualisation_broken() {
                return Ok(outcome);
            }
            eprintln!("/dev/kvm is there but does not run this guest; emulating the processor");
        }
        // One thread for all emulated processors. With a thread each, a processor can go on running
        // a breakpoint that the kernel has long replaced: attaching to tracepoints patches the
        // kernel's code while the others run it, and the guest hangs within minutes.
        self.attempt(&["tcg,thread=single"], self.limit, initrd, commands)
    }

    fn attempt(
        &self,
        accelerator: &[&str],
        start: Duration,
        initrd: &Path,
        commands: &[GuestCommand],
    ) -> Result<Outcome> {
        let mut command = needed::emulator()?;
        command.args(["-smp", "2", "-m", "2G", "-no-reboot", "-nodefaults", "-nic", "none"]);
        command.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-accel"]);
        command.args(accelerator);
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(initrd);
        command.args(["-append", KERNEL_LINE]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        eprintln!("+ {}", process::shown(&command));
        let child = command.spawn().context("cannot start qemu-system-x86_64")?;
        let mut machine = Machine { child };
        let console = machine.console()?;
        let log = File::create(&self.log).with_context(|| self.log.display().to_string())?;
        self.follow(&mut machine, &console, log, start, commands)
    }

    fn follow(
        &self,
        machine: &mut Machine,
        console: &Receiver<String>,
        mut log: File,
        start: Duration,
        commands: &[GuestCommand],
    ) -> Result<Outcome> {
        let started = Instant::now();
        let mut reader = Reader::new(&self.mark, commands);
        let mut tail = VecDeque::new();
        let why = loop {
            let limit = if reader.began { self.limit } else { start };
            let line = console.recv_timeout(limit.saturating_sub(started.elapsed()));
            match line {
                Ok(line) => {
                    writeln!(log, "{line}").with_context(|| self.log.display().to_string())?;
                    reader.take(&line);
                    let dead = line.starts_with(KVM_ERROR);
                    tail.push_back(line);
                    if tail.len() > TAIL_LINES {
                        tail.pop_front();
                    }
                    if dead {
                        break "stopped".to_owned();
                    }
                }
                // All was done, whether or not the machine finds its switch.
                Err(_) if reader.off => return Ok(reader.outcome(None)),
                Err(RecvTimeoutError::Disconnected) => {
                    break "ended before its last command".to_owned();
                }
                Err(RecvTimeoutError::Timeout) => break format!("was not done after {limit:?}"),
            }
        };
        // What the guest had begun to write: without it the test that hangs has no name.
        machine.stop();
        for line in console.iter().filter(|line| !line.is_empty()) {
            writeln!(log, "{line}").with_context(|| self.log.display().to_string())?;
            tail.push_back(line);
        }
        let failure = format!(
            "the guest {why}, with {} of {} commands done; its console ends with:\n{}\n\
             the whole console: {}",
            reader.ended.len(),
            commands.len(),
            tail.make_contiguous().join("\n"),
            self.log.display()
        );
        Ok(reader.outcome(Some(failure)))
    }
}

/// What came of a boot.
pub(crate) struct Outcome {
    /// The commands that ended, in their order.
    pub(crate) finished: Vec<Finished>,
    /// Why the rest did not.
    pub(crate) failure: Option<String>,
    began: bool,
}

impl Outcome {
    /// Whether this looks like the fault of the virtualisation instead of the guest's.
    fn virtualisation_broken(&self) -> bool {
        self.failure.as_ref().is_some_and(|why| !self.began || why.contains(KVM_ERROR))
    }
}

/// A running emulator, ended when nobody follows it any more.
struct Machine {
    child: Child,
}

impl Machine {
    /// The lines of the guest's console, and of what the emulator has to say itself.
    fn console(&mut self) -> Result<Receiver<String>> {
        let (sender, receiver) = mpsc::channel();
        let out = self.child.stdout.take().context("the emulator's output")?;
        let errors = self.child.stderr.take().context("the emulator's messages")?;
        let pipes: [Box<dyn Read + Send>; 2] = [Box::new(out), Box::new(errors)];
        for pipe in pipes {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(receiver)
    }

    fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sorts the console's lines by the command that they belong to.
struct Reader<'a> {
    mark: &'a str,
    commands: &'a [GuestCommand],
    ended: Vec<Finished>,
    /// The command that is running, and whether the list of what it skipped has begun.
    open: Option<(Finished, bool)>,
    began: bool,
    off: bool,
}

impl<'a> Reader<'a> {
    fn new(mark: &'a str, commands: &'a [GuestCommand]) -> Self {
        Self { mark, commands, ended: Vec::new(), open: None, began: false, off: false }
    }

    fn outcome(self, failure: Option<String>) -> Outcome {
        Outcome { finished: self.ended, failure, began: self.began }
    }

    fn take(&mut self, line: &str) {
        // Not only at the start: a kernel message may have come in between.
        let Some((before, words)) = line.split_once(self.mark) else {
            match &mut self.open {
                Some((finished, true)) => finished.skipped.push(line.to_owned()),
                Some((finished, false)) => {
                    println!("{line}");
                    finished.output.push(line.to_owned());
                }
                None => {}
            }
            return;
        };
        let words: Vec<&str> = words.split_whitespace().collect();
        match (words.as_slice(), self.open.take()) {
            (["off"], _) => self.off = true,
            (["begin", index], _) => {
                self.began = true;
                let command = index.parse().ok().and_then(|index: usize| self.commands.get(index));
                let name = command.map(|command| command.name.clone()).unwrap_or_default();
                eprintln!("--- {name}");
                let finished =
                    Finished { name, status: -1, output: Vec::new(), skipped: Vec::new() };
                self.open = Some((finished, false));
            }
            (["skipped", _], Some((mut finished, _))) => {
                if !before.is_empty() {
                    finished.output.push(before.to_owned());
                }
                self.open = Some((finished, true));
            }
            (["end", _, status], Some((mut finished, _))) => {
                finished.status = status.parse().unwrap_or(-1);
                finished.skipped.retain(|line| line.starts_with("SKIPPED: "));
                self.ended.push(finished);
            }
            _ => {}
        }
    }
}
