//! The agent's side of the protocol: sockets, connections, and whom they belong to.
//!
//! What a call means is a [`Service`]'s business. Here is what every call has in common, and the
//! promises are: identity comes from the kernel; calls of a connection are answered in their order; a
//! call that is answered at once costs no task, no channel and no allocation of ours; a connection
//! that nothing happens on has no buffer; a client that breaks the protocol, says half a thing or
//! never reads is told or cut off, and nobody else notices.
//!
//! It all runs on one thread, in a `tokio` runtime that can spawn local tasks.

mod connection;
mod dispatch;
mod latest;
mod listen;
mod parameter;
mod peer;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use latest::Latest;
pub use listen::{BindError, bind};
pub use peer::{Line, Peer};
pub use server::{Limits, Server};
pub use service::{Answer, Answered, Call, Pending, Reply, Role, Service, Told};
