//! Our programs, attached and detached within hundredths of a second, however often: a machine changes
//! its pace from second to second by more than they cost.

use std::any::Any;
use std::collections::BTreeSet;

use aya::programs::{BtfTracePoint, FEntry, FExit, loaded_programs};
use profiler::kernel::probe::{GROUPS, Hook};
use profiler::kernel::{Attribution, Capacity};

use super::cost::there;

/// A loaded program, which stays loaded when whoever loaded it is gone.
enum Program {
    Tracepoint(BtfTracePoint),
    Entry(FEntry),
    Exit(FExit),
}

/// Programs that can be attached together.
pub struct Switchable {
    programs: Vec<Program>,
}

impl Switchable {
    /// Loads all of ours. `begin` is called with them attached, and may tag tasks; afterwards they are not.
    pub fn load(begin: impl FnOnce(&mut Attribution)) -> Self {
        let before = there();
        let mut attribution = Attribution::load(Capacity::AD_HOC).expect("needs root and BPF");
        begin(&mut attribution);
        let programs = hooks().filter_map(|hook| Program::by(hook, &before)).collect();
        Self { programs }
    }

    /// Whether somebody has attached ours already.
    #[must_use]
    pub fn is_attached() -> bool {
        let is_loaded = |name: &str| {
            loaded_programs().flatten().any(|program| program.name_as_str() == Some(name))
        };
        ["rss_stat", "sched_switch", "task_rename"].into_iter().all(is_loaded)
    }

    /// Attaches them for as long as what this returns lives.
    #[must_use]
    pub fn attach(&mut self) -> Vec<Box<dyn Any>> {
        self.programs.iter_mut().map(Program::attach).collect()
    }
}

/// All that programs may be attached to, in the order in which they are.
fn hooks() -> impl Iterator<Item = Hook> {
    let mut seen = BTreeSet::new();
    let ways = GROUPS.into_iter().flat_map(|group| group.ways.iter().copied().flatten().copied());
    ways.filter(move |hook| seen.insert(hook.name()))
}

impl Program {
    /// The one for this hook that was not there before. The kernel keeps 15 letters of a name.
    fn by(hook: Hook, before: &BTreeSet<u32>) -> Option<Self> {
        let name = &hook.name()[..hook.name().len().min(15)];
        let mut ours =
            loaded_programs().flatten().filter(|program| !before.contains(&program.id()));
        let info = ours.find(|program| program.name_as_str() == Some(name))?;
        let program = match hook {
            // SAFETY: programs of these names are of the kind that their hook asks for, here and below.
            Hook::Tracepoint(name) => unsafe {
                BtfTracePoint::from_program_info(info, name.into()).map(Self::Tracepoint)
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
        Some(program.expect("a descriptor of it"))
    }

    fn attach(&mut self) -> Box<dyn Any> {
        macro_rules! attach {
            ($program:expr) => {{
                let link = $program.attach().expect("to attach");
                Box::new($program.take_link(link).expect("its link"))
            }};
        }
        match self {
            Self::Tracepoint(program) => attach!(program),
            Self::Entry(program) => attach!(program),
            Self::Exit(program) => attach!(program),
        }
    }
}
