//! From a configuration to a running agent, and to its end.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::task::{LocalSet, spawn_local};

use super::controller::Controller;
use super::history::History;
use super::recording::Recording;
use super::signals::{Signals, drain};
use super::state::State;
use super::{Agent, Shared, configure, recovery, service_manager};
use crate::config::{Config, Layers};
use crate::control::Event;
use crate::host::{OwnCost, OwnCostReader, Telemetry};
use crate::ipc::{BindError, Role, Server, bind};
use crate::kernel::{Attribution, Capacity, Legacy, LoadError, Pins};
use crate::model::{Host, HostSample, Moment};
use crate::session::this_host;
use crate::store::Store;

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
    pub(super) layers: Layers,
    pub(super) connections: Cell<usize>,
}

/// How jobs are counted.
#[derive(Debug)]
pub enum Counting {
    /// By programs in the kernel, and what became of what a former agent counted.
    Exactly(Legacy),
    /// By samples of `/proc`, and why not exactly: nothing if nobody wants it.
    Sampled(Option<LoadError>),
}

/// What there is to say of an agent that can be connected to.
#[derive(Debug)]
pub struct Listening {
    /// Where workers connect; nothing if the service manager opened the socket.
    pub worker: Option<PathBuf>,
    /// Where operators connect.
    pub control: Option<PathBuf>,
    /// How jobs are counted.
    pub counting: Counting,
    /// Why there is no history, if there is none.
    pub history_trouble: Option<String>,
}

/// Runs an agent until it is told to end. `ready` is called once it can be connected to.
///
/// # Errors
/// Why it cannot start, or had to end.
pub fn run(
    layers: Layers,
    config: Config,
    ready: impl FnOnce(&Listening),
) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start"))?;
    raise_open_files(config.limits.connections);
    let pins = Pins::below(&config.general.pins_directory);
    LocalSet::new().block_on(&runtime, serve(layers, config, &pins, ready))
}

