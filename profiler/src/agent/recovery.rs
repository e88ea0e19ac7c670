//! Taking up where a former agent left off: it may have been stopped, killed or replaced. Its maps
//! say which leases there were; their tasks were counted all the while.

use profiler_common::{LeaseEntry, Spent};

use super::job::{Holder, Job, Members};
use super::samples::{CpuPeak, Seen};
use super::state::State;
use crate::control::Event;
use crate::kernel::{Attribution, text};
use crate::lease::{Lease, LeaseState};
use crate::model::{Bytes, ConnectorId, LeaseId, Moment, Owner, Priority, SourceId};

/// The owner of leases whose worker has not come back: no connection has this number.
pub(super) const NOBODY: Owner = Owner(0);

/// The first number for a lease that no former agent used.
pub(super) fn next_lease(attribution: &Attribution) -> LeaseId {
    let highest = attribution.leases().iter().map(|(_, lease)| lease.lease).max();
    // The clock keeps numbers apart where all leases had ended: no agent grants a million a second.
    let by_time = super::job::unix_ms().saturating_mul(1000);
    LeaseId(highest.map_or(by_time, |highest| by_time.max(highest + 1)))
}

/// Takes up the names of connectors, under the numbers that they have in the maps, with what was
/// learned of them.
pub(super) fn take_up_names(state: &mut State) {
    let names: Vec<(u32, String)> = state.attribution.names().collect();
    for (_, name) in names {
        if let Err(error) = state.connector(&name) {
            tracing::warn!(connector = name, %error, "cannot take a connector up again");
        }
    }
}

/// Takes up the leases. Those whose tasks have all ended end here and now; the others are orphans
/// until their workers come back for them.
pub(super) fn take_up_leases(state: &mut State) {
    let leases = state.attribution.leases();
    let (mut running, mut ended) = (0, 0);
    for (job, lease) in leases {
        let Some(connector) = state.connectors.find(&text(&lease.connector)) else { continue };
        let source = Some(text(&lease.source)).filter(|source| !source.is_empty());
        let restored = Event::Restore(Lease {
            id: LeaseId(lease.lease),
            connector,
            source: source.as_ref().map(|source| SourceId(state.sources.add(source))),
            owner: NOBODY,
            state: LeaseState::Orphaned,
            granted: Moment(lease.began_ns),
            memory: Bytes(lease.reserved_memory_bytes),
            deviation: Bytes(0),
            declared: None,
            providers: Vec::new(),
            tasks_ended: false,
        });
        if let Err(error) = state.control.tell(State::now(), restored) {
            tracing::warn!(lease = lease.lease, %error, "cannot take a lease up again");
            continue;
        }
        let mut taken = Job::restored(job, connector, &lease, holder(&lease, source));
        if let Some(worker) = state.attribution.worker_of(&lease) {
            state.workers.restore(worker, taken.lease);
            taken.workers.push(worker);
        }
        state.look_first(&mut taken);
        let has_tasks = taken.has_tasks(&state.attribution);
        let id = taken.lease;
        state.enter(taken);
        if has_tasks {
            running += 1;
        } else {
            ended += 1;
            state.release(id, None);
        }
    }
    if running + ended > 0 {
        tracing::info!(running, ended, "took up leases of a former agent");
    }
}

/// Takes up threads that had worked for some lease, and ends jobs that a former agent had begun or ended
/// by half.
pub(super) fn take_up_workers(state: &mut State) {
    for job in state.attribution.jobs_without_lease() {
        if let Err(error) = state.attribution.untag_all(job) {
            tracing::warn!(%error, "cannot take tasks off a job that nobody has");
        }
        state.attribution.end_job(job);
    }
    for worker in state.attribution.idle_workers() {
        state.workers.restore_idle(worker);
    }
}

fn holder(lease: &LeaseEntry, source: Option<String>) -> Holder {
    let label = Some(text(&lease.label)).filter(|label| !label.is_empty());
    let priority = Priority::ALL.get(lease.priority as usize).copied().unwrap_or_default();
    Holder {
        uid: lease.uid,
        pid: lease.pid,
        process_start_ticks: lease.process_start_ticks,
        source: source.map(Into::into),
        label: label.map(Into::into),
        priority,
    }
}

impl Job {
    fn restored(
        job: profiler_common::JobRef,
        connector: ConnectorId,
        lease: &LeaseEntry,
        holder: Holder,
    ) -> Self {
        let now = State::now();
        Self {
            lease: LeaseId(lease.lease),
            job,
            connector,
            holder,
            members: Members::of_scope(lease.scope, lease.tid, lease.pid),
            workers: Vec::new(),
            granted: Moment(lease.began_ns),
            began_unix_ms: lease.began_unix_ms,
            waited_ms: lease.waited_ns / 1_000_000,
            lost_before: profiler_common::Lost::default(),
            seen: Seen { at: now, spent: Spent::default() },
            cpu_cores: None,
            cpu_peak: CpuPeak::new(now, 0),
        }
    }
}
