//! A slot for as long as a job runs.

use std::io;
use std::ops::ControlFlow;

use crate::client::Client;
use crate::connection::Connection;
use crate::error::CallError;
use crate::protocol::{
    Acquired, Attach, Detach, Grant, LeaseId, Method, Outcome, Peek, Release, Usage, Waiting,
};
use crate::request::Request;

/// The right to run one job. Released when dropped; [`Self::release`] also tells what the job used.
///
/// If the agent is replaced while the job runs, the lease lives on: the kernel goes on counting, and
/// the next call on the lease gets it back from the new agent.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    request: Request,
    /// `None` if no agent gave it: it counts within this client's own bound.
    managed: Option<Managed>,
    is_over: bool,
}

#[derive(Debug)]
struct Managed {
    connection: Connection,
    grant: Grant,
}

impl Lease {
    pub(crate) fn managed(
        client: Client,
        request: Request,
        connection: Connection,
        grant: Grant,
    ) -> Self {
        Self { client, request, managed: Some(Managed { connection, grant }), is_over: false }
    }

    pub(crate) fn unmanaged(client: Client, request: Request) -> Self {
        Self { client, request, managed: None, is_over: false }
    }

    /// Whether an agent gave the slot. If not, there was none, and nobody counts what the job uses.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.grant().is_some()
    }

    /// What the agent granted.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        self.managed.as_ref().map(|managed| &managed.grant)
    }

    /// The lease's number, if an agent gave it.
    #[must_use]
    pub fn id(&self) -> Option<LeaseId> {
        self.grant().map(|grant| grant.lease)
    }

    /// What the job used so far; `None` if nobody counts.
    ///
    /// # Errors
    /// What the agent refuses, or that it went away and does not come back.
    pub fn peek(&mut self) -> Result<Option<Usage>, CallError> {
        let peeked = self.call(|lease| Peek { lease })?;
        Ok(peeked.map(|peeked| peeked.usage))
    }

    /// The calling thread works for the job too, from now on.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn attach_this_thread(&mut self) -> Result<(), CallError> {
        let tid = this_thread();
        self.call(|lease| Attach { lease, tid, pid: None }).map(drop)
    }

    /// A process works for the job too, with all that it starts from now on.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn attach_process(&mut self, pid: u32) -> Result<(), CallError> {
        self.call(|lease| Attach { lease, tid: None, pid: Some(pid) }).map(drop)
    }

    /// The calling thread works for the job no more.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn detach_this_thread(&mut self) -> Result<(), CallError> {
        let tid = this_thread();
        self.call(|lease| Detach { lease, tid, pid: None }).map(drop)
    }

    /// The calling process works for the job no more; what it started does.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn detach_this_process(&mut self) -> Result<(), CallError> {
        let pid = Some(std::process::id());
        self.call(|lease| Detach { lease, tid: None, pid }).map(drop)
    }

    /// Gives the slot back, says how the job ended, and tells what it used in all; `None` if nobody
    /// counted.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn release(mut self, outcome: Option<Outcome>) -> Result<Option<Usage>, CallError> {
        let released = self.call(|lease| Release { lease, outcome });
        self.is_over = true;
        match self.managed.take() {
            Some(managed) if released.is_ok() => self.client.0.give_back(managed.connection),
            // A connection on which something went wrong ends here, and the lease with it.
            Some(_) => {}
            None => self.client.0.local.give_back(self.request.connector()),
        }
        Ok(released?.map(|released| released.usage))
    }

    /// Calls a method of the lease. If the agent went away, gets the lease back and calls again.
    fn call<M: Method>(
        &mut self,
        parameters: impl Fn(LeaseId) -> M,
    ) -> Result<Option<M::Reply>, CallError> {
        let Some(Managed { connection, grant }) = &mut self.managed else { return Ok(None) };
        let parameters = parameters(grant.lease);
        match connection.call(&parameters) {
            Err(error) if error.is_absence() => {
                *connection = self.client.0.resume(&self.request, grant.lease)?;
                connection.call(&parameters).map(Some)
            }
            reply => reply.map(Some),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Some(Managed { mut connection, grant }) = self.managed.take() else {
            return self.client.0.local.give_back(self.request.connector());
        };
        let outcome = std::thread::panicking().then_some(Outcome::Failed);
        // Nobody waits for the figures. If the agent is gone, there is nobody to tell.
        if connection.call_oneway(&Release { lease: grant.lease, outcome }).is_ok() {
            self.client.0.give_back(connection);
        }
    }
}

/// What a reply to `Acquire` means: the grant, or another place in the queue to tell of.
pub(crate) fn progress(
    acquired: Acquired,
    tell: &mut impl FnMut(&Waiting),
) -> Result<ControlFlow<Grant>, CallError> {
    if let Some(waiting) = &acquired.waiting {
        tell(waiting);
    }
    match acquired {
        Acquired { grant: Some(grant), .. } => Ok(ControlFlow::Break(grant)),
        Acquired { waiting: Some(_), .. } => Ok(ControlFlow::Continue(())),
        Acquired { .. } => Err(CallError::Lost(io::Error::other("it neither grants nor waits"))),
    }
}

pub(crate) fn this_thread() -> Option<u32> {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}
