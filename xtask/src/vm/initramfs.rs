//! The guest's root file system: a cpio archive that the kernel unpacks into memory.
//!
//! Written here instead of with `cpio`, so that device files need no root and there is one program
//! less to install. Promises: programs find their libraries at the host's paths, and debugging
//! sections stay behind, because they are most of a test program's size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// The files of the guest, by absolute path. Folders come into being with their files.
#[derive(Default)]
pub(crate) struct Root {
    entries: BTreeMap<PathBuf, Entry>,
}

enum Entry {
    Folder,
    File { mode: u32, content: Vec<u8> },
    Link { to: &'static str },
    Console,
}

impl Root {
    /// Adds a text file.
    pub(crate) fn text(&mut self, path: &str, mode: u32, content: &str) {
        self.file(Path::new(path), mode, content.as_bytes().to_vec());
    }

    /// Adds busybox, the files that make a system of it, and the places to mount things.
    pub(crate) fn busybox(&mut self, busybox: &Path) -> Result<()> {
        self.program(busybox, Path::new("/bin/busybox"))?;
        self.text("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:\n");
        self.text("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n");
        self.text("/etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n");
        for place in ["/dev", "/proc", "/root", "/run", "/sys", "/tmp"] {
            self.entries.insert(place.into(), Entry::Folder);
        }
        self.entries.insert("/dev/console".into(), Entry::Console);
        Ok(())
    }

    /// Adds a program of the host, with its libraries.
    pub(crate) fn program(&mut self, from: &Path, to: &Path) -> Result<()> {
        for library in libraries(from)? {
            let content = read(&library)?;
            self.file(&library, 0o755, content);
        }
        self.file(to, 0o755, stripped(from)?);
        Ok(())
    }

    /// Adds modules of the kernel, and a script that loads them.
    pub(crate) fn modules(&mut self, modules: &[(PathBuf, &str)]) -> Result<()> {
        let mut script = String::new();
        for (from, arguments) in modules {
            let name = from.file_name().context("a module without a name")?;
            let to = Path::new("/modules").join(name);
            self.file(&to, 0o644, read(from)?);
            writeln!(script, "insmod {} {arguments}", to.display())?;
        }
        script.push_str("mount -t configfs configfs /sys/kernel/config\n");
        self.text("/modules/load", 0o755, &script);
        Ok(())
    }

    fn file(&mut self, path: &Path, mode: u32, content: Vec<u8>) {
        for folder in path.ancestors().skip(1).filter(|folder| folder.parent().is_some()) {
            self.entries.entry(folder.to_path_buf()).or_insert(Entry::Folder);
        }
        self.entries.insert(path.to_path_buf(), Entry::File { mode, content });
    }

    /// Writes the archive.
    pub(crate) fn write(&mut self, path: &Path) -> Result<()> {
        // Scripts expect tools in these folders too; a folder with files of its own stays.
        for (link, to) in [("/usr/bin", "../bin"), ("/sbin", "bin"), ("/usr/sbin", "../bin")] {
            self.entries.entry("/usr".into()).or_insert(Entry::Folder);
            self.entries.entry(link.into()).or_insert(Entry::Link { to });
        }
        let mut out = BufWriter::new(File::create(path)?);
        // In the order of the paths, so that each folder precedes what is in it.
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            let name = path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes();
            let (mode, device, content): (u32, (u32, u32), &[u8]) = match entry {
                Entry::Folder => (0o040_755, (0, 0), &[]),
                Entry::File { mode, content } => (0o100_000 | mode, (0, 0), content),
                Entry::Link { to } => (0o120_777, (0, 0), to.as_bytes()),
                Entry::Console => (0o020_600, (5, 1), &[]),
            };
            write_entry(&mut out, number, name, mode, device, content)?;
        }
        write_entry(&mut out, 0, b"TRAILER!!!", 0, (0, 0), &[])?;
        out.flush()?;
        Ok(())
    }
}

/// One file in the format "newc": a header of hexadecimal fields, the name and the content, each
/// filled up to four bytes.
fn write_entry(
    out: &mut impl Write,
    number: u32,
    name: &[u8],
    mode: u32,
    device: (u32, u32),
    content: &[u8],
) -> io::Result<()> {
    let too_big = |_| io::Error::new(io::ErrorKind::FileTooLarge, "more than 4 GiB in one file");
    let size = u32::try_from(content.len()).map_err(too_big)?;
    let name_size = u32::try_from(name.len() + 1).map_err(too_big)?;
    let (owner, group, links, modified, check) = (0, 0, 1, 0, 0);
    write!(out, "070701")?;
    let fields = [number, mode, owner, group, links, modified, size, 0, 0, device.0, device.1];
    for field in fields.into_iter().chain([name_size, check]) {
        write!(out, "{field:08x}")?;
    }
    out.write_all(name)?;
    // The header's 110 bytes count too.
    out.write_all(&[0; 4][..1 + padding(110 + name.len() + 1)])?;
    out.write_all(content)?;
    out.write_all(&[0; 4][..padding(content.len())])
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// The libraries that the dynamic linker would load, and that linker itself. A file that is not a
/// program, or not a dynamic one, has none.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("ldd");
    let output = command.arg(program).output().context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        anyhow::bail!("{}: a library is missing: {}", program.display(), line.trim());
    }
    // "libc.so.6 => /lib/libc.so.6 (0x7f..)", "/lib64/ld-linux-x86-64.so.2 (0x7f..)"
    let words =
        text.lines().filter_map(|line| line.split_whitespace().find(|w| w.starts_with('/')));
    Ok(words.filter(|word| !word.ends_with(':')).map(PathBuf::from).collect())
}

/// The program without debugging sections; the symbols stay, for backtraces.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    if process::find_program("strip").is_none() || !read(program)?.starts_with(b"\x7fELF") {
        return read(program);
    }
    let copy = std::env::temp_dir().join(format!("profiler-stripped-{}", std::process::id()));
    let mut command = Command::new("strip");
    command.arg("--strip-debug").arg("-o").arg(&copy).arg(program);
    let content = process::answer(&mut command).and_then(|_| read(&copy));
    fs::remove_file(&copy).ok();
    content
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
