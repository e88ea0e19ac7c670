//! A record as JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

/// Where a record goes.
#[derive(Debug)]
pub enum Target {
    /// A file, which it replaces.
    File(File),
    /// After what is there already.
    StandardOutput,
}

impl Target {
    /// Opens the file, without touching what is in it yet: better to fail before a long run than after it,
    /// and a run that never began leaves the file as it was. `-` is standard output.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::StandardOutput);
        }
        OpenOptions::new().write(true).create(true).truncate(false).open(path).map(Self::File)
    }

    /// Writes the record.
    ///
    /// # Errors
    /// What the system says; a file may then hold a part.
    pub fn write(&self, record: &impl Serialize) -> io::Result<()> {
        match self {
            Self::File(file) => {
                // A device or a pipe has no length to set.
                if file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                write_line(file, record)
            }
            Self::StandardOutput => write_line(io::stdout().lock(), record),
        }
    }
}

fn write_line(to: impl Write, record: &impl Serialize) -> io::Result<()> {
    let mut out = BufWriter::new(to);
    serde_json::to_writer(&mut out, record)?;
    out.write_all(b"\n")?;
    out.flush()
}