/// As many descriptors as the connections may need, each one and one for its process. Only the superuser
/// may have more than was set for us.
fn raise_open_files(connections: u32) {
    const OTHERS: u64 = 1_024;
    let needed = 2 * u64::from(connections) + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, ..limit };
    let more = Rlimit { current: Some(needed), maximum: Some(needed) };
    let is_enough = limit.maximum.is_none_or(|most| most >= needed);
    if (is_enough || setrlimit(Resource::Nofile, more).is_err())
        && let Err(error) = setrlimit(Resource::Nofile, all)
    {
        tracing::warn!(%error, limit = limit.current, "few files may be open at once");
    }
    let most = getrlimit(Resource::Nofile).current;
    if most.is_some_and(|most| most < needed) {
        tracing::debug!(limit = most, needed, "fewer files may be open than connections may need");
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> AgentError {
    move |reason| AgentError::System { what, reason }
}

async fn serve(
    layers: Layers,
    config: Config,
    pins: &Pins,
    ready: impl FnOnce(&Listening),
) -> Result<(), AgentError> {
    let mut signals = Signals::new().map_err(system("cannot listen to signals"))?;
    // Whoever may not listen should know before anything is loaded.
    let (worker, worker_path) = socket(&config, Role::Worker)?;
    let (control, control_path) = socket(&config, Role::Control)?;
    let mut telemetry = Telemetry::start().map_err(system("cannot read /proc"))?;
    let sample = telemetry.read().unwrap_or_default();
    let limits = configure::connection_limits(&config);
    let (state, counting) = begin(config, pins, sample)?;
    let ended = state.attribution.ended_fd().try_clone_to_owned().map_err(system("cannot look"))?;
    let history_trouble = state.history.store.as_ref().and_then(Store::trouble);
    let shared = Rc::new(Shared {
        state: RefCell::new(state),
        about: About {
            started: State::now(),
            host: this_host(None),
            layers,
            connections: Cell::new(0),
        },
        next_owner: Cell::new(recovery::NOBODY.0 + 1),
        processes: RefCell::default(),
    });
    let server = Server::new(Agent(Rc::clone(&shared)), limits);
    spawn_local(Rc::clone(&server).accept(worker, Role::Worker));
    spawn_local(Rc::clone(&server).accept(control, Role::Control));
    spawn_local(watch_ends(Rc::clone(&shared), ended));
    spawn_local(look(Rc::clone(&shared), Rc::clone(&server), telemetry));
    spawn_local(keep_time(Rc::clone(&shared)));
    spawn_local(keep_history(Rc::clone(&shared)));
    spawn_local(say_alive());
    ready(&Listening {
        worker: worker_path.clone(),
        control: control_path.clone(),
        counting,
        history_trouble,
    });
    service_manager::ready("serving");
    // As a task of its own: what is waited for here is polled whenever any task is.
    let told = spawn_local({
        let shared = Rc::clone(&shared);
        async move {
            signals.until_told_to_end(&shared).await;
            signals
        }
    });
    let mut signals = told.await.map_err(|error| AgentError::System {
        what: "cannot listen to signals any longer",
        reason: error.into(),
    })?;
    drain(&shared, &mut signals).await;
    for path in [worker_path, control_path].into_iter().flatten() {
        // It may have been removed by hand.
        let _ = fs::remove_file(path);
    }
    let mut state = shared.state.borrow_mut();
    state.take_in_ended();
    state.keep_all_learned();
    state.control.end_recording();
    state.history.store = None;
    if !state.config.shutdown.keep_counting && !state.attribution.is_sampled() {
        pins.remove_all().map_err(system("cannot take the programs off the kernel"))?;
    }
    Ok(())
}

/// A socket that the service manager opened, or one of our own, with its path.
fn socket(config: &Config, role: Role) -> Result<(UnixListener, Option<PathBuf>), AgentError> {
    let given = service_manager::given_socket(role).map_err(system("given sockets"))?;
    if let Some(given) = given {
        let listener = UnixListener::from_std(given).map_err(system("a given socket"))?;
        return Ok((listener, None));
    }
    let sockets = &config.sockets;
    let (path, group_name) = match role {
        Role::Worker => (&sockets.worker, &sockets.worker_group),
        Role::Control => (&sockets.control, &sockets.control_group),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|reason| BindError::Refused { path: folder.to_owned(), reason })?;
    }
    Ok((bind(path, 0o660, group(group_name))?, Some(path.clone())))
}

