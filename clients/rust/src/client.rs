//! A client that blocks: slots, places at providers, waiting for better times.
//!
//! Each lease has a connection of its own while it lasts, so that one thread's waiting holds up
//! nobody else; connections are used again. If the agent is not there, jobs run all the same, at most
//! so many at once, and say that nobody manages them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::error::CallError;
use crate::lease::Lease;
use crate::local::LocalBound;
use crate::permit::ProviderPermit;
use crate::protocol::{
    Acquire, AcquireProvider, Advice, Grant, Hint, LeaseId, Level, Method, Preflight, Preflighted,
    ReportThrottled, Text, WaitIfThrottled, Waiting, WorkerError,
};
use crate::request::{Request, milliseconds};
use crate::socket::Socket;
use crate::watch::Watcher;

/// Idle connections that are kept for later.
const IDLE: usize = 16;

/// How long an agent may take to come back, as when it is replaced by a newer one.
pub(crate) const RETURN: Duration = Duration::from_secs(5);

/// How long to wait between tries to reach it.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// A client of an agent. Clones are the same client; threads can share it.
///
/// # Examples
/// ```no_run
/// use profiler_client::{Client, Request};
///
/// let client = Client::new();
/// let lease = client.acquire(&Request::new("imap_mailbox").this_thread())?;
/// // Run the job.
/// if let Some(usage) = lease.release(None)? {
///     println!("{:?} ns of CPU", usage.cpu_ns);
/// }
/// # Ok::<(), profiler_client::CallError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    candidates: Vec<PathBuf>,
    idle: Mutex<Vec<Connection>>,
    pub(crate) local: LocalBound,
}

/// How conditions are after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// How close to its limits the connector, or the host, is; `None` if no agent is there to tell.
    pub level: Option<Level>,
    /// How long the wait was.
    pub waited: Duration,
}

impl Client {
    /// A client of the agent at the usual places; see [`Socket::candidates`]. Connects when there is
    /// something to ask.
    #[must_use]
    pub fn new() -> Self {
        Self::among(Socket::Worker.candidates())
    }

