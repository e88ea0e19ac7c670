//! Programs that somebody has loaded, ours to attach and detach within hundredths of a second, however
//! often: a machine changes its pace from second to second by more than programs cost.

use std::any::Any;
use std::collections::BTreeSet;

use aya::programs::{
    BtfTracePoint, FEntry, FExit, ProgramInfo, ProgramType, TracePoint, loaded_programs,
};
use profiler::kernel::probe::{GROUPS, Hook};
use profiler::kernel::{Attribution, Capacity};

use super::cost::there;

/// A program. It stays loaded when that somebody is gone.
#[expect(missing_docs, reason = "the kinds of the kernel")]
pub enum Loaded {
    Btf(BtfTracePoint),
    Entry(FEntry),
    Exit(FExit),
    /// At `sched_switch`, for programs whose arguments have no types.
    Switch(TracePoint),
}

impl Loaded {
    /// The program at `sched_switch` whose name begins so that `load` brings.
    pub fn at_switch<T>(name: &str, load: impl FnOnce() -> Option<T>) -> Option<Self> {
        let before = there();
        let loader = load()?;
        let info = new(&before, |its| its.starts_with(name));
        let program = info.map(|info| {
            if info.program_type() == ProgramType::TracePoint.into() {
                Self::Switch(TracePoint::from_program_info(info, "switch".into()).unwrap())
            } else {
                Self::of(Hook::Tracepoint("sched_switch"), info)
            }
        });
        drop(loader);
        program
    }

    /// All of ours that the running kernel has hooks for, and what holds them attached for now: tasks can be
    /// tagged through it.
    #[must_use]
    pub fn ours() -> (Attribution, Vec<Self>) {
        let before = there();
        let attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
        let found = hooks().filter_map(|hook| {
            // The kernel keeps 15 letters of a name.
            let name = &hook.name()[..hook.name().len().min(15)];
            Some(Self::of(hook, new(&before, |its| its == name)?))
        });
        let found = found.collect();
        (attribution, found)
    }

    fn of(hook: Hook, info: ProgramInfo) -> Self {
        let program = match hook {
            // SAFETY: programs of these names are of the kind that their hook asks for, here and below.
            Hook::Tracepoint(name) => unsafe {
                BtfTracePoint::from_program_info(info, name.into()).map(Self::Btf)
            },
            // SAFETY: as above.
            Hook::Entry(name) => unsafe {
                FEntry::from_program_info(info, name.into()).map(Self::Entry)
            },
            // SAFETY: as above.
            Hook::Exit(name) | Hook::ExitIfThere(name, _) => unsafe {
                FExit::from_program_info(info, name.into()).map(Self::Exit)
            },
        };
        program.expect("a descriptor of it")
    }

    /// Attaches it until what this returns is dropped.
    #[must_use]
    pub fn attach(&mut self) -> Box<dyn Any> {
        macro_rules! attach {
            ($program:expr, $($place:expr),*) => {{
                let link = $program.attach($($place),*).expect("to attach");
                Box::new($program.take_link(link).expect("its link"))
            }};
        }
        match self {
            Self::Btf(program) => attach!(program,),
            Self::Entry(program) => attach!(program,),
            Self::Exit(program) => attach!(program,),
            Self::Switch(program) => attach!(program, "sched", "sched_switch"),
        }
    }

    /// What the kernel tells of it.
    #[must_use]
    pub fn info(&self) -> ProgramInfo {
        match self {
            Self::Btf(program) => program.info(),
            Self::Entry(program) => program.info(),
            Self::Exit(program) => program.info(),
            Self::Switch(program) => program.info(),
        }
        .expect("it is loaded")
    }
}

/// Whether somebody has loaded ours already: an agent, or one that left its programs behind.
#[must_use]
pub fn are_ours_there() -> bool {
    let none = BTreeSet::new();
    let names = ["rss_stat", "sched_switch", "task_rename"];
    names.into_iter().all(|name| new(&none, |its| its == name).is_some())
}

/// The first program that was not there before, by its name. One that is gone again has none.
fn new(before: &BTreeSet<u32>, is_it: impl Fn(&str) -> bool) -> Option<ProgramInfo> {
    loaded_programs().flatten().find(|program| {
        !before.contains(&program.id()) && program.name_as_str().is_some_and(&is_it)
    })
}

/// All that ours may be attached to, in the order in which they are.
fn hooks() -> impl Iterator<Item = Hook> {
    let mut seen = BTreeSet::new();
    let ways = GROUPS.into_iter().flat_map(|group| group.ways.iter().copied().flatten().copied());
    ways.filter(move |hook| seen.insert(hook.name()))
}
