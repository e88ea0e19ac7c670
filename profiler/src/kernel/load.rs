//! Loading the eBPF object and attaching its programs.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::maps::{Map, MapData, RingBuf};
use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};
use profiler_common::block::DEVICES_BITS;
use profiler_common::{
    AddressSpace, CpuEntry, DeviceTotal, JobEntry, LeaseEntry, Lost, Name, SessionState,
    TagRequest, TaskEntry, Total,
};

use super::bpf::{program_info, recursion_misses};
use super::btf::{self, BTF_PATH};
use super::mapped::{MappedArray, Plain};
use super::offsets::Offsets;
use super::own_memory;
use super::probe::{self, Attached, Group, Hook};
use super::sampled::Sampler;
use super::verify;
use crate::model::Known;

/// The iterator that puts tags on tasks.
pub(super) const TAG_PROGRAM: &str = "tag_task";

/// The compiled eBPF programs.
pub const OBJECT: &[u8] = include_bytes_aligned!(env!("PROFILER_EBPF_OBJECT"));

/// How much is kept in the kernel. What does not fit is counted as lost, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Live tasks that show while they live; 832 bytes each.
    pub tasks: u32,
    /// Jobs at once; 2 KiB each.
    pub jobs: u32,
    /// Types of job; 256 bytes each.
    pub connectors: u32,
    /// Bytes for the ends of tasks that we have not looked at yet, 320 each. A power of two.
    pub ended_bytes: u32,
}

impl Capacity {
    /// For one ad-hoc run: one job, as many tasks as most hosts allow.
    pub const AD_HOC: Self = Self { tasks: 16_384, jobs: 1, connectors: 1, ended_bytes: 4 << 20 };

    /// For an agent: thousands of jobs at once.
    pub const AGENT: Self =
        Self { tasks: 16_384, jobs: 4_096, connectors: 256, ended_bytes: 1 << 20 };
}

/// Run time of one of our programs, from the kernel's own statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramCost {
    /// Time spent in it.
    pub run_time: Duration,
    /// How often it ran.
    pub runs: u64,
}

