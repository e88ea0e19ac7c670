//! Who holds what: slots, memory reservations, places at providers, and who waits for them.
//!
//! [`Ledger`] is a state machine without a clock, a socket or a thread: it is told what happened
//! and when, and says what follows from it. It promises, on any sequence of calls:
//!
//! - a slot is given only below the limit and memory only within the budget, but for grants that
//!   say what they exceed and are counted by why ([`Escape`]);
//! - each request gets one answer;
//! - first come, first served within a connector and class; a request's class rises while it waits;
//! - everybody waits a bounded time, if jobs end: see [`Settings::patience`];
//! - counts are kept with the table of leases, changed only together with it, and equal to what is
//!   counted from it ([`Ledger::audit`]).

mod adjust;
mod dispatch;
mod ledger;
mod operate;
mod permit;
mod provider;
mod query;
mod queue;
mod request;
mod table;

pub use ledger::{Ledger, LedgerError, Settings};
pub use provider::{ProviderSettings, ProviderState, Rate};
pub use query::ConnectorState;
pub use request::{Effect, Escape, Escapes, Grant, Preflight, Request};
pub use table::{Lease, LeaseState, MemoryRule};

#[cfg(test)]
mod tests;
