//! Loading programs into the kernel, all at the same time: its verifier takes most of a start, and a
//! CPU for each program.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf};

use super::load::{LoadError, refused};

/// What the verifier said of each program.
#[derive(Debug, Default)]
pub(super) struct Verdicts(BTreeMap<&'static str, Result<(), ProgramError>>);

/// Loads the programs of these names, which are those of what they attach to.
pub(super) fn load(ebpf: &mut Ebpf, names: &[&'static str], btf: &Btf) -> Verdicts {
    let programs = ebpf.programs_mut().filter_map(|(name, program)| {
        let name = names.iter().find(|wanted| **wanted == name)?;
        Some((*name, program))
    });
    let queue = Mutex::new(programs.collect::<Vec<_>>());
    let verdicts = Mutex::new(Verdicts::default());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((name, program)) = next else { return };
            let verdict = load_one(program, name, btf);
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).0.insert(name, verdict);
        }
    };
    thread::scope(|scope| {
        // The kernel shares out the CPUs, so nobody has to know which program takes longest.
        for _ in 1..names.len() {
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                // No more threads to be had: those that there are do it all.
                break;
            }
        }
        work();
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn load_one(program: &mut Program, name: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::BtfTracePoint(program) => program.load(name, btf),
        Program::FEntry(program) => program.load(name, btf),
        Program::FExit(program) => program.load(name, btf),
        Program::Iter(program) => program.load("task", btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

impl Verdicts {
    /// What was said of one program.
    ///
    /// # Errors
    /// If it was refused, or is not in the object.
    pub(super) fn take(&mut self, name: &'static str) -> Result<(), LoadError> {
        let error = |reason| LoadError::Program { name, reason };
        match self.0.remove(name) {
            Some(verdict) => verdict.map_err(|reason| refused(&reason, error)),
            None => Err(error("not in the object".into())),
        }
    }
}
