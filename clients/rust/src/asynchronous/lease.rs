//! A slot, or a place at an external service, for as long as it is used.

use super::{Client, Connection};
use crate::error::CallError;
use crate::protocol::{
    Attach, Grant, LeaseId, Method, Outcome, Peek, PermitId, Release, ReleaseProvider, Usage,
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
    /// `None` if no agent gave it: it counts within the client's own bound.
    managed: Option<(Connection, Grant)>,
    is_over: bool,
}

impl Lease {
    pub(super) fn managed(
        client: Client,
        request: Request,
        connection: Connection,
        grant: Grant,
    ) -> Self {
        Self { client, request, managed: Some((connection, grant)), is_over: false }
    }

    pub(super) fn unmanaged(client: Client, request: Request) -> Self {
        Self { client, request, managed: None, is_over: false }
    }

    /// Whether an agent gave the slot. If not, there was none, and nobody counts what the job uses.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.managed.is_some()
    }

    /// What the agent granted.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        self.managed.as_ref().map(|(_, grant)| grant)
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
    pub async fn peek(&mut self) -> Result<Option<Usage>, CallError> {
        let peeked = self.call(|lease| Peek { lease }).await?;
        Ok(peeked.map(|peeked| peeked.usage))
    }

    /// A process works for the job too, with all that it starts from now on.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub async fn attach_process(&mut self, pid: u32) -> Result<(), CallError> {
        self.call(|lease| Attach { lease, tid: None, pid: Some(pid) }).await.map(drop)
    }

    /// Gives the slot back, says how the job ended, and tells what it used in all; `None` if nobody
    /// counted.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub async fn release(mut self, outcome: Option<Outcome>) -> Result<Option<Usage>, CallError> {
        let released = self.call(|lease| Release { lease, outcome }).await;
        self.is_over = true;
        match self.managed.take() {
            Some((connection, _)) if released.is_ok() => self.client.give_back(connection),
            // A connection on which something went wrong ends here, and the lease with it.
            Some(_) => {}
            None => self.client.ended_alone(self.request.connector()),
        }
        Ok(released?.map(|released| released.usage))
    }

    /// Calls a method of the lease. If the agent went away, gets the lease back and calls again.
    async fn call<M: Method>(
        &mut self,
        parameters: impl Fn(LeaseId) -> M,
    ) -> Result<Option<M::Reply>, CallError> {
        let Some((connection, grant)) = &mut self.managed else { return Ok(None) };
        let parameters = parameters(grant.lease);
        match connection.call(&parameters).await {
            Err(error) if error.is_absence() => {
                *connection = self.client.resume(&self.request, grant.lease).await?;
                connection.call(&parameters).await.map(Some)
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
        let Some((mut connection, grant)) = self.managed.take() else {
            return self.client.ended_alone(self.request.connector());
        };
        let outcome = std::thread::panicking().then_some(Outcome::Failed);
        // Nobody waits for the figures. What did not go out whole ends with the connection.
        if connection.call_oneway_now(&Release { lease: grant.lease, outcome }) {
            self.client.give_back(connection);
        }
    }
}

/// The right to use an external service. Given back when dropped.
#[derive(Debug)]
pub struct ProviderPermit(Option<(Client, Connection, PermitId)>);

impl ProviderPermit {
    pub(super) fn managed(client: Client, connection: Connection, permit: PermitId) -> Self {
        Self(Some((client, connection, permit)))
    }

    pub(super) const fn unmanaged() -> Self {
        Self(None)
    }

    /// Whether an agent gave the place. If not, there was none, and nobody keeps count.
    #[must_use]
    pub const fn is_managed(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for ProviderPermit {
    fn drop(&mut self) {
        let Some((client, mut connection, permit)) = self.0.take() else { return };
        if connection.call_oneway_now(&ReleaseProvider { permit }) {
            client.give_back(connection);
        }
    }
}
