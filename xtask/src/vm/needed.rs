//! The emulator and busybox: the machine's own, or Debian's.
//!
//! Promises: what is installed stays. Where apt would take something away to install them, or where
//! nothing may be installed, they are unpacked in the cache with all that they need, and run there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::initramfs;
use crate::apt;
use crate::process::{self, Rights};

/// Where Debian's packages put libraries.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// The emulator, without arguments but for those that say where its files are.
pub(crate) fn emulator() -> Result<Command> {
    let (program, unpacked) = provide("qemu-system-x86", "qemu-system-x86_64", |_| true)?;
    let mut command = Command::new(program);
    if let Some(folder) = unpacked {
        let libraries = LIBRARIES.map(|libraries| folder.join(libraries));
        command.env("QEMU_MODULE_DIR", libraries[0].join("qemu"));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(folder.join(data));
        }
    }
    Ok(command)
}

/// A busybox that needs no libraries.
pub(crate) fn busybox() -> Result<PathBuf> {
    let needs_none =
        |program: &Path| initramfs::libraries(program).is_ok_and(|libraries| libraries.is_empty());
    provide("busybox-static", "busybox", needs_none).map(|(program, _)| program)
}

/// A program of a package; and the folder in which the package is unpacked, if it is.
fn provide(
    package: &str,
    name: &str,
    fits: impl Fn(&Path) -> bool,
) -> Result<(PathBuf, Option<PathBuf>)> {
    let installed = || process::find_program(name).filter(|program| fits(program));
    if let Some(program) = installed() {
        return Ok((program, None));
    }
    let folder = process::cache()?.join("vm").join(package);
    let unpacked = || {
        let places = ["bin", "usr/bin"].map(|bin| folder.join(bin).join(name));
        places.into_iter().find(|program| process::is_program(program))
    };
    if let Some(program) = unpacked() {
        return Ok((program, Some(folder)));
    }
    if !apt::available() {
        bail!("virtual machines need {name}, which is not installed");
    }
    let rights = process::rights();
    if rights != Rights::None && !apt::can_install(package) {
        process::run(&mut apt::update_command(rights))?;
    }
    if rights != Rights::None && apt::can_install(package) {
        eprintln!("installing {package}, about a minute");
        apt::install(rights, &[package.to_owned()])?;
        let program = installed().with_context(|| format!("{package} brought no {name}"))?;
        return Ok((program, None));
    }
    eprintln!("{package} cannot be installed beside what there is; unpacking it, about a minute");
    apt::unpack(package, &folder)?;
    let program = unpacked().with_context(|| format!("{package} holds no {name}"))?;
    Ok((program, Some(folder)))
}
