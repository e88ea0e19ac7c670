//! From settings to a running agent, and to its end.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use procfs::{Current, CurrentSI};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use super::connectors::Connectors;
use super::limits::HostState;
use super::state::State;
use super::{Agent, Shared, control, recovery};
use crate::ipc::{BindError, Limits, Role, Server, bind};
use crate::kernel::{Capacity, LoadError, Pins};
use crate::lease::{self, Ledger};
use crate::model::{Bytes, Host, HostSample, Moment};
use crate::session::this_host;

/// How the host is looked at, and limits computed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What an agent is told before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where workers connect.
    pub worker_socket: PathBuf,
    /// Where operators connect.
    pub control_socket: PathBuf,
    /// Groups that may connect to each.
    pub groups: (Option<u32>, Option<u32>),
    /// How many clients, and how patient to be with them.
    pub limits: Limits,
    /// How much is kept in the kernel.
    pub capacity: Capacity,
    /// Where programs and figures outlive the agent.
    pub pins: PathBuf,
    /// Whether they do so after an orderly stop, too.
    pub keep_on_stop: bool,
    /// Memory that jobs never get.
    pub memory_reserve: Bytes,
}

/// Why there is no agent, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nothing can be counted.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nobody can connect.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refuses something.
    #[error("{what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        reason: io::Error,
    },
}

/// What does not change while the agent runs, but for the number of connections.
#[derive(Debug)]
pub(super) struct About {
    pub(super) started: Moment,
    pub(super) host: Host,
    pub(super) connections: Cell<usize>,
}

/// Runs an agent until it is told to end. `ready` is called once it can be connected to; it is told
/// whether a former agent's figures were taken over.
///
/// # Errors
/// Why it cannot start, or had to end.
pub fn run(settings: &Settings, ready: impl FnOnce(bool)) -> Result<(), AgentError> {
    let system = |what| move |reason| AgentError::System { what, reason };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start"))?;
    let pins = Pins::below(&settings.pins);
    let (state, is_taken_over) = begin(settings, &pins)?;
    let ended = state.attribution.ended_fd().try_clone_to_owned().map_err(system("cannot look"))?;
    let shared = Rc::new(Shared {
        state: RefCell::new(state),
        about: About {
            started: State::now(),
            host: this_host(None),
            connections: Cell::new(0),
        },
        next_owner: Cell::new(recovery::NOBODY.0 + 1),
    });
    let agent = Agent(Rc::clone(&shared));
    LocalSet::new().block_on(&runtime, async {
        let server = Server::new(agent, settings.limits);
        let worker = bind(&settings.worker_socket, 0o660, settings.groups.0)?;
        let control = bind(&settings.control_socket, 0o660, settings.groups.1)?;
        tokio::task::spawn_local(Rc::clone(&server).accept(worker, Role::Worker));
        tokio::task::spawn_local(Rc::clone(&server).accept(control, Role::Control));
        tokio::task::spawn_local(watch_ends(Rc::clone(&shared), ended));
        tokio::task::spawn_local(look(Rc::clone(&shared), Rc::clone(&server)));
        tokio::task::spawn_local(keep_time(Rc::clone(&shared)));
        ready(is_taken_over);
        until_told_to_end().await.map_err(system("cannot listen to signals"))
    })?;
    for socket in [&settings.worker_socket, &settings.control_socket] {
        // It may have been removed by hand.
        let _ = std::fs::remove_file(socket);
    }
    if !settings.keep_on_stop {
        pins.remove_all().map_err(system("cannot take the programs off the kernel"))?;
    }
    Ok(())
}

