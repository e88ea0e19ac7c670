//! A place at an external service for as long as it is used.

use crate::client::Client;
use crate::connection::Connection;
use crate::protocol::{PermitId, ReleaseProvider};

/// The right to use an external service. Given back when dropped.
#[derive(Debug)]
pub struct ProviderPermit {
    held: Option<(Client, Connection, PermitId)>,
}

impl ProviderPermit {
    pub(crate) fn managed(client: Client, connection: Connection, id: PermitId) -> Self {
        Self { held: Some((client, connection, id)) }
    }

    pub(crate) fn unmanaged() -> Self {
        Self { held: None }
    }

    /// Whether an agent gave the place. If not, there was none, and nobody keeps count.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for ProviderPermit {
    fn drop(&mut self) {
        let Some((client, mut connection, permit)) = self.held.take() else { return };
        // If the agent is gone, so is the place.
        if connection.call_oneway(&ReleaseProvider { permit }).is_ok() {
            client.0.give_back(connection);
        }
    }
}
