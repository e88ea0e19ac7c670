//! Fixed amounts of work like that of real programs: compiling, files, transfers, and all at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::binaries;
use crate::disk::Disk;
use crate::sys;

/// Functions in each source that is compiled.
const FUNCTIONS: usize = 20;
/// What the files' part reads and writes, by each of two jobs.
const FILE_MIB: usize = 24;
/// What is sent to ourselves.
const TRANSFER_KIB: usize = 400 << 10;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// As many compilers as CPUs.
    Compile,
    /// Reading and writing past the cache, by two jobs.
    Files,
    /// Loopback connections.
    Transfers,
    /// All of them at once.
    All,
}

/// All kinds, with their names.
pub const LOADS: [(&str, Load); 4] = [
    ("compile, one rustc a CPU", Load::Compile),
    ("files, random 4 KiB past the cache", Load::Files),
    ("transfers over loopback", Load::Transfers),
    ("all at once", Load::All),
];

/// What work took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// From its begin to its end.
    pub seconds: f64,
    /// On CPU, all its processes together.
    pub cpu_seconds: f64,
}

/// What the work needs.
#[derive(Debug)]
pub struct Work {
    /// The folder that all of it happens in.
    pub disk: Disk,
    sources: Vec<PathBuf>,
    /// Whether `fio` is installed; our own workload does the files otherwise.
    pub has_fio: bool,
}

impl Work {
    /// Writes the sources and the file.
    ///
    /// # Errors
    /// Where there is no disk.
    pub fn new() -> Result<Self, String> {
        let disk = Disk::find()?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let sources = (0..cpus).map(|cpu| disk.path(&format!("source{cpu}.rs"))).collect();
        for source in &sources {
            fs::write(source, generated()).map_err(|error| error.to_string())?;
        }
        disk.cold_file("file", FILE_MIB);
        let has_fio = quiet("fio").arg("--version").status().is_ok_and(|status| status.success());
        Ok(Self { disk, sources, has_fio })
    }

    /// Does one kind of work, and says what it took.
    #[must_use]
    pub fn done(&self, load: Load) -> Taken {
        let (began, cpu_before_ns) = (Instant::now(), sys::children_cpu_ns());
        let mut children = Vec::new();
        if matches!(load, Load::Compile | Load::All) {
            children.extend(self.sources.iter().map(|source| spawn(compiler(source))));
        }
        if matches!(load, Load::Files | Load::All) {
            children.extend(self.file_commands().into_iter().map(spawn));
        }
        if matches!(load, Load::Transfers | Load::All) {
            let kib = TRANSFER_KIB.to_string();
            let mut command = quiet(binaries::workload());
            command.args(["sockets", "--what", "tcp", "--kib", &kib]);
            children.push(spawn(command));
        }
        for mut child in children {
            let status = child.wait().expect("a program's end");
            assert!(status.success(), "a part of the load failed: {status}");
        }
        let cpu_ns = sys::children_cpu_ns() - cpu_before_ns;
        Taken { seconds: began.elapsed().as_secs_f64(), cpu_seconds: cpu_ns as f64 / 1e9 }
    }

    fn file_commands(&self) -> Vec<Command> {
        let file = self.disk.path("file").display().to_string();
        let mib = FILE_MIB.to_string();
        if !self.has_fio {
            let mut command = quiet(binaries::workload());
            command.args(["files", "--how", "neighbours", "--file", &file, "--mib", &mib]);
            return vec![command];
        }
        let mut command = quiet("fio");
        command.args(["--name=mixed", "--rw=randrw", "--bs=4k", "--direct=1", "--numjobs=2"]);
        command.args(["--ioengine=psync", "--allow_file_create=0", "--randrepeat=1"]);
        command.arg(format!("--filename={file}")).arg(format!("--size={mib}m"));
        command.arg(format!("--io_size={mib}m"));
        vec![command]
    }
}

fn compiler(source: &Path) -> Command {
    let mut command = quiet("rustc");
    command.args(["--edition=2021", "--crate-type=lib", "--emit=obj", "-Copt-level=2", "-o"]);
    command.arg(source.with_extension("o")).arg(source);
    command
}

fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn spawn(mut command: Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Something for a compiler to do.
fn generated() -> String {
    let function = |number: usize| {
        format!(
            "pub fn f{number}(of: &[u64]) -> Vec<String> {{\n    \
                 let mut sums = std::collections::BTreeMap::new();\n    \
                 for (index, value) in of.iter().enumerate() {{\n        \
                     *sums.entry(value % {}).or_insert(0_u64) += index as u64 ^ {number};\n    \
                 }}\n    \
                 sums.into_iter().map(|(key, sum)| format!(\"{{key}}: {{sum}}\")).collect()\n\
             }}\n",
            number + 2
        )
    };
    (0..FUNCTIONS).map(function).collect()
}
