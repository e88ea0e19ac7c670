//! Following how conditions change.

use std::time::Instant;

use crate::client::{Client, PAUSE, RETURN};
use crate::connection::Connection;
use crate::error::CallError;
use crate::protocol::{Watch, WatchState};

/// Gives the state at once, and then at each change; of several changes since the last look the
/// latest. If the agent is replaced, goes on with the new one; ends with an error if none comes.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    connector: Option<String>,
    connection: Option<Connection>,
    is_over: bool,
}

impl Watcher {
    pub(crate) fn new(client: Client, connector: Option<&str>) -> Self {
        Self { client, connector: connector.map(str::to_owned), connection: None, is_over: false }
    }

    fn state(&mut self) -> Result<WatchState, CallError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let mut connection = self.client.0.connect()?;
                let connector = self.connector.as_deref().map(Into::into);
                connection.call_more(&Watch { connector })?;
                none.insert(connection)
            }
        };
        connection.receive::<Watch<'_>>().map(|(state, _)| state)
    }
}

impl Iterator for Watcher {
    type Item = Result<WatchState, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut lost_at = None;
        while !self.is_over {
            match self.state() {
                Ok(state) => return Some(Ok(state)),
                Err(error) => {
                    let was_there = self.connection.take().is_some() || lost_at.is_some();
                    let since = *lost_at.get_or_insert_with(Instant::now);
                    if !(error.is_absence() && was_there && since.elapsed() < RETURN) {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
        None
    }
}