    /// A client of the agent at this socket.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::among(vec![path.into()])
    }

    fn among(candidates: Vec<PathBuf>) -> Self {
        let (idle, local) = (Mutex::default(), LocalBound::default());
        Self(Arc::new(Shared { candidates, idle, local }))
    }

    /// Waits for a slot, and takes it. Without an agent, the job is to run all the same: see
    /// [`Lease::is_managed`].
    ///
    /// # Errors
    /// What the agent refuses, such as [`WorkerError::NotGranted`]; never that it is not there.
    pub fn acquire(&self, request: &Request) -> Result<Lease, CallError> {
        self.acquire_telling(request, |_| {})
    }

    /// Waits for a slot, and tells each change of the place in the queue.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub fn acquire_telling(
        &self,
        request: &Request,
        mut tell: impl FnMut(&Waiting),
    ) -> Result<Lease, CallError> {
        let began = Instant::now();
        loop {
            let granted = self.0.connect().and_then(|mut connection| {
                let grant = wait_for_grant(&mut connection, request.acquire(), &mut tell)?;
                Ok((connection, grant))
            });
            match granted {
                Ok((connection, grant)) => {
                    return Ok(Lease::managed(self.clone(), request.clone(), connection, grant));
                }
                // It was there a moment ago.
                Err(CallError::Lost(_)) if began.elapsed() < RETURN => std::thread::sleep(PAUSE),
                Err(error) if error.is_absence() => return self.acquire_without_agent(request),
                Err(error) => return Err(error),
            }
        }
    }

    fn acquire_without_agent(&self, request: &Request) -> Result<Lease, CallError> {
        let (connector, limit) = (request.connector(), request.limit_without_agent());
        let began = Instant::now();
        let local = &self.0.local;
        if !local.take(connector, limit, request.patience()) {
            if !request.proceeds() {
                let waited_ms = milliseconds(began.elapsed());
                return Err(not_granted(waited_ms).into());
            }
            local.take_anyway(connector);
        }
        Ok(Lease::unmanaged(self.clone(), request.clone()))
    }

    /// Waits until conditions are normal for a connector, or for the host, at most so long. The
    /// caller goes on either way, so nothing can deadlock; without an agent there is no wait.
    ///
    /// # Errors
    /// What the agent refuses; never that it is not there.
    pub fn wait_if_throttled(
        &self,
        connector: Option<&str>,
        max_wait: Duration,
    ) -> Result<Conditions, CallError> {
        let parameters = WaitIfThrottled {
            connector: connector.map(Text::from),
            max_wait_ms: Some(milliseconds(max_wait)),
        };
        let none = Conditions { level: None, waited: Duration::ZERO };
        Ok(self.ask(&parameters)?.map_or(none, |waited| Conditions {
            level: Some(waited.level),
            waited: Duration::from_millis(waited.waited_ms),
        }))
    }

    /// Advice for jobs of a connector, or for the host as a whole; `None` without an agent.
    ///
    /// # Errors
    /// What the agent refuses.
    pub fn hint(&self, connector: Option<&str>) -> Result<Option<Advice>, CallError> {
        let given = self.ask(&Hint { connector: connector.map(Text::from) })?;
        Ok(given.map(|given| given.hint))
    }

    /// Whether a job would get a slot now; `None` without an agent.
    ///
    /// # Errors
    /// What the agent refuses.
    pub fn preflight(&self, request: &Request) -> Result<Option<Preflighted>, CallError> {
        self.ask(&Preflight::from(request.acquire()))
    }

    /// Waits for a place at an external service, at most so long, and takes it.
    ///
    /// # Errors
    /// What the agent refuses; never that it is not there.
    pub fn acquire_provider(
        &self,
        provider: &str,
        lease: Option<&Lease>,
        max_wait: Option<Duration>,
    ) -> Result<ProviderPermit, CallError> {
        let parameters = AcquireProvider {
            provider: provider.into(),
            lease: lease.and_then(Lease::id),
            max_wait_ms: max_wait.map(milliseconds),
        };
        let granted = self.0.connect().and_then(|mut connection| {
            let permit = connection.call(&parameters)?;
            Ok((connection, permit.permit))
        });
        match granted {
            Ok((connection, id)) => Ok(ProviderPermit::managed(self.clone(), connection, id)),
            Err(error) if error.is_absence() => Ok(ProviderPermit::unmanaged()),
            Err(error) => Err(error),
        }
    }

    /// Tells that an external service said "too many requests", and how long it wants to be left
    /// alone. Whether there is an agent that heard it.
    ///
    /// # Errors
    /// What the agent refuses.
    pub fn report_throttled(
        &self,
        provider: &str,
        retry_after: Option<Duration>,
    ) -> Result<bool, CallError> {
        let retry_after_ms = retry_after.map(milliseconds);
        let told = self.ask(&ReportThrottled { provider: provider.into(), retry_after_ms })?;
        Ok(told.is_some())
    }

    /// Follows the state of a connector, or of all that this client has leases of.
    #[must_use]
    pub fn watch(&self, connector: Option<&str>) -> Watcher {
        Watcher::new(self.clone(), connector)
    }

    /// Calls a method that needs no lease, and tries again if the agent had closed an idle
    /// connection; `None` without an agent.
    fn ask<M: Method>(&self, parameters: &M) -> Result<Option<M::Reply>, CallError> {
        let answered = match self.try_asking(parameters) {
            Err(CallError::Lost(_)) => self.try_asking(parameters),
            answered => answered,
        };
        match answered {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn try_asking<M: Method>(&self, parameters: &M) -> Result<M::Reply, CallError> {
        let mut connection = self.0.connect()?;
        let reply = connection.call(parameters);
        if !matches!(reply, Err(CallError::Lost(_) | CallError::Wire(_))) {
            self.0.give_back(connection);
        }
        reply
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// A connection without a lease: an idle one, or a new one.
    pub(crate) fn connect(&self) -> Result<Connection, CallError> {
        loop {
            let Some(connection) = self.lock().pop() else {
                return Connection::open(&self.candidates);
            };
            if !connection.is_stale() {
                return Ok(connection);
            }
        }
    }

    /// Keeps a connection on which nothing is held any more.
    pub(crate) fn give_back(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }

    /// Gets a lease back that was there before the agent or the connection went away.
    pub(crate) fn resume(
        &self,
        request: &Request,
        lease: LeaseId,
    ) -> Result<Connection, CallError> {
        let began = Instant::now();
        loop {
            let resumed = Connection::open(&self.candidates).and_then(|mut connection| {
                connection.call(&request.resuming(lease))?;
                Ok(connection)
            });
            match resumed {
                Err(error) if error.is_absence() && began.elapsed() < RETURN => {
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is to say when a job may not run.
pub(crate) fn not_granted(waited_ms: u64) -> WorkerError {
    let constraints = vec![crate::protocol::Constraint::Cap];
    WorkerError::NotGranted { constraints, waited_ms, estimate_ms: None }
}

fn wait_for_grant(
    connection: &mut Connection,
    acquire: &Acquire<'_>,
    tell: &mut impl FnMut(&Waiting),
) -> Result<Grant, CallError> {
    connection.call_more(acquire)?;
    loop {
        let (acquired, _) = connection.receive::<Acquire<'_>>()?;
        if let ControlFlow::Break(grant) = crate::lease::progress(acquired, tell)? {
            return Ok(grant);
        }
    }
}
