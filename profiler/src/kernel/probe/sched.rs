//! `sched_switch`.

use super::{Group, Hook};

/// Attached last: once switches are seen, everything else is in place.
pub(super) const GROUP: Group = Group {
    name: "switches",
    gives: "CPU time, run-queue wait, block wait, switches",
    is_required: true,
    ways: &[&[Hook::Tracepoint("sched_switch")]],
};
