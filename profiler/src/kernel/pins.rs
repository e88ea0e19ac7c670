//! Pins: names in bpffs under which programs, links and maps outlive the process that made them, so
//! that jobs are counted while the agent restarts.
//!
//! All pins lie in a folder that is named after the layout of the maps: a build with the same one takes
//! them over, whichever build left them, programs and all; a build with another one never takes them
//! for its own, and says that they are lost. The folder gets that name last: one that has it is complete.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::bpf::{open_pinned, pin};
use super::btf::{self, BTF_PATH};
use super::layout::LAYOUT;
use super::load::{Attribution, Capacity, LoadError, note_fields};
use super::offsets::Offsets;
use super::probe::{self, Attached};

/// Where the pins of all builds lie.
pub const PIN_ROOT: &str = "/sys/fs/bpf/profiler";

/// What a former agent left, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Legacy {
    /// There was nothing.
    #[default]
    None,
    /// Its programs go on counting, and its figures go on.
    TakenOver,
    /// It could not be used, and is gone: its leases are over, and what they used is unknown.
    Lost {
        /// Where it was, and why it could not be used.
        reasons: Vec<String>,
    },
}

/// The pins that this build makes and can use.
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

    /// Takes over what a former process left, or else loads anew, and pins that. What cannot be taken
    /// over is removed: its programs would count for nobody.
    ///
    /// # Errors
    /// As for [`Attribution::load`], and where nothing can be pinned.
    pub fn open_or_load(&self, capacity: Capacity) -> Result<(Attribution, Legacy), LoadError> {
        let failed = |error: io::Error| self.error(&error);
        let (mut opened, mut reasons) = (None, Vec::new());
        for folder in self.folders().map_err(failed)? {
            let why = if folder == self.folder() {
                match self.open() {
                    Ok(attribution) => {
                        opened = Some(attribution);
                        continue;
                    }
                    Err(error) => error.to_string(),
                }
            } else if folder == self.unfinished() {
                // Nobody ever counted with it.
                self.remove(&folder).map_err(failed)?;
                continue;
            } else {
                "its figures are laid out in another way".to_owned()
            };
            reasons.push(format!("{}: {why}", folder.display()));
            self.remove(&folder).map_err(failed)?;
        }
        let legacy = match (&opened, reasons.is_empty()) {
            (_, false) => Legacy::Lost { reasons },
            (Some(_), true) => Legacy::TakenOver,
            (None, true) => Legacy::None,
        };
        let attribution = opened.map_or_else(|| self.load(capacity), Ok)?;
        Ok((attribution, legacy))
    }

    /// Removes every pin of every build. What nobody holds open any more goes with it: programs stop,
    /// maps are freed. Says which folders there were.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove_all(&self) -> io::Result<Vec<PathBuf>> {
        let folders = self.folders()?;
        for folder in &folders {
            self.remove(folder)?;
        }
        match fs::remove_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(folders),
            removed => removed.map(|()| folders),
        }
    }

    fn load(&self, capacity: Capacity) -> Result<Attribution, LoadError> {
        let building = self.unfinished();
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

    /// The folder of the pins that this build can use.
    fn folder(&self) -> PathBuf {
        self.root.join(format!("{LAYOUT:016x}"))
    }

    /// The folder as long as not everything is in it.
    fn unfinished(&self) -> PathBuf {
        // No dot: bpffs keeps names with dots for itself.
        self.root.join(format!("{LAYOUT:016x}-new"))
    }

    /// Every folder of pins that there is.
    fn folders(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(&self.root) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
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
