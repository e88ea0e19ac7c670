//! A type for each call, reply and error of the protocol.
//!
//! The contract is in [`crate::interfaces`]; a test compares the names here with the names there.
//! What the agent reads refuses unknown fields, so that a misspelt one is not passed over; what a
//! client reads ignores them, so that it works with a later agent.

mod common;
mod control;
mod service;
#[cfg(test)]
mod tests;
mod text;
mod usage;
mod worker;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use common::{Constraint, LeaseId, Level, PermitId, Priority};
pub use control::{
    ChangedProfile, Connector, Connectors, ConnectorsList, ControlCall, ControlError, Drain,
    Drained, Explain, ExplainJob, Explained, ExplainedJob, History, Host, Intensity, Job, Jobs,
    JobsList, OwnCost, PastJob, PastJobs, Pattern, Profile, Provider, Recommendation, Reload,
    Reloaded, Resume, SetLimit, SetProfile, State, Statistics, Status, StatusReply,
};
pub use service::{Description, GetInfo, GetInterfaceDescription, Info, ServiceCall, ServiceError};
pub use text::Text;
pub use usage::{Latency, Source, Usage};
pub use worker::{
    Acquire, AcquireProvider, Acquired, Advice, Attach, Bounded, ConnectorState, Detach, Grant,
    Hint, HintGiven, How, OnTimeout, Outcome, Peek, Permit, Preflight, Preflighted, Release,
    ReleaseProvider, Released, ReportThrottled, Scope, WaitIfThrottled, Waited, Waiting, Watch,
    WatchState, WorkerCall, WorkerError,
};

/// The parameters of a method, which tell its name and what it gives.
pub trait Method: Serialize {
    /// Interface and method, with a dot between them.
    const NAME: &'static str;

    /// What the method gives.
    type Reply: DeserializeOwned;
}

/// A reply without figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Nothing {}

/// An error that goes over the wire: serialises as an object of `error`, its full name, and
/// `parameters`, its data.
pub trait ErrorReply: Serialize {}

/// The methods of an interface: an enum of their parameters, how to find the one for a name, and
/// what ties parameters to replies.
macro_rules! interface {
    (
        $(#[$doc:meta])*
        $call:ident<$lt:lifetime>, $interface:literal {
            $($method:ident($parameters:ty) -> $reply:ty,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $call<$lt> {
            $(
                #[doc = concat!("`", stringify!($method), "`")]
                $method($parameters),
            )+
        }

        impl<$lt> $call<$lt> {
            /// The name of the interface.
            pub const INTERFACE: &'static str = $interface;

            /// The names of the methods, without the interface.
            pub const METHODS: &'static [&'static str] = &[$(stringify!($method)),+];

            /// Reads the parameters of the method called `method`, without the interface; `None` if
            /// there is none.
            ///
            /// # Errors
            /// What is wrong with the parameters.
            pub fn parse(
                method: &str,
                parameters: &$lt str,
            ) -> Option<Result<Self, serde_json::Error>> {
                Some(match method {
                    $(stringify!($method) => {
                        serde_json::from_str(parameters).map(Self::$method)
                    })+
                    _ => return None,
                })
            }
        }

        $(
            #[allow(
                clippy::extra_unused_lifetimes, single_use_lifetimes,
                reason = "not all parameters borrow"
            )]
            impl<$lt> crate::protocol::Method for $parameters {
                const NAME: &'static str = concat!($interface, ".", stringify!($method));
                type Reply = $reply;
            }
        )+
    };
}
use interface;
