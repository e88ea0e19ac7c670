//! Work like that of real programs, which goes on for as long as one looks: compiling, files, transfers,
//! and all at once. Every CPU has the same, so that what each part gets does not hang on where the
//! scheduler puts whom. What was done is counted outside of it, by the kernel.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::binaries;
use crate::disk::Disk;
use crate::sys;

/// Functions in a source: some 100 ms for a compiler, and 20,000 page faults in a second of it. Those of
/// redis (7.0) take 450 ms each and 16,500.
const FUNCTIONS: usize = 12;
/// What files are read and written in.
const FILE_MIB: usize = 24;

/// What is sent and received with a call, as `iperf3` does it.
const TRANSFER_BYTES: &str = "131072";

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A compiler after the other: short processes.
    Compile,
    /// Single pages past the cache, read and written everywhere in a file.
    Files,
    /// A connection over loopback.
    Transfers,
}

/// All loads, with their names.
pub const LOADS: [(&str, &[Part]); 4] = [
    ("compile, a C compiler a CPU", &[Part::Compile]),
    ("files, random 4 KiB past the cache", &[Part::Files]),
    ("transfers over loopback", &[Part::Transfers]),
    ("all at once", &[Part::Compile, Part::Files, Part::Transfers]),
];

/// What the work needs.
#[derive(Debug)]
pub struct Work {
    /// The folder that all of it happens in.
    pub disk: Disk,
}

/// Work that goes on until this is dropped.
#[derive(Debug)]
pub struct Running {
    parts: Vec<RunningPart>,
}

#[derive(Debug)]
struct RunningPart {
    part: Part,
    /// One for each CPU.
    children: Vec<Child>,
}

impl Work {
    /// Writes what is compiled, read and written.
    ///
    /// # Errors
    /// Where there is no disk.
    pub fn new() -> Result<Self, String> {
        let disk = Disk::find()?;
        fs::write(disk.path("source.c"), source()).map_err(|error| error.to_string())?;
        disk.cold_file("file", FILE_MIB);
        Ok(Self { disk })
    }

    /// What has to be installed for it and is not.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        let is_there = |program: &&str| quiet(program).arg("--version").status().is_ok();
        ["cc", "fio"].into_iter().find(|program| !is_there(program))
    }

    /// Begins the given parts on every CPU.
    #[must_use]
    pub fn begin(&self, parts: &[Part]) -> Running {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = parts.iter().map(|part| {
            let mut running = RunningPart { part: *part, children: Vec::new() };
            for cpu in 0..cpus {
                let mut command = self.command(*part, cpu);
                // SAFETY: two system calls between fork and exec, and no memory.
                unsafe {
                    command.pre_exec(move || {
                        sys::pin(cpu);
                        sys::die_with_parent();
                        Ok(())
                    })
                };
                command.process_group(0);
                let child = command.spawn();
                running.children.push(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
            }
            running
        });
        Running { parts: parts.collect() }
    }

    fn command(&self, part: Part, cpu: usize) -> Command {
        match part {
            Part::Compile => {
                let mut command = quiet("sh");
                let script = "while cc -O2 -c -o \"$1\" \"$0\"; do :; done";
                command.args(["-c", script]).arg(self.disk.path("source.c"));
                command.arg(self.disk.path(&format!("object{cpu}.o")));
                command
            }
            Part::Files => {
                let mut command = quiet("fio");
                command.args(["--name=mixed", "--rw=randrw", "--bs=4k", "--direct=1", "--thread"]);
                command.args(["--ioengine=psync", "--allow_file_create=0", "--time_based"]);
                command.args(["--runtime=1d", &format!("--size={FILE_MIB}m")]);
                command.arg(format!("--filename={}", self.disk.path("file").display()));
                command
            }
            Part::Transfers => {
                let mut command = quiet(binaries::workload());
                command.args(["sockets", "--what", "tcp", "--piece", TRANSFER_BYTES]);
                command.args(["--kib", &(usize::MAX >> 10).to_string()]);
                command
            }
        }
    }
}

impl Running {
    /// How much each part has done: page faults, pages read and written, bytes over loopback. A compiler has
    /// as many page faults each time that it compiles the same (2,356 to 2,385 of ten), all along; finished
    /// ones are too few to tell what is done in a second.
    #[must_use]
    pub fn done(&self) -> Vec<f64> {
        self.parts.iter().map(RunningPart::done).collect()
    }

    /// What each part has had of the CPUs, in seconds.
    #[must_use]
    pub fn cpu_seconds(&self) -> Vec<f64> {
        let of =
            |part: &RunningPart| part.children.iter().map(|child| cpu_seconds(child.id())).sum();
        self.parts.iter().map(of).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.parts.iter_mut().flat_map(|part| &mut part.children) {
            let _ = sys::kill(-child.id().cast_signed(), libc::SIGKILL);
            let _ = child.wait();
        }
    }
}

impl RunningPart {
    fn done(&self) -> f64 {
        match self.part {
            Part::Compile => page_faults(),
            Part::Files => self.children.iter().map(|child| reads_and_writes(child.id())).sum(),
            Part::Transfers => loopback_bytes(),
        }
    }
}

/// How often a process read or wrote.
fn reads_and_writes(pid: u32) -> f64 {
    let io = read(Path::new(&format!("/proc/{pid}/io")));
    let calls = io.lines().filter_map(|line| {
        line.strip_prefix("syscr: ").or_else(|| line.strip_prefix("syscw: "))?.parse::<f64>().ok()
    });
    calls.sum()
}

/// All of the host: the other parts have hardly any.
fn page_faults() -> f64 {
    let counters = read(Path::new("/proc/vmstat"));
    let faults = counters.lines().find_map(|line| line.strip_prefix("pgfault "));
    faults.and_then(|number| number.parse().ok()).expect("the kernel counts them")
}

/// What the loopback device has received.
fn loopback_bytes() -> f64 {
    let path = PathBuf::from("/sys/class/net/lo/statistics/rx_bytes");
    read(&path).trim().parse().expect("a number")
}

/// What a process had of the CPUs, and its children that it waited for.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = read(Path::new(&format!("/proc/{pid}/stat")));
    // The name, in brackets, may contain anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields = after_name.split_ascii_whitespace();
    let ticks: f64 = fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum();
    // `USER_HZ`, which is 100 on every architecture that we build for.
    ticks / 100.0
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Something for a compiler to do.
fn source() -> String {
    let function = |number: usize| {
        format!(
            "unsigned long f{number}(const unsigned long *of, unsigned long n, unsigned long *sums) {{\n  \
               for (unsigned long i = 0; i < n; i++) {{\n    \
                 unsigned long key = of[i] % {};\n    \
                 if (key > {number}) sums[key] += i ^ {number}; else sums[key] -= i * {};\n  \
               }}\n  \
               unsigned long sum = 0;\n  \
               for (unsigned long i = 0; i < n; i++) sum = sum * 31 + sums[i];\n  \
               return sum;\n\
             }}\n",
            number + 2,
            number + 3
        )
    };
    (0..FUNCTIONS).map(function).collect()
}
