//! Controllers of others on a real host: those of the simulator, told what happens here.

use std::time::{Duration, Instant};

use profiler::host::Reading;
use profiler::model::{Bytes, ConnectorId, FinishedJob, HostSample, LeaseId, Moment};
use profiler::simulate::controller::{Agent, Kind, Observation};
use profiler::simulate::plant::{self, Plant};

use super::outcome::{PREFERRED, declared_cores, declared_mib};
use super::trial::State;
use super::workload::Workload;

/// A controller, with what it knows of this host.
pub(super) struct Rival {
    agent: Box<dyn Agent>,
    begin: Instant,
    last: Reading,
}

impl Rival {
    /// One that has seen nothing yet, and believes of the jobs what our agent is told.
    #[must_use]
    pub(super) fn begin(kind: &Kind, workload: &Workload) -> Self {
        let last = reading();
        let agent = kind.begin(&described(workload, &last), Moment(0), LeaseId(1));
        Self { agent, begin: Instant::now(), last }
    }

    /// The limit that it wants.
    #[must_use]
    pub(super) fn limit(&self) -> u32 {
        self.agent.ledger().state(ConnectorId(0)).map_or(PREFERRED, |state| state.limit)
    }

    /// Looks at the host, at how the connector stands, and at the jobs that ended since it last
    /// looked; gives the limit that it wants.
    pub(super) fn look(&mut self, workload: &Workload, state: State, ended: &[Duration]) -> u32 {
        let now = reading();
        let host = within(workload, now.since(&self.last));
        self.last = now;
        let finished = |duration: &Duration| FinishedJob {
            connector: ConnectorId(0),
            duration: *duration,
            ..FinishedJob::default()
        };
        let finished: Vec<FinishedJob> = ended.iter().map(finished).collect();
        let since = u64::try_from(self.begin.elapsed().as_nanos()).expect("less than centuries");
        self.agent.look(&Observation {
            now: Moment(since),
            host: &host,
            jobs: &[],
            finished: &finished,
            waiting: &[state.waiting],
            in_use: &[state.in_use],
        });
        self.limit()
    }
}

fn reading() -> Reading {
    Reading::now().expect("/proc can be read")
}

/// Where jobs have a ceiling of their own, its memory is what a gauge is to look at.
fn within(workload: &Workload, host: HostSample) -> HostSample {
    match workload.ceiling() {
        Some(ceiling) => HostSample {
            memory_total: Bytes(ceiling.bytes),
            memory_available: Bytes(ceiling.bytes.saturating_sub(ceiling.used())),
            ..host
        },
        None => host,
    }
}

/// This host and the connector as the simulator describes them.
fn described(workload: &Workload, host: &Reading) -> Plant {
    let memory = workload.ceiling().map_or(host.memory.total.0, |ceiling| ceiling.bytes);
    let text = format!(
        "name = {:?}\n\
         [host]\ncores = {}\nmemory_mb = {}\nreserve_mb = 0\n\
         [[connector]]\nname = {:?}\n\
         [connector.profile]\npreferred_concurrency = {PREFERRED}\n\
         avg_cpu_cores = {:?}\navg_memory_mb = {:?}\n\
         [connector.job]\ncpu_seconds = 1\n",
        workload.name,
        host.capacity.usable_cores.ceil(),
        memory >> 20,
        workload.name,
        declared_cores(workload),
        declared_mib(workload),
    );
    plant::read("this host", &text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}
