//! What BPF programs cost, by the kernel's own statistics, whoever loaded them.

use std::collections::BTreeSet;

use aya::programs::{BtfTracePoint, loaded_programs};
use aya::{Btf, Ebpf, EbpfLoader};
use profiler::kernel::OBJECT;

/// Run time and runs of some programs, added up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Nanoseconds.
    pub ns: f64,
    /// Runs.
    pub runs: f64,
}

impl Cost {
    /// What all programs cost so far, but for those that were there before.
    #[must_use]
    pub fn of_all_but(there: &BTreeSet<u32>) -> Self {
        let mut all = Self::default();
        // A program may go while we look.
        for program in loaded_programs().flatten().filter(|program| !there.contains(&program.id()))
        {
            all.ns += program.run_time().as_nanos() as f64;
            all.runs += program.run_count() as f64;
        }
        all
    }

    /// What came since, for each of so many events.
    #[must_use]
    pub fn since(self, before: Self, events: u32) -> Self {
        let events = f64::from(events);
        Self { ns: (self.ns - before.ns) / events, runs: (self.runs - before.runs) / events }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |sum, cost| Self {
            ns: sum.ns + cost.ns,
            runs: sum.runs + cost.runs,
        })
    }
}

/// The programs that are loaded now.
#[must_use]
pub fn there() -> BTreeSet<u32> {
    loaded_programs().flatten().map(|program| program.id()).collect()
}

/// Attaches the empty program to tracepoints, for as long as the result lives.
#[must_use]
pub fn attach_empty(tracepoints: &[&str]) -> Vec<Ebpf> {
    let btf = Btf::from_sys_fs().expect("the kernel's types");
    let attached = tracepoints.iter().map(|tracepoint| {
        let mut ebpf =
            EbpfLoader::new().allow_unsupported_maps().load(OBJECT).expect("load the object");
        let program = ebpf.program_mut("empty_switch").expect("the program");
        let program: &mut BtfTracePoint = program.try_into().expect("its kind");
        program.load(tracepoint, &btf).expect("to load it");
        program.attach().expect("to attach it");
        ebpf
    });
    attached.collect()
}
