//! The client for `tokio`: as [`crate::Client`], with `await`.
//!
//! A call that is dropped before its end gives up what it waited for. Tasks share their threads, so a
//! job that is a task is told apart from others only if it has a thread, or a process, to itself.

mod connection;
mod lease;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::client::{Conditions, PAUSE, RETURN, not_granted};
use crate::error::CallError;
use crate::lease::progress;
use crate::local::LocalBound;
use crate::protocol::{
    Acquire, AcquireProvider, Advice, Grant, Hint, LeaseId, Method, Preflight, Preflighted,
    ReportThrottled, Text, WaitIfThrottled, Waiting, Watch, WatchState,
};
use crate::request::{Request, milliseconds};
use crate::socket::Socket;

pub use connection::Connection;
pub use lease::{Lease, ProviderPermit};

/// Idle connections that are kept for later.
const IDLE: usize = 16;

/// A client of an agent. Clones are the same client; tasks can share it.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    candidates: Vec<PathBuf>,
    idle: Mutex<Vec<Connection>>,
    local: LocalBound,
    local_ended: Notify,
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
        let (idle, local, local_ended) = (Mutex::default(), LocalBound::default(), Notify::new());
        Self(Arc::new(Shared { candidates, idle, local, local_ended }))
    }

    /// Waits for a slot, and takes it. Without an agent, the job is to run all the same: see
    /// [`Lease::is_managed`].
    ///
    /// # Errors
    /// What the agent refuses; never that it is not there.
    pub async fn acquire(&self, request: &Request) -> Result<Lease, CallError> {
        self.acquire_telling(request, |_| {}).await
    }

    /// Waits for a slot, and tells each change of the place in the queue.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_telling(
        &self,
        request: &Request,
        mut tell: impl FnMut(&Waiting),
    ) -> Result<Lease, CallError> {
        let began = Instant::now();
        loop {
            match self.try_acquire(request, &mut tell).await {
                // It was there a moment ago.
                Err(CallError::Lost(_)) if began.elapsed() < RETURN => sleep(PAUSE).await,
                Err(error) if error.is_absence() => return self.acquire_alone(request).await,
                other => return other,
            }
        }
    }

    async fn try_acquire(
        &self,
        request: &Request,
        tell: &mut impl FnMut(&Waiting),
    ) -> Result<Lease, CallError> {
        let mut connection = self.connect().await?;
        let grant = wait_for_grant(&mut connection, request.acquire(), tell).await?;
        Ok(Lease::managed(self.clone(), request.clone(), connection, grant))
    }

    async fn acquire_alone(&self, request: &Request) -> Result<Lease, CallError> {
        let began = Instant::now();
        let shared = &self.0;
        let (connector, limit) = (request.connector(), request.limit_without_agent());
        let taken = async {
            loop {
                // Registered before the look, so that no end in between is missed.
                let ended = shared.local_ended.notified();
                if shared.local.take(connector, limit, Some(Duration::ZERO)) {
                    return;
                }
                ended.await;
            }
        };
        let is_taken = match request.patience() {
            Some(patience) => timeout(patience, taken).await.is_ok(),
            None => {
                taken.await;
                true
            }
        };
        if !is_taken {
            if !request.proceeds() {
                return Err(not_granted(milliseconds(began.elapsed())).into());
            }
            shared.local.take_anyway(connector);
        }
        Ok(Lease::unmanaged(self.clone(), request.clone()))
    }

    /// Waits until conditions are normal for a connector, or for the host, at most so long. The
    /// caller goes on either way, so nothing can deadlock; without an agent there is no wait.
    ///
    /// # Errors
    /// What the agent refuses; never that it is not there.
    pub async fn wait_if_throttled(
        &self,
        connector: Option<&str>,
        max_wait: Duration,
    ) -> Result<Conditions, CallError> {
        let parameters = WaitIfThrottled {
            connector: connector.map(Text::from),
            max_wait_ms: Some(milliseconds(max_wait)),
        };
        let none = Conditions { level: None, waited: Duration::ZERO };
        Ok(self.ask(&parameters).await?.map_or(none, |waited| Conditions {
            level: Some(waited.level),
            waited: Duration::from_millis(waited.waited_ms),
        }))
    }

    /// Advice for jobs of a connector, or for the host as a whole; `None` without an agent.
    ///
    /// # Errors
    /// What the agent refuses.
    pub async fn hint(&self, connector: Option<&str>) -> Result<Option<Advice>, CallError> {
        let given = self.ask(&Hint { connector: connector.map(Text::from) }).await?;
        Ok(given.map(|given| given.hint))
    }

    /// Whether a job would get a slot now; `None` without an agent.
    ///
    /// # Errors
    /// What the agent refuses.
    pub async fn preflight(&self, request: &Request) -> Result<Option<Preflighted>, CallError> {
        self.ask(&Preflight::from(request.acquire())).await
    }

    /// Waits for a place at an external service, at most so long, and takes it.
    ///
    /// # Errors
    /// What the agent refuses; never that it is not there.
    pub async fn acquire_provider(
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
        let granted = async {
            let mut connection = self.connect().await?;
            let permit = connection.call(&parameters).await?.permit;
            Ok(ProviderPermit::managed(self.clone(), connection, permit))
        };
        match granted.await {
            Err(CallError::NoAgent { .. } | CallError::Lost(_)) => Ok(ProviderPermit::unmanaged()),
            other => other,
        }
    }

    /// Tells that an external service said "too many requests", and how long it wants to be left
    /// alone. Whether there is an agent that heard it.
    ///
    /// # Errors
    /// What the agent refuses.
    pub async fn report_throttled(
        &self,
        provider: &str,
        retry_after: Option<Duration>,
    ) -> Result<bool, CallError> {
        let retry_after_ms = retry_after.map(milliseconds);
        let told = self.ask(&ReportThrottled { provider: provider.into(), retry_after_ms }).await?;
        Ok(told.is_some())
    }

    /// Follows the state of a connector, or of all that this client has leases of.
    #[must_use]
    pub fn watch(&self, connector: Option<&str>) -> Watcher {
        let connector = connector.map(str::to_owned);
        Watcher { client: self.clone(), connector, connection: None }
    }

    /// Calls a method that needs no lease; `None` without an agent.
    async fn ask<M: Method>(&self, parameters: &M) -> Result<Option<M::Reply>, CallError> {
        let answered = match self.try_asking(parameters).await {
            // An idle connection may have ended just now.
            Err(CallError::Lost(_)) => self.try_asking(parameters).await,
            answered => answered,
        };
        match answered {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn try_asking<M: Method>(&self, parameters: &M) -> Result<M::Reply, CallError> {
        let mut connection = self.connect().await?;
        let reply = connection.call(parameters).await;
        if !matches!(reply, Err(CallError::Lost(_) | CallError::Wire(_))) {
            self.give_back(connection);
        }
        reply
    }

    /// A connection without a lease: an idle one, or a new one.
    async fn connect(&self) -> Result<Connection, CallError> {
        loop {
            let idle = self.lock().pop();
            match idle {
                Some(connection) if connection.is_stale() => {}
                Some(connection) => return Ok(connection),
                None => return Connection::open(&self.0.candidates).await,
            }
        }
    }

    /// Keeps a connection on which nothing is held any more.
    fn give_back(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }

    /// A job that nobody managed has ended.
    fn ended_alone(&self, connector: &str) {
        self.0.local.give_back(connector);
        self.0.local_ended.notify_waiters();
    }

    /// Gets a lease back that was there before the agent or the connection went away.
    async fn resume(&self, request: &Request, lease: LeaseId) -> Result<Connection, CallError> {
        let began = Instant::now();
        loop {
            let resumed = async {
                let mut connection = Connection::open(&self.0.candidates).await?;
                connection.call(&request.resuming(lease)).await?;
                Ok(connection)
            };
            match resumed.await {
                Err(CallError::NoAgent { .. } | CallError::Lost(_)) if began.elapsed() < RETURN => {
                    sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives the state at once, and then at each change; of several changes since the last look the
/// latest. If the agent is replaced, goes on with the new one.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    connector: Option<String>,
    connection: Option<Connection>,
}

impl Watcher {
    /// The next state.
    ///
    /// # Errors
    /// What the agent refuses, or that it is not there or went away and does not come back.
    pub async fn next(&mut self) -> Result<WatchState, CallError> {
        let mut lost_at = None;
        loop {
            let error = match self.state().await {
                Ok(state) => return Ok(state),
                Err(error) => error,
            };
            let was_there = self.connection.take().is_some() || lost_at.is_some();
            let since = *lost_at.get_or_insert_with(Instant::now);
            if !(error.is_absence() && was_there && since.elapsed() < RETURN) {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    async fn state(&mut self) -> Result<WatchState, CallError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let mut connection = self.client.connect().await?;
                let connector = self.connector.as_deref().map(Into::into);
                connection.call_more(&Watch { connector }).await?;
                none.insert(connection)
            }
        };
        connection.receive::<Watch<'_>>().await.map(|(state, _)| state)
    }
}

async fn wait_for_grant(
    connection: &mut Connection,
    acquire: &Acquire<'_>,
    tell: &mut impl FnMut(&Waiting),
) -> Result<Grant, CallError> {
    connection.call_more(acquire).await?;
    loop {
        let (acquired, _) = connection.receive::<Acquire<'_>>().await?;
        if let ControlFlow::Break(grant) = progress(acquired, tell)? {
            return Ok(grant);
        }
    }
}
