//! `org.varlink.service`: what every Varlink service answers.

use serde::{Deserialize, Serialize};

use super::{ErrorReply, Text, interface};

interface! {
    /// A call of `org.varlink.service`.
    ServiceCall<'a>, "org.varlink.service" {
        GetInfo(GetInfo) -> Info,
        GetInterfaceDescription(GetInterfaceDescription<'a>) -> Description,
    }
}

/// Asks who is there.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetInfo {}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Who makes it.
    pub vendor: String,
    /// What it is called.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Where to read more.
    pub url: String,
    /// The interfaces of this socket.
    pub interfaces: Vec<String>,
}

/// Asks for the definition of an interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetInterfaceDescription<'a> {
    /// Its name.
    #[serde(borrow)]
    pub interface: Text<'a>,
}

/// The definition of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// As Varlink's language has it.
    pub description: String,
}

/// The errors that every Varlink service has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum ServiceError {
    /// This socket has no such interface.
    #[error("the agent has no interface {interface} at this socket")]
    #[serde(rename = "org.varlink.service.InterfaceNotFound")]
    InterfaceNotFound {
        /// What was asked for.
        interface: String,
    },
    /// The interface has no such method.
    #[error("the agent knows no method {method}")]
    #[serde(rename = "org.varlink.service.MethodNotFound")]
    MethodNotFound {
        /// What was asked for.
        method: String,
    },
    /// The method is described, but not there.
    #[error("this agent does not have {method}")]
    #[serde(rename = "org.varlink.service.MethodNotImplemented")]
    MethodNotImplemented {
        /// What was asked for.
        method: String,
    },
    /// A parameter is unknown, missing or of the wrong type.
    #[error("the parameter {parameter:?} is unknown, missing, there twice or of the wrong type")]
    #[serde(rename = "org.varlink.service.InvalidParameter")]
    InvalidParameter {
        /// Which one.
        parameter: String,
    },
    /// The caller may not do that.
    #[error("the agent does not permit that")]
    #[serde(rename = "org.varlink.service.PermissionDenied")]
    PermissionDenied {},
    /// The method answers only calls that take several replies.
    #[error("that works with \"more\" only")]
    #[serde(rename = "org.varlink.service.ExpectedMore")]
    ExpectedMore {},
}

impl ErrorReply for ServiceError {}