/// Why exact attribution is not possible.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel's types cannot be read.
    #[error("cannot read the kernel's type information (/sys/kernel/btf/vmlinux): {0}")]
    Btf(String),
    /// We may not.
    #[error("eBPF is not permitted: it takes root, or CAP_BPF and CAP_PERFMON")]
    NotPermitted,
    /// The object was refused.
    #[error("cannot load the eBPF object: {0}")]
    Object(String),
    /// The kernel is too old.
    #[error("this kernel has no hooks for {0}; 6.1 is the oldest that can work")]
    Kernel(&'static str),
    /// One program was refused.
    #[error("cannot load or attach the eBPF program {name}: {reason}")]
    Program {
        /// The program.
        name: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// Nothing can outlive us.
    #[error("cannot keep eBPF programs in {folder}: {reason}; is bpffs mounted at /sys/fs/bpf?")]
    Pin {
        /// Where.
        folder: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// A map could not be used.
    #[error("cannot use the eBPF map {name}: {reason}")]
    Map {
        /// The map.
        name: &'static str,
        /// What the kernel said.
        reason: String,
    },
}

/// Loaded and attached programs, with their maps. Dropping it, or the process's end however it
/// comes, takes everything off the kernel again, unless it is pinned.
pub struct Attribution {
    pub(super) cpus: MappedArray<CpuEntry>,
    pub(super) entries: MappedArray<TaskEntry>,
    pub(super) jobs: MappedArray<JobEntry>,
    pub(super) connectors: MappedArray<Total>,
    pub(super) names: MappedArray<Name>,
    pub(super) leases: MappedArray<LeaseEntry>,
    pub(super) session: MappedArray<SessionState>,
    pub(super) request: MappedArray<TagRequest>,
    pub(super) ends: Ends,
    pub(super) devices: MappedArray<DeviceTotal>,
    pub(super) memory: MappedArray<AddressSpace>,
    pub(super) attached: Attached,
    /// Every program that is loaded, by name.
    pub(super) programs: BTreeMap<String, OwnedFd>,
    /// Job slots that were given back.
    pub(super) free_jobs: Vec<u32>,
    /// Job slots that were taken at least once: beyond these nothing was ever touched.
    pub(super) jobs_used: u32,
    /// See [`Attribution::kernel_memory_bytes`].
    pub(super) kernel_memory_bytes: Option<u64>,
    /// Keeps the kernel's statistics on; see [`Attribution::keep_own_time`].
    pub(super) statistics: Option<OwnedFd>,
}

/// How ends of tasks are learned of.
pub(super) enum Ends {
    /// The programs tell.
    Kernel(RingBuf<MapData>),
    /// There are none: somebody has to look.
    Sampled(Sampler),
}

impl Attribution {
    /// Loads the object with the given capacity and attaches its programs.
    ///
    /// # Errors
    /// Where BPF is not permitted or this kernel lacks what we need; the text says which.
    pub fn load(capacity: Capacity) -> Result<Self, LoadError> {
        Self::load_into(capacity, |_, _| Ok(()))
    }

    /// As [`Attribution::load`]; `pin` is called for each map that user space reads, while it is
    /// still a map and not a mapping.
    pub(super) fn load_into(
        capacity: Capacity,
        mut pin: impl FnMut(&str, BorrowedFd<'_>) -> Result<(), LoadError>,
    ) -> Result<Self, LoadError> {
        let kernel = btf::Btf::read(Path::new(BTF_PATH)).map_err(LoadError::Btf)?;
        let offsets = Offsets::of(&kernel);
        let btf = Btf::from_sys_fs().map_err(|error| LoadError::Btf(error.to_string()))?;
        let mut ebpf = object(&btf, &offsets, capacity, possible_cpus()?)?;
        let mut names = probe::wanted(&kernel);
        names.push(TAG_PROGRAM);
        let mut loaded = verify::load(&mut ebpf, &names, &btf);
        loaded.take(TAG_PROGRAM)?;
        let mut attached = probe::attach(&mut ebpf, &kernel, &mut loaded)?;
        note_fields(&mut attached.known, &offsets);
        // Their memory is needed no more, and is much: give it back before the maps take theirs.
        drop((kernel, btf));
        trim_heap();
        let programs = loaded_programs(&ebpf)?;
        let kernel_memory_bytes = own_memory::held(&ebpf, programs.values());
        let mut maps = |name: &'static str| {
            let (Map::Array(data) | Map::RingBuf(data)) = take(&mut ebpf, name)? else {
                return Err(LoadError::Map { name, reason: "of another type".into() });
            };
            pin(name, data.fd().as_fd())?;
            data.fd().as_fd().try_clone_to_owned().map_err(map_error(name))
        };
        Ok(Self { kernel_memory_bytes, ..Self::of(&mut maps, attached, programs)? })
    }

    /// Maps what user space reads, whichever way its descriptors come.
    pub(super) fn of(
        maps: &mut dyn FnMut(&'static str) -> Result<OwnedFd, LoadError>,
        attached: Attached,
        programs: BTreeMap<String, OwnedFd>,
    ) -> Result<Self, LoadError> {
        let ended = MapData::from_fd(maps("ENDED")?).map_err(map_error("ENDED"))?;
        let jobs: MappedArray<JobEntry> = mapped(maps, "JOBS")?;
        Ok(Self {
            free_jobs: Vec::new(),
            jobs_used: 0,
            attached,
            kernel_memory_bytes: None,
            statistics: None,
            programs,
            devices: mapped(maps, "DEVICES")?,
            memory: mapped(maps, "MEMORY")?,
            cpus: mapped(maps, "CPUS")?,
            entries: mapped(maps, "ENTRIES")?,
            jobs,
            connectors: mapped(maps, "CONNECTORS")?,
            names: mapped(maps, "NAMES")?,
            leases: mapped(maps, "LEASES")?,
            session: mapped(maps, "SESSION")?,
            request: mapped(maps, "REQUEST")?,
            ends: Ends::Kernel(RingBuf::try_from(Map::RingBuf(ended)).map_err(map_error("ENDED"))?),
        })
    }

    /// Which figures the attached programs give.
    #[must_use]
    pub fn known(&self) -> Known {
        self.attached.known
    }

    /// Hooks that the kernel has and refused, with the group whose figures suffer, and why.
    #[must_use]
    pub fn missing(&self) -> &[(Hook, &'static Group, LoadError)] {
        &self.attached.missing
    }

    /// What could not be counted so far, by cause.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.session.get(0).map(|session| session.lost).unwrap_or_default()
    }

    /// How often the kernel skipped one of our programs, each time an event that nobody saw.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn missed_events(&self) -> io::Result<u64> {
        self.programs.values().map(|program| recursion_misses(program.as_fd())).sum()
    }

    /// What a program cost so far. The kernel counts only while its BPF statistics are enabled
    /// (`kernel.bpf_stats_enabled`, or `BPF_ENABLE_STATS`).
    ///
    /// # Errors
    /// What the kernel says, and for a program that is not loaded.
    pub fn cost(&self, program: &str) -> io::Result<ProgramCost> {
        let program = self.programs.get(program).ok_or(io::ErrorKind::NotFound)?;
        let info = program_info(program.as_fd())?;
        Ok(ProgramCost { run_time: Duration::from_nanos(info.run_time_ns), runs: info.run_cnt })
    }

    /// How many instructions the kernel's verifier walked through in each program: most of the time
    /// that loading takes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn verified(&self) -> io::Result<BTreeMap<&str, u32>> {
        let programs = self.programs.iter();
        programs
            .map(|(name, program)| Ok((&**name, program_info(program.as_fd())?.verified_insns)))
            .collect()
    }

    /// A descriptor that becomes readable when many ends of tasks wait to be looked at, or the last
    /// one of a job does.
    #[must_use]
    pub fn ended_fd(&self) -> BorrowedFd<'_> {
        match &self.ends {
            Ends::Kernel(ended) => ended.as_fd(),
            Ends::Sampled(sampler) => sampler.fd(),
        }
    }
}

