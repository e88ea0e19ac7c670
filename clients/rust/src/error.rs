//! What can become of a call.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::protocol::{ControlError, ServiceError, WorkerError};
use crate::wire::{Reply, WireError};

/// Why a call gave nothing.
#[derive(Debug, Error)]
pub enum CallError {
    /// Nobody answers at the socket.
    #[error("no agent at {}: {reason}", path.display())]
    NoAgent {
        /// The last place that was tried.
        path: PathBuf,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// The connection ended before the reply came.
    #[error("the agent went away: {0}")]
    Lost(#[source] io::Error),
    /// What came is no reply.
    #[error("the agent's reply: {0}")]
    Wire(#[from] WireError),
    /// The agent says no, to a worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The agent says no, to an operator.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The call itself is wrong.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An error that this version does not know.
    #[error("{name} {data}")]
    Other {
        /// Its full name.
        name: String,
        /// Its data as JSON.
        data: String,
    },
}

impl CallError {
    /// Whether there is nobody to ask, now.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::NoAgent { .. } | Self::Lost(_))
    }

    /// The error that a reply is, if it is one.
    pub(crate) fn of(reply: &Reply<'_>) -> Option<Self> {
        let name: &str = reply.error.as_deref()?;
        let parameters = reply.parameters();
        let error = known(name, parameters)
            .unwrap_or_else(|| Self::Other { name: name.to_owned(), data: parameters.to_owned() });
        Some(error)
    }
}

/// Reads the error as one of an interface's.
fn known(name: &str, parameters: &str) -> Option<CallError> {
    #[derive(serde::Serialize)]
    struct Envelope<'a> {
        error: &'a str,
        parameters: &'a RawValue,
    }

    fn read<T: for<'de> Deserialize<'de> + Into<CallError>>(text: &str) -> Option<CallError> {
        serde_json::from_str::<T>(text).ok().map(Into::into)
    }

    let parameters: &RawValue = serde_json::from_str(parameters).ok()?;
    let text = serde_json::to_string(&Envelope { error: name, parameters }).ok()?;
    let (interface, _) = name.rsplit_once('.')?;
    match interface {
        "org.profiler.Worker" => read::<WorkerError>(&text),
        "org.profiler.Control" => read::<ControlError>(&text),
        "org.varlink.service" => read::<ServiceError>(&text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> CallError {
        CallError::of(&Reply::parse(message.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn errors_are_typed_and_unknown_ones_keep_what_they_say() {
        let found = error(r#"{"error":"org.profiler.Worker.TaskIsTaken","parameters":{"tid":7}}"#);
        assert!(matches!(found, CallError::Worker(WorkerError::TaskIsTaken { tid: 7 })));
        let found = error(r#"{"error":"org.varlink.service.PermissionDenied"}"#);
        assert!(matches!(found, CallError::Service(ServiceError::PermissionDenied {})));
        let found = error(r#"{"error":"org.profiler.Worker.Later","parameters":{"a":1}}"#);
        assert_eq!(found.to_string(), r#"org.profiler.Worker.Later {"a":1}"#);
        assert!(CallError::of(&Reply::parse(b"{\"parameters\":{}}").unwrap()).is_none());
    }
}
