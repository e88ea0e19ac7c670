//! Birth, renaming and end of tasks.

use super::{Group, Hook};

pub(super) const GROUP: Group = Group {
    name: "life of tasks",
    gives: "children, threads and io_uring workers stay with their job",
    is_required: true,
    ways: &[&[
        Hook::Tracepoint("sched_process_free"),
        Hook::Tracepoint("task_rename"),
        Hook::Tracepoint("task_newtask"),
    ]],
};
