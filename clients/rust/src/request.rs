//! What to ask a slot for.

use std::time::Duration;

use crate::protocol::{Acquire, LeaseId, OnTimeout, Preflight, Priority, Scope};

/// A request for a slot, for a job of a connector. What is not said is left to the connector's
/// profile.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use profiler_client::{Request, protocol::Priority};
///
/// let request = Request::new("imap_mailbox")
///     .source("inbox@example.org")
///     .priority(Priority::Interactive)
///     .memory_bytes(300 << 20)
///     .max_wait(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Request {
    acquire: Acquire<'static>,
    unmanaged_limit: Option<u32>,
}

impl Request {
    /// A job of this connector, run by the calling process and all that it starts.
    #[must_use]
    pub fn new(connector: impl Into<String>) -> Self {
        let acquire = Acquire { connector: connector.into().into(), ..Acquire::default() };
        Self { acquire, unmanaged_limit: None }
    }

    /// Where the job's input comes from: one mailbox, one vault.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.acquire.source = Some(source.into().into());
        self
    }

    /// What people will know the job by.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.acquire.label = Some(label.into().into());
        self
    }

    /// The calling thread runs the job, nothing else.
    #[must_use]
    pub fn this_thread(mut self) -> Self {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        self.acquire.scope = Some(Scope::Thread);
        self.acquire.tid = Some(tid.cast_unsigned());
        self
    }

    /// The calling process runs the job, without what it starts.
    #[must_use]
    pub fn this_process(mut self) -> Self {
        self.acquire.scope = Some(Scope::Process);
        self.acquire.tid = None;
        self
    }

    /// What the calling process starts runs the job, and that process does not.
    #[must_use]
    pub fn children(mut self) -> Self {
        self.acquire.scope = Some(Scope::Children);
        self.acquire.tid = None;
        self
    }

    /// The class of the request.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.acquire.priority = Some(priority);
        self
    }

    /// Memory that the job needs at most.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.acquire.memory_bytes = Some(bytes);
        self
    }

    /// External services that the job uses.
    #[must_use]
    pub fn providers<I: IntoIterator<Item: Into<String>>>(mut self, providers: I) -> Self {
        let providers = providers.into_iter().map(|provider| provider.into().into());
        self.acquire.providers = Some(providers.collect());
        self
    }

    /// How long to wait for a slot. Without it, as long as it takes.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.acquire.max_wait_ms = Some(milliseconds(wait));
        self
    }

    /// When the job is of no use any more, from now.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.acquire.deadline_ms = Some(milliseconds(deadline));
        self
    }

    /// What to do when the wait is over.
    #[must_use]
    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.acquire.on_timeout = Some(on_timeout);
        self
    }

    /// How many jobs of the connector this client runs at once while no agent is there.
    #[must_use]
    pub fn unmanaged_limit(mut self, jobs: u32) -> Self {
        self.unmanaged_limit = Some(jobs);
        self
    }

    pub(crate) fn acquire(&self) -> &Acquire<'static> {
        &self.acquire
    }

    /// The same request, for a lease that is there already.
    pub(crate) fn resuming(&self, lease: LeaseId) -> Acquire<'static> {
        Acquire { lease: Some(lease), max_wait_ms: Some(0), ..self.acquire.clone() }
    }

    pub(crate) fn connector(&self) -> &str {
        &self.acquire.connector
    }

    /// At the profile's preferred concurrency, as far as that is known without an agent.
    pub(crate) fn limit_without_agent(&self) -> u32 {
        let built_in = match self.connector() {
            "imap_mailbox" | "github_repository" => 1,
            _ => 2,
        };
        self.unmanaged_limit.unwrap_or(built_in).max(1)
    }

    /// How long to wait while no agent is there; `None` for as long as it takes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let waits = [self.acquire.max_wait_ms, self.acquire.deadline_ms];
        waits.into_iter().flatten().min().map(Duration::from_millis)
    }

    /// Whether the job is to run although its time to wait is over.
    pub(crate) fn proceeds(&self) -> bool {
        self.acquire.on_timeout.unwrap_or_default() != OnTimeout::Refuse
    }
}

impl<'a> From<&Acquire<'a>> for Preflight<'a> {
    fn from(acquire: &Acquire<'a>) -> Self {
        Self {
            connector: acquire.connector.clone(),
            source: acquire.source.clone(),
            priority: acquire.priority,
            memory_bytes: acquire.memory_bytes,
            providers: acquire.providers.clone(),
        }
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
