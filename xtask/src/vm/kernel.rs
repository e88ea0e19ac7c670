//! Kernels for the virtual machines, out of Debian's packages.
//!
//! Promises: the newest of a series that the package lists offer, signed and without debugging
//! symbols; nothing is installed; a kernel once fetched stays in the cache under its package's
//! version, and serves when the package is no longer offered or there is no network. With it come
//! the modules that tests need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::process::{self, Rights};

/// A kernel that is ready to boot.
pub(crate) struct Kernel {
    /// Its package and version, as the cache names it.
    pub(crate) package: String,
    /// The image.
    pub(crate) image: PathBuf,
    /// Files of modules with their arguments, in the order in which they can be loaded.
    pub(crate) modules: Vec<(PathBuf, &'static str)>,
}

/// Modules that tests need, below the package's folder of modules, and their arguments: disks whose
/// number, size and speed a test chooses, through configfs.
const MODULES: [(&str, &str); 2] =
    [("fs/configfs/configfs", ""), ("drivers/block/null_blk/null_blk", "nr_devices=0")];

/// Finds the series' newest kernel, fetching it if need be.
pub(crate) fn find(series: &str) -> Result<Kernel> {
    let cache = process::cache()?.join("vm");
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    match newest(series).and_then(|package| fetch(&cache, &package)) {
        Ok(kernel) => Ok(kernel),
        Err(first) => match with_new_lists(&cache, series, first) {
            Ok(kernel) => Ok(kernel),
            Err(error) => {
                let kernel = newest_cached(&cache, series).with_context(|| {
                    format!("no kernel {series} to be had, and none in the cache: {error:#}")
                })?;
                eprintln!("using {} from the cache: {error:#}", kernel.package);
                Ok(kernel)
            }
        },
    }
}

/// A package that the lists name but the archive no longer has, or lists that name none: new
/// lists help with both.
fn with_new_lists(cache: &Path, series: &str, first: anyhow::Error) -> Result<Kernel> {
    let rights = process::rights();
    if !apt::available() || rights == Rights::None {
        return Err(first);
    }
    process::run(&mut apt::update_command(rights))?;
    fetch(cache, &newest(series)?)
}

/// The name of the series' newest package.
fn newest(series: &str) -> Result<String> {
    let dotted = series.replace('.', r"\.");
    let packages = apt::search(&format!(r"^linux-image-{dotted}\.[0-9].*-cloud-amd64$"));
    packages
        .into_iter()
        .max_by_key(|package| numbers(package))
        .with_context(|| format!("the package lists offer no linux-image-{series}.*-cloud-amd64"))
}

/// The numbers in a name, which order kernel packages: `6.1.0-9` comes before `6.1.0-10`.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Takes the package's kernel from the cache, or else from the archive.
fn fetch(cache: &Path, package: &str) -> Result<Kernel> {
    let version = apt::candidate(package)
        .with_context(|| format!("the package lists have no version of {package}"))?;
    let name = format!("{package}_{}", version.replace(['/', ':'], "_"));
    let kept = cache.join(&name);
    if let Some(kernel) = kernel_in(&kept).filter(|kernel| kernel.modules.len() == MODULES.len()) {
        return Ok(kernel);
    }
    eprintln!("downloading {package} {version}, some tens of megabytes");
    let work = cache.join(format!("unpacking-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let unpacked = unpack(&work, package);
    let moved = unpacked.and_then(|boot| {
        // Only whole kernels appear under the final name, whatever happens in between.
        fs::remove_dir_all(&kept).ok();
        fs::rename(&boot, &kept).with_context(|| kept.display().to_string())
    });
    fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    moved?;
    kernel_in(&kept).with_context(|| format!("{package} holds no /boot/vmlinuz-*"))
}

/// Downloads the package into the folder and unpacks it there; returns its /boot, with the modules.
fn unpack(work: &Path, package: &str) -> Result<PathBuf> {
    let mut command = Command::new("apt-get");
    process::run(command.current_dir(work).args(["-q", "download", package]))?;
    let files = fs::read_dir(work).with_context(|| work.display().to_string())?;
    let archive = files
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get download {package} left no .deb"))?;
    process::run(Command::new("dpkg").arg("-x").arg(&archive).arg(work.join("files")))?;
    let boot = work.join("files/boot");
    let versions = work.join("files/lib/modules");
    let versions = fs::read_dir(&versions).with_context(|| versions.display().to_string())?;
    for folder in versions.flatten() {
        for (module, _) in MODULES {
            let path = folder.path().join("kernel").join(module);
            let compressed = PathBuf::from(format!("{}.ko.xz", path.display()));
            let found = if compressed.exists() { compressed } else { path.with_extension("ko") };
            let name = found.file_name().context("a module without a name")?;
            fs::copy(&found, boot.join(name)).with_context(|| found.display().to_string())?;
        }
    }
    Ok(boot)
}

/// The kernel in a folder, with those modules that are there.
fn kernel_in(folder: &Path) -> Option<Kernel> {
    let files: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|file| file.file_name()).collect();
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let name = files.iter().find(|name| name.to_str().is_some_and(is_it))?;
        Some(folder.join(name))
    };
    let module = |(module, arguments): (&str, &'static str)| {
        let name = format!("{}.ko", module.rsplit('/').next()?);
        Some((find(&|file| file.starts_with(&name))?, arguments))
    };
    Some(Kernel {
        package: folder.file_name()?.to_string_lossy().into_owned(),
        image: find(&|file| file.starts_with("vmlinuz-"))?,
        modules: MODULES.into_iter().filter_map(module).collect(),
    })
}

/// The newest kernel of the series that was fetched before.
fn newest_cached(cache: &Path, series: &str) -> Result<Kernel> {
    let prefix = format!("linux-image-{series}.");
    let folders = fs::read_dir(cache).with_context(|| cache.display().to_string())?;
    let newest = folders
        .flatten()
        .filter_map(|folder| kernel_in(&folder.path()))
        .filter(|kernel| kernel.package.starts_with(&prefix))
        .max_by_key(|kernel| numbers(&kernel.package));
    match newest {
        Some(kernel) => Ok(kernel),
        None => bail!("{} holds no {prefix}*", cache.display()),
    }
}
