//! Which hooks give which figures, one file per kind of hook, with the same names as the kernel
//! half in `profiler-ebpf/src/probe`.
//!
//! A group of hooks gives some figures. There may be several ways to get them; the first one that
//! the running kernel has all hooks for is taken. Without any, the figures are `None`.

mod block;
mod life;
mod memory;
mod net;
mod sched;

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::{BtfTracePoint, FEntry, FExit, Program, ProgramError};

use super::btf;
use super::load::{LoadError, program, refused};
use super::verify::Verdicts;
use crate::model::Known;

pub(super) use block::{device_mapper_major, has_disk_without_statistics, requests_bits};

/// Where a program attaches. The program has the name of the tracepoint or function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A tracepoint, with typed arguments.
    Tracepoint(&'static str),
    /// A kernel function's begin.
    Entry(&'static str),
    /// A kernel function's end.
    Exit(&'static str),
    /// A kernel function's end, where the kernel has it: other versions have no need for it. And the figures
    /// that it gives there.
    ExitIfThere(&'static str, &'static str),
}

/// Figures, and the ways to get them.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What it is called.
    pub name: &'static str,
    /// The figures that it gives.
    pub gives: &'static str,
    /// Whether without it nothing can be exact.
    pub is_required: bool,
    /// Ways to get them, best first.
    pub ways: &'static [&'static [Hook]],
}

/// All groups, in the order in which they are attached.
pub const GROUPS: [&Group; 5] =
    [&memory::GROUP, &life::GROUP, &block::GROUP, &net::GROUP, &sched::GROUP];

impl Hook {
    /// The name of the program, and of what it attaches to.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let (Self::Tracepoint(name)
        | Self::Entry(name)
        | Self::Exit(name)
        | Self::ExitIfThere(name, _)) = self;
        name
    }

    /// The figures that are missing without it.
    #[must_use]
    pub const fn gives(self, group: &Group) -> &'static str {
        match self {
            Self::ExitIfThere(_, gives) => gives,
            _ => group.gives,
        }
    }

    /// Whether the running kernel has it.
    #[must_use]
    pub fn is_there(self, btf: &btf::Btf) -> bool {
        match self {
            Self::Tracepoint(name) => btf.has_typedef(&format!("btf_trace_{name}")),
            Self::Entry(name) | Self::Exit(name) | Self::ExitIfThere(name, _) => {
                btf.has_function(name)
            }
        }
    }

    fn is_needed(self) -> bool {
        !matches!(self, Self::ExitIfThere(..))
    }

    /// Takes the program off the kernel again, if it is there.
    fn detach(self, ebpf: &mut Ebpf) {
        match ebpf.program_mut(self.name()) {
            // An error means that it was not loaded.
            Some(Program::BtfTracePoint(program)) => drop(program.unload()),
            Some(Program::FEntry(program)) => drop(program.unload()),
            Some(Program::FExit(program)) => drop(program.unload()),
            _ => {}
        }
    }

    fn attach(self, ebpf: &mut Ebpf, loaded: &mut Verdicts) -> Result<FdLink, LoadError> {
        let name = self.name();
        loaded.take(name)?;
        let attached: Result<FdLink, ProgramError> = match self {
            Self::Tracepoint(_) => {
                let program: &mut BtfTracePoint = program(ebpf, name)?;
                program.attach().and_then(|link| program.take_link(link).map(FdLink::from))
            }
            Self::Entry(_) => {
                let program: &mut FEntry = program(ebpf, name)?;
                program.attach().and_then(|link| program.take_link(link).map(FdLink::from))
            }
            Self::Exit(_) | Self::ExitIfThere(..) => {
                let program: &mut FExit = program(ebpf, name)?;
                program.attach().and_then(|link| program.take_link(link).map(FdLink::from))
            }
        };
        attached.map_err(|error| refused(&error, |reason| LoadError::Program { name, reason }))
    }
}

impl Group {
    /// The way that the running kernel has all hooks for.
    #[must_use]
    pub fn way(&self, btf: &btf::Btf) -> Option<&'static [Hook]> {
        let is_possible =
            |way: &&&[Hook]| way.iter().all(|hook| !hook.is_needed() || hook.is_there(btf));
        self.ways.iter().find(is_possible).copied()
    }
}

/// What was attached.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// The figures that there are.
    pub(super) known: Known,
    /// The hooks that programs are attached to, for as long as these links are open or pinned.
    pub(super) links: Vec<(&'static str, FdLink)>,
    /// Hooks that the kernel has and refused, and why.
    pub(super) missing: Vec<(Hook, &'static Group, LoadError)>,
}

/// Attaches every group as well as this kernel lets us.
///
/// # Errors
/// If a group that is required cannot be attached.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    kernel: &btf::Btf,
    loaded: &mut Verdicts,
) -> Result<Attached, LoadError> {
    let mut all = Attached::default();
    for group in GROUPS {
        let Some(way) = group.way(kernel) else {
            if group.is_required {
                return Err(LoadError::Kernel(group.name));
            }
            continue;
        };
        let mut is_complete = true;
        let mut links = Vec::new();
        for hook in way.iter().filter(|hook| hook.is_there(kernel)) {
            match hook.attach(ebpf, loaded) {
                Ok(link) => links.push((hook.name(), link)),
                Err(error) if group.is_required => return Err(error),
                Err(error) => {
                    is_complete &= !hook.is_needed();
                    all.missing.push((*hook, group, error));
                }
            }
        }
        if is_complete {
            note(&mut all.known, group, way);
            all.links.append(&mut links);
        } else {
            // The rest of a way that does not lead there would only cost time.
            drop(links);
            way.iter().for_each(|hook| hook.detach(ebpf));
        }
    }
    Ok(all)
}

/// The programs that [`attach`] attaches.
pub(super) fn wanted(kernel: &btf::Btf) -> Vec<&'static str> {
    let ways = GROUPS.iter().filter_map(|group| group.way(kernel));
    ways.flatten().filter(|hook| hook.is_there(kernel)).map(|hook| hook.name()).collect()
}

/// The figures that hooks of these names give, where they were attached by a former process.
pub(super) fn known_by(kernel: &btf::Btf, is_attached: impl Fn(&str) -> bool) -> Known {
    let mut known = Known::default();
    for group in GROUPS {
        let ways = group.way(kernel);
        let is_complete =
            |way: &&[Hook]| way.iter().all(|hook| !hook.is_needed() || is_attached(hook.name()));
        if let Some(way) = ways.filter(is_complete) {
            note(&mut known, group, way);
        }
    }
    known
}

fn note(known: &mut Known, group: &Group, way: &[Hook]) {
    known.block |= group.name == block::GROUP.name;
    if group.name == memory::GROUP.name {
        known.memory_page_bytes = Some(rustix::param::page_size() as u64);
    }
    known.net |= group.name == net::GROUP.name;
    known.local |= way.contains(&net::ANY_FAMILY);
}
