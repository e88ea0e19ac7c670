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
    held: Option<Held>,
}

#[derive(Debug)]
enum Held {
    /// From an agent.
    Managed(Connection, Grant),
    /// Within this client's own bound.
    Unmanaged,
}

impl Lease {
    pub(crate) fn managed(
        client: Client,
        request: Request,
        connection: Connection,
        grant: Grant,
    ) -> Self {
        Self { client, request, held: Some(Held::Managed(connection, grant)) }
    }

    pub(crate) fn unmanaged(client: Client, request: Request) -> Self {
        Self { client, request, held: Some(Held::Unmanaged) }
    }

    /// Whether an agent gave the slot. If not, there was none, and nobody counts what the job uses.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.grant().is_some()
    }

    /// What the agent granted.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        match &self.held {
            Some(Held::Managed(_, grant)) => Some(grant),
            _ => None,
        }
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

    /// Gives the slot back, says how the job ended, and tells what it used in all; `None` if nobody
    /// counted.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn release(mut self, outcome: Option<Outcome>) -> Result<Option<Usage>, CallError> {
        let released = self.call(|lease| Release { lease, outcome });
        match self.held.take() {
            Some(Held::Managed(connection, _)) if released.is_ok() => {
                self.client.0.give_back(connection);
            }
            // A connection on which something went wrong ends here, and the lease with it.
            Some(Held::Managed(..)) | None => {}
            Some(Held::Unmanaged) => self.client.0.local.give_back(self.request.connector()),
        }
        Ok(released?.map(|released| released.usage))
    }

    /// Calls a method of the lease. If the agent went away, gets the lease back and calls again.
    fn call<M: Method>(
        &mut self,
        parameters: impl Fn(LeaseId) -> M,
    ) -> Result<Option<M::Reply>, CallError> {
        let Some(Held::Managed(connection, grant)) = &mut self.held else { return Ok(None) };
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
        match self.held.take() {
            Some(Held::Managed(mut connection, grant)) => {
                let outcome = std::thread::panicking().then_some(Outcome::Failed);
                // Nobody waits for the figures. If the agent is gone, there is nobody to tell.
                if connection.call_oneway(&Release { lease: grant.lease, outcome }).is_ok() {
                    self.client.0.give_back(connection);
                }
            }
            Some(Held::Unmanaged) => self.client.0.local.give_back(self.request.connector()),
            None => {}
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
