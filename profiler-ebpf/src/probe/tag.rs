//! `tag_task`: an iterator over the tasks that the agent names, which puts tags on them.
//!
//! An iterator runs when the agent reads its file, on every kernel that we support, and holds the
//! task while it works, so that a thread that exits meanwhile harms nothing.

use aya_ebpf::cty::c_void;
use profiler_common::{JobRef, TagMode, TagState};

use crate::account::end;
use crate::field::{Task, TaskStruct};
use crate::maps::REQUEST;
use crate::task::{Joining, become_parent, join, progress_of, tag_of};

/// `struct bpf_iter__task` of the kernel: what an iterator over tasks gets at each step.
#[repr(C)]
pub struct TaskIteration {
    meta: *const c_void,
    task: *const TaskStruct,
}

/// `iter/task`: does to one task what `REQUEST` says.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn tag_task(ctx: *const TaskIteration) -> i32 {
    // SAFETY: the kernel passes a valid context.
    let task = unsafe { (*ctx).task };
    let Some(request) = REQUEST.get_ptr_mut(0) else { return 0 };
    if task.is_null() {
        // The last step: no task left.
        return 0;
    }
    // SAFETY: the element of the array; the agent runs one request at a time.
    let request = unsafe { &mut *request };
    let task = Task(task);
    let (job, connector) = (JobRef(request.job), request.connector);
    let state = tag_of(task).map_or(TagState::Off as u64, |tag| tag.state);
    let is_free = state != TagState::Counted as u64 && state != TagState::Parent as u64;
    if request.mode == TagMode::Remove as u32 {
        if is_free {
            request.unchanged += 1;
        } else if let Some(tag) = tag_of(task) {
            progress_of(tag).now = task.counters();
            end(task, tag, TagState::Off);
            request.changed += 1;
        }
    } else if !is_free {
        request.unchanged += 1;
    } else if task.is_dead() {
        request.ending += 1;
    } else if request.mode == TagMode::Parent as u32 {
        match become_parent(task, job, connector) {
            true => request.changed += 1,
            false => request.failed += 1,
        }
    } else {
        let is_process = task.tid() == task.pid();
        match join(task, job, connector, Joining::Later, is_process) {
            true => request.changed += 1,
            false => request.failed += 1,
        }
        if task.is_dead() && let Some(tag) = tag_of(task) {
            // It made its last switch while we tagged it: nobody else will add it up.
            end(task, tag, TagState::Ended);
        }
    }
    0
}