/// The number of a group, if there is one of that name.
fn group(name: &str) -> Option<u32> {
    let groups = fs::read_to_string(Path::new("/etc/group")).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn begin(config: Config, pins: &Pins, sample: HostSample) -> Result<(State, Counting), AgentError> {
    let capacity = configure::capacity(&config);
    let (attribution, counting) = if config.attribution.enabled {
        exactly(pins, capacity)?
    } else {
        match pins.remove_all() {
            Ok(left) => left.iter().for_each(|folder| {
                tracing::warn!(?folder, "removed what a former agent counted, and its leases");
            }),
            Err(error) => tracing::warn!(%error, "what a former agent left in the kernel stays"),
        }
        (sampled(capacity)?, Counting::Sampled(None))
    };
    let settings = configure::control_settings(&config);
    let recording = configure::recording(&config).map(Recording::start).transpose();
    let recording = recording.map_err(system("cannot record decisions"))?;
    let control = Controller::new(settings, recovery::next_lease(&attribution), recording);
    let (store, recovered) = if config.history.enabled {
        let (store, recovered) = Store::start(configure::store_settings(&config))
            .map_err(system("cannot keep history"))?;
        (Some(store), recovered)
    } else {
        Default::default()
    };
    let history = History::new(store, recovered.learned);
    let mut state = State::new(attribution, control, history, config.clone());
    state.configure(config);
    recovery::take_up_names(&mut state);
    recovery::take_up_workers(&mut state);
    recovery::take_up_leases(&mut state);
    state.look_for_the_first_time(sample);
    state.take_in_ended();
    Ok((state, counting))
}

/// Counts by programs in the kernel, or by samples where these cannot be.
fn exactly(pins: &Pins, capacity: Capacity) -> Result<(Attribution, Counting), AgentError> {
    match pins.open_or_load(capacity) {
        Ok((attribution, legacy)) => Ok((attribution, Counting::Exactly(legacy))),
        // Root may do all that it takes: then something is set up in a wrong way.
        Err(error @ LoadError::Pin { .. }) if rustix::process::geteuid().is_root() => {
            Err(error.into())
        }
        Err(error) => {
            tracing::warn!(%error, "figures are samples of /proc, and no lease outlives the agent");
            Ok((sampled(capacity)?, Counting::Sampled(Some(error))))
        }
    }
}

fn sampled(capacity: Capacity) -> Result<Attribution, AgentError> {
    Attribution::sampled(capacity).map_err(system("no memory"))
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

/// Hands jobs that ended over to the history, a few at a time between calls: thousands at once would
/// hold every worker up.
async fn keep_history(shared: Rc<Shared>) {
    /// Behind the answers of the calls that end jobs.
    const DELAY: Duration = Duration::from_millis(20);
    let somebody_ended = Rc::clone(&shared.state.borrow().somebody_ended);
    loop {
        somebody_ended.notified().await;
        tokio::time::sleep(DELAY).await;
        while shared.state.borrow_mut().take_in_some() {
            tokio::task::yield_now().await;
        }
    }
}

/// Looks at the host and computes limits, again and again.
async fn look(shared: Rc<Shared>, server: Rc<Server<Agent>>, mut telemetry: Telemetry) {
    let mut own = OwnCost::reader();
    let mut said = Instant::now();
    loop {
        let every = shared.state.borrow().look_every();
        tokio::time::sleep(every).await;
        let mut state = shared.state.borrow_mut();
        server.set_limits(configure::connection_limits(&state.config));
        state.tasks_ended();
        note_own_cost(&mut state, &mut own);
        match telemetry.read() {
            Ok(sample) if state.config.monitoring.enabled => state.look(sample),
            Ok(_) => state.look_away(),
            Err(error) => tracing::warn!(%error, "cannot read the host's figures"),
        }
        if said.elapsed() >= state.config.intervals.summary {
            said = Instant::now();
            state.say_summary();
            state.keep_all_learned();
        }
    }
}

fn note_own_cost(state: &mut State, own: &mut OwnCostReader) {
    if let Some(cost) = own.read() {
        state.own.process_memory_bytes = cost.process_memory_bytes.0;
        state.own.process_memory_peak_bytes = cost.process_memory_peak_bytes.0;
        state.own.process_cpu_percent = cost.process_cpu_percent;
    }
    state.own.tracing_memory_overhead_bytes = state.attribution.kernel_memory_bytes();
}

/// Lets waits end when they are due.
async fn keep_time(shared: Rc<Shared>) {
    /// Deadlines that no call that waits brings about are looked for so often.
    const AT_MOST: Duration = Duration::from_secs(1);
    let somebody_waits = Rc::clone(&shared.state.borrow().somebody_waits);
    loop {
        let due = shared.state.borrow().control.core().next_deadline();
        let left = due.map_or(AT_MOST, |due| due.since(State::now()).min(AT_MOST));
        tokio::select! {
            () = tokio::time::sleep(left.max(Duration::from_millis(1))) => {}
            () = somebody_waits.notified() => {}
        }
        if due.is_some_and(|due| due <= State::now()) {
            shared.state.borrow_mut().tell(Event::Pass);
        }
    }
}

/// Tells the service manager that this thread is alive, if it wants to know.
async fn say_alive() {
    if let Some(every) = service_manager::watchdog_interval() {
        loop {
            service_manager::alive();
            tokio::time::sleep(every).await;
        }
    }
}
