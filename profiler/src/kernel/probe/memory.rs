//! Memory of address spaces.

use super::{Group, Hook};

pub(super) const GROUP: Group = Group {
    name: "memory",
    gives: "anonymous, shared and file-mapped memory, at its peak and over time",
    is_required: false,
    ways: &[&[Hook::Tracepoint("rss_stat")]],
};
