//! Pins: names in bpffs under which programs, links and maps outlive the process that made them, so
//! that jobs are counted while the agent restarts.
//!
//! All pins of one build lie in a folder that is named after the object's content, so that a build
//! with other layouts never takes them for its own. The folder gets that name last: one that has it
//! is complete.

use std::collections::BTreeMap;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::bpf::{open_pinned, pin};
use super::btf::{self, BTF_PATH};
use super::load::{Attribution, Capacity, LoadError, OBJECT, note_fields};
use super::offsets::Offsets;
use super::probe::{self, Attached};

/// Where the pins of all builds lie.
pub const PIN_ROOT: &str = "/sys/fs/bpf/profiler";

/// The pins of this build.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Pins below this folder of a mounted bpffs, normally [`PIN_ROOT`].
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether a process of this build left its programs counting.
    #[must_use]
    pub fn are_there(&self) -> bool {
        self.folder().is_dir()
    }

    /// Takes over what a process of this build left, or else loads anew, and pins that. Says whether
    /// it was taken over.
    ///
    /// # Errors
    /// As for [`Attribution::load`], and where nothing can be pinned.
    pub fn open_or_load(&self, capacity: Capacity) -> Result<(Attribution, bool), LoadError> {
        if self.are_there() {
            match self.open() {
                Ok(attribution) => return Ok((attribution, true)),
                // Whatever it is, nobody can use it any more.
                Err(_) => self.remove(&self.folder()).map_err(|error| self.error(&error))?,
            }
        }
        self.load(capacity).map(|attribution| (attribution, false))
    }

    /// Removes every pin of every build. What nobody holds open any more goes with it: programs stop,
    /// maps are freed. Says which folders there were.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove_all(&self) -> io::Result<Vec<PathBuf>> {
        let folders = match fs::read_dir(&self.root) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        for folder in &folders {
            self.remove(folder)?;
        }
        fs::remove_dir(&self.root)?;
        Ok(folders)
    }

    fn load(&self, capacity: Capacity) -> Result<Attribution, LoadError> {
        // No dot: bpffs keeps names with dots for itself.
        let mut building = self.folder().into_os_string();
        building.push("-new");
        let building = PathBuf::from(building);
        let failed = |error: io::Error| self.error(&error);
        self.remove(&building).map_err(failed)?;
        fs::create_dir_all(&building).map_err(failed)?;
        let mut attribution = Attribution::load_into(capacity, |name, map| {
            pin(map, &building.join(format!("map_{name}"))).map_err(failed)
        })?;
        for (name, program) in &attribution.programs {
            pin(program.as_fd(), &building.join(format!("program_{name}"))).map_err(failed)?;
        }
        for (name, link) in attribution.attached.links.drain(..) {
            link.pin(building.join(format!("link_{name}"))).map_err(|error| self.error(&error))?;
        }
        fs::rename(&building, self.folder()).map_err(failed)?;
        Ok(attribution)
    }

    fn open(&self) -> Result<Attribution, LoadError> {
        let folder = self.folder();
        let kernel = btf::Btf::read(Path::new(BTF_PATH)).map_err(LoadError::Btf)?;
        let is_attached = |hook: &str| folder.join(format!("link_{hook}")).exists();
        let mut known = probe::known_by(&kernel, is_attached);
        note_fields(&mut known, &Offsets::of(&kernel));
        let attached = Attached { known, ..Attached::default() };
        let mut programs = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(|error| self.error(&error))? {
            let path = entry.map_err(|error| self.error(&error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_prefix("program_"));
            if let Some(name) = name {
                let program = open_pinned(&path).map_err(|error| self.error(&error))?;
                programs.insert(name.to_owned(), program);
            }
        }
        let mut maps = |name: &'static str| {
            open_pinned(&folder.join(format!("map_{name}")))
                .map_err(|error| LoadError::Map { name, reason: error.to_string() })
        };
        let mut attribution = Attribution::of(&mut maps, attached, programs)?;
        attribution.find_free_jobs();
        Ok(attribution)
    }

    /// The folder of this build's pins.
    fn folder(&self) -> PathBuf {
        // FNV-1a: only to tell builds apart.
        struct Fnv(u64);
        impl Hasher for Fnv {
            fn finish(&self) -> u64 {
                self.0
            }
            fn write(&mut self, bytes: &[u8]) {
                for byte in bytes {
                    self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.write(OBJECT);
        self.root.join(format!("{:016x}", hash.finish()))
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            fs::remove_file(entry?.path())?;
        }
        fs::remove_dir(folder)
    }

    fn error(&self, error: &dyn std::fmt::Display) -> LoadError {
        LoadError::Pin { folder: self.root.clone(), reason: error.to_string() }
    }
}
