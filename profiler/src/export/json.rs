//! A record as JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

/// Opens the file that a record will go to, without touching what is in it yet: better to fail
/// before a long run than after it, and a run that never began leaves the file as it was.
///
/// # Errors
/// What the system says.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}

/// Replaces the file's content by the record.
///
/// # Errors
/// What the system says; the file may then hold a part.
pub fn write(file: &File, record: &impl Serialize) -> io::Result<()> {
    // A device or a pipe has no length to set.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    let mut out = BufWriter::new(file);
    serde_json::to_writer(&mut out, record)?;
    out.write_all(b"\n")?;
    out.flush()
}