impl std::fmt::Debug for Attribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attribution").field("session", &self.session.get(0)).finish_non_exhaustive()
    }
}

fn object(btf: &Btf, offsets: &Offsets, capacity: Capacity, cpus: u32) -> Result<Ebpf, LoadError> {
    let disks = Path::new("/sys/block");
    let requests_bits = probe::requests_bits(disks);
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(btf))
        // aya knows no task storage yet; the programs use it, we do not.
        .allow_unsupported_maps()
        .map_max_entries("CPUS", cpus)
        .map_max_entries("DEVICES", cpus << DEVICES_BITS)
        .map_max_entries("ENTRIES", capacity.tasks)
        .map_max_entries("FREE_ENTRIES", capacity.tasks)
        .map_max_entries("REQUESTS", 1 << requests_bits)
        .map_max_entries("JOBS", capacity.jobs)
        .map_max_entries("LEASES", capacity.jobs)
        .map_max_entries("CONNECTORS", capacity.connectors)
        .map_max_entries("NAMES", capacity.connectors)
        .map_max_entries("ENDED", capacity.ended_bytes);
    let device_mapper = probe::device_mapper_major();
    loader.override_global("DEVICE_MAPPER_MAJOR", &device_mapper, true);
    let times_requests = u32::from(probe::has_disk_without_statistics(disks));
    loader.override_global("TIMES_REQUESTS", &times_requests, true);
    loader.override_global("REQUESTS_BITS", &requests_bits, true);
    for (field, offset) in offsets.iter() {
        loader.override_global(field.global, offset, true);
    }
    loader.load(OBJECT).map_err(|error| refused(&error, LoadError::Object))
}

/// A program of the object, as what it is.
pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let error = |reason: String| LoadError::Program { name, reason };
    let program = ebpf.program_mut(name).ok_or_else(|| error("not in the object".into()))?;
    program.try_into().map_err(|reason: ProgramError| error(reason.to_string()))
}

/// An error with all its causes; one of them may be that we are not permitted.
pub(super) fn refused(
    error: &(dyn Error + 'static),
    otherwise: impl FnOnce(String) -> LoadError,
) -> LoadError {
    let mut reasons = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        if system.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return LoadError::NotPermitted;
        }
        reasons.push(error.to_string());
        cause = error.source();
    }
    otherwise(reasons.join(": "))
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::Map { name, reason: "not in the object".into() })
}

fn mapped<T: Plain>(
    maps: &mut dyn FnMut(&'static str) -> Result<OwnedFd, LoadError>,
    name: &'static str,
) -> Result<MappedArray<T>, LoadError> {
    let map = MapData::from_fd(maps(name)?).map_err(map_error(name))?;
    let info = map.info().map_err(map_error(name))?;
    if info.value_size() as usize != size_of::<T>() {
        return Err(LoadError::Map { name, reason: "its elements have another size".into() });
    }
    MappedArray::new(map.fd().as_fd(), info.max_entries()).map_err(map_error(name))
}

/// Which figures the kernel's fields give.
pub(super) fn note_fields(known: &mut Known, offsets: &Offsets) {
    known.run_queue = offsets.has(&["TASK_RUN_DELAY"]);
    known.quota =
        offsets.has(&["TASK_RUN_QUEUE", "RUN_QUEUE_GROUP", "TASK_ARRIVAL", "TASK_PRIORITY"])
            && (offsets.has(&["RUN_QUEUE_THROTTLED"]) || offsets.has(&["RUN_QUEUE_THROTTLED_OLD"]));
    known.block_wait = offsets.has(&["TASK_IN_IOWAIT"]);
    known.storage = offsets.has(&["TASK_READ_BYTES", "TASK_LOGICAL_READ_BYTES"]);
}

fn loaded_programs(ebpf: &Ebpf) -> Result<BTreeMap<String, OwnedFd>, LoadError> {
    let loaded = ebpf.programs().filter_map(|(name, program)| Some((name, program.fd().ok()?)));
    loaded
        .map(|(name, fd)| Ok((name.to_owned(), fd.as_fd().try_clone_to_owned()?)))
        .collect::<io::Result<_>>()
        .map_err(map_error("programs"))
}

pub(super) fn map_error<E: std::fmt::Display>(name: &'static str) -> impl FnOnce(E) -> LoadError {
    move |error| LoadError::Map { name, reason: error.to_string() }
}

/// Hands free memory at the heap's end back to the system.
fn trim_heap() {
    // SAFETY: no arguments to get wrong; it only concerns memory that is free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How many CPUs the kernel may ever bring up: CPU numbers are below this.
fn possible_cpus() -> Result<u32, LoadError> {
    aya::util::nr_cpus().map(|cpus| cpus as u32).map_err(|(path, error)| LoadError::Map {
        name: "CPUS",
        reason: format!("{path}: {error}"),
    })
}