fn begin(settings: &Settings, pins: &Pins) -> Result<(State, bool), AgentError> {
    let (mut attribution, is_taken_over) = pins.open_or_load(settings.capacity)?;
    let mut ledger =
        Ledger::new(lease::Settings::default(), recovery::next_lease(&attribution));
    let host = HostState::new(sample(&mut Totals::default()), settings.memory_reserve);
    let mut connectors = Connectors::new(Default::default(), host);
    recovery::take_up_names(&mut attribution, &mut ledger, &mut connectors);
    let mut state = State::new(attribution, ledger, connectors);
    recovery::take_up_leases(&mut state);
    Ok((state, is_taken_over))
}

/// Takes in ends of tasks as they happen.
async fn watch_ends(shared: Rc<Shared>, ended: OwnedFd) {
    // SAFETY: the descriptor is our own, and goes into the value that it is registered by.
    let registered = unsafe { AsyncFd::register_with_interest(ended, Interest::READABLE) };
    let ended = match registered {
        Ok(ended) => ended,
        Err(error) => return tracing::error!(%error, "cannot be told of ends of tasks"),
    };
    while let Ok(mut ready) = ended.readable().await {
        ready.clear_ready();
        shared.state.borrow_mut().tasks_ended();
    }
}

/// Looks at the host and computes limits, again and again.
async fn look(shared: Rc<Shared>, server: Rc<Server<Agent>>) {
    let mut totals = Totals::default();
    sample(&mut totals);
    let mut own = OwnTime::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        shared.about.connections.set(server.connections());
        let mut state = shared.state.borrow_mut();
        state.tasks_ended();
        state.own = control::own_cost(&state.own, own.percent());
        state.look(sample(&mut totals));
    }
}

/// Lets waits end when they are due.
async fn keep_time(shared: Rc<Shared>) {
    /// The clock of the ledger is looked at so often, if it has nothing to do before.
    const AT_MOST: Duration = Duration::from_millis(50);
    loop {
        let due = shared.state.borrow().ledger.next_deadline();
        let left = due.map_or(AT_MOST, |due| due.since(State::now()).min(AT_MOST));
        tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        if due.is_some_and(|due| due <= State::now()) {
            shared.state.borrow_mut().advance();
        }
    }
}

async fn until_told_to_end() -> io::Result<()> {
    let (mut term, mut int) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Ticks of all CPUs at the last look.
#[derive(Default)]
struct Totals {
    busy: u64,
    all: u64,
}

fn sample(totals: &mut Totals) -> HostSample {
    let before = std::mem::take(totals);
    let memory = procfs::Meminfo::current().ok();
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    if let Ok(stat) = procfs::KernelStats::current() {
        let cpu = stat.total;
        let idle = cpu.idle + cpu.iowait.unwrap_or(0);
        let busy = cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0)
            + cpu.softirq.unwrap_or(0) + cpu.steal.unwrap_or(0);
        *totals = Totals { busy, all: busy + idle };
    }
    let tick = Duration::from_secs(1) / u32::try_from(procfs::ticks_per_second()).unwrap_or(100);
    let ticks = |now: u64, before: u64| {
        tick.saturating_mul(u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX))
    };
    let is_first = before.all == 0;
    HostSample {
        interval: if is_first { Duration::ZERO } else { ticks(totals.all, before.all).div_f64(cores) },
        cores,
        busy: if is_first { Duration::ZERO } else { ticks(totals.busy, before.busy) },
        memory_total: Bytes(memory.as_ref().map_or(0, |memory| memory.mem_total)),
        memory_available: Bytes(
            memory.and_then(|memory| memory.mem_available).unwrap_or_default(),
        ),
        ..HostSample::default()
    }
}

/// CPU time of the agent's own process.
#[derive(Default)]
struct OwnTime {
    before: Option<(Duration, std::time::Instant)>,
}

impl OwnTime {
    /// Of one CPU, since the last call.
    fn percent(&mut self) -> f64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let used = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
        let at = std::time::Instant::now();
        let before = self.before.replace((used, at));
        before.map_or(0.0, |(then, since)| {
            100.0 * used.saturating_sub(then).as_secs_f64() / (at - since).as_secs_f64().max(1e-9)
        })
    }
}
