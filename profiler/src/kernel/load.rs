//! Loading the eBPF object and attaching its programs.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use aya::maps::{Map, MapData, RingBuf};
use aya::programs::{Iter, Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};
use profiler_common::block::{DEVICES_BITS, REQUESTS_BITS};
use profiler_common::memory::MEMORY_BITS;
use profiler_common::{
    AddressSpace, CpuEntry, DeviceTotal, JobEntry, Lost, RequestOwner, SessionState, TagRequest,
    TaskEntry, Total,
};

use super::bpf::recursion_misses;
use super::btf::{self, BTF_PATH};
use super::mapped::{MappedArray, Plain};
use super::offsets::Offsets;
use super::probe::{self, Attached, Group, Hook};
use crate::model::Known;

/// The iterator that puts tags on tasks.
pub(super) const TAG_PROGRAM: &str = "tag_task";

/// The compiled eBPF programs.
pub const OBJECT: &[u8] = include_bytes_aligned!(env!("PROFILER_EBPF_OBJECT"));

/// How much is kept in the kernel. What does not fit is counted as lost, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Live tasks that show while they live; 448 bytes each.
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
    pub const AD_HOC: Self = Self { tasks: 32_768, jobs: 1, connectors: 1, ended_bytes: 2 << 20 };
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
/// comes, takes everything off the kernel again.
pub struct Attribution {
    pub(super) ebpf: Ebpf,
    pub(super) cpus: MappedArray<CpuEntry>,
    pub(super) entries: MappedArray<TaskEntry>,
    pub(super) jobs: MappedArray<JobEntry>,
    pub(super) connectors: MappedArray<Total>,
    pub(super) session: MappedArray<SessionState>,
    pub(super) request: MappedArray<TagRequest>,
    pub(super) ended: RingBuf<MapData>,
    pub(super) devices: MappedArray<DeviceTotal>,
    pub(super) memory: MappedArray<AddressSpace>,
    pub(super) requests: MappedArray<RequestOwner>,
    pub(super) attached: Attached,
}

impl Attribution {
    /// Loads the object with the given capacity and attaches its programs.
    ///
    /// # Errors
    /// Where BPF is not permitted or this kernel lacks what we need; the text says which.
    pub fn load(capacity: Capacity) -> Result<Self, LoadError> {
        let kernel = btf::Btf::read(Path::new(BTF_PATH)).map_err(LoadError::Btf)?;
        let offsets = Offsets::of(&kernel);
        let btf = Btf::from_sys_fs().map_err(|error| LoadError::Btf(error.to_string()))?;
        let cpus = possible_cpus()?;
        let mut ebpf = object(&btf, &offsets, capacity, cpus)?;
        load_iterator(&mut ebpf, &btf)?;
        let mut attached = probe::attach(&mut ebpf, &kernel, &btf)?;
        attached.known.run_queue = offsets.has(&["TASK_RUN_DELAY"]);
        attached.known.block_wait = offsets.has(&["TASK_IN_IOWAIT"]);
        attached.known.storage = offsets.has(&["TASK_READ_BYTES", "TASK_LOGICAL_READ_BYTES"]);
        // Their memory is needed no more, and is much: give it back before the maps take theirs.
        drop((kernel, btf));
        trim_heap();
        let ended = take(&mut ebpf, "ENDED")?;
        Ok(Self {
            attached,
            devices: mapped(&mut ebpf, "DEVICES", 1 << DEVICES_BITS)?,
            memory: mapped(&mut ebpf, "MEMORY", 1 << MEMORY_BITS)?,
            requests: mapped(&mut ebpf, "REQUESTS", 1 << REQUESTS_BITS)?,
            cpus: mapped(&mut ebpf, "CPUS", cpus)?,
            entries: mapped(&mut ebpf, "ENTRIES", capacity.tasks)?,
            jobs: mapped(&mut ebpf, "JOBS", capacity.jobs)?,
            connectors: mapped(&mut ebpf, "CONNECTORS", capacity.connectors)?,
            session: mapped(&mut ebpf, "SESSION", 1)?,
            request: mapped(&mut ebpf, "REQUEST", 1)?,
            ended: RingBuf::try_from(ended).map_err(map_error("ENDED"))?,
            ebpf,
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
        let mut misses = 0;
        for (_, program) in self.ebpf.programs() {
            if let Ok(fd) = program.fd() {
                misses += recursion_misses(fd.as_fd())?;
            }
        }
        Ok(misses)
    }

    /// What a program cost so far. The kernel counts only while its BPF statistics are enabled
    /// (`kernel.bpf_stats_enabled`, or `BPF_ENABLE_STATS`).
    ///
    /// # Errors
    /// What the kernel says, and for a program that is not loaded.
    pub fn cost(&self, program: &str) -> Result<ProgramCost, ProgramError> {
        let program = self.ebpf.program(program).ok_or(ProgramError::NotLoaded)?;
        let info = program.info()?;
        Ok(ProgramCost { run_time: info.run_time(), runs: info.run_count() })
    }

    /// A descriptor that becomes readable when many ends of tasks wait to be looked at.
    #[must_use]
    pub fn ended_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl std::fmt::Debug for Attribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attribution").field("session", &self.session.get(0)).finish_non_exhaustive()
    }
}

fn object(btf: &Btf, offsets: &Offsets, capacity: Capacity, cpus: u32) -> Result<Ebpf, LoadError> {
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(btf))
        // aya knows no task storage yet; the programs use it, we do not.
        .allow_unsupported_maps()
        .map_max_entries("CPUS", cpus)
        .map_max_entries("ENTRIES", capacity.tasks)
        .map_max_entries("FREE_ENTRIES", capacity.tasks)
        .map_max_entries("JOBS", capacity.jobs)
        .map_max_entries("CONNECTORS", capacity.connectors)
        .map_max_entries("ENDED", capacity.ended_bytes);
    let device_mapper = probe::device_mapper_major();
    loader.override_global("DEVICE_MAPPER_MAJOR", &device_mapper, true);
    for (field, offset) in offsets.iter() {
        loader.override_global(field.global, offset, true);
    }
    loader.load(OBJECT).map_err(|error| refused(&error, LoadError::Object))
}

fn load_iterator(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), LoadError> {
    let program: &mut Iter = program(ebpf, TAG_PROGRAM)?;
    program
        .load("task", btf)
        .map_err(|error| refused(&error, |reason| LoadError::Program { name: TAG_PROGRAM, reason }))
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
    ebpf: &mut Ebpf,
    name: &'static str,
    elements: u32,
) -> Result<MappedArray<T>, LoadError> {
    let Map::Array(data) = take(ebpf, name)? else {
        return Err(LoadError::Map { name, reason: "not an array".into() });
    };
    MappedArray::new(data.fd().as_fd(), elements).map_err(map_error(name))
}

fn map_error<E: std::fmt::Display>(name: &'static str) -> impl FnOnce(E) -> LoadError {
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

/// The loaded iterator, for [`super::tagging`].
pub(super) fn tag_program(ebpf: &Ebpf) -> Option<&Iter> {
    match ebpf.program(TAG_PROGRAM)? {
        Program::Iter(program) => Some(program),
        _ => None,
    }
}
