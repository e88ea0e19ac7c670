//! `tag_task`: an iterator over the tasks that the agent names, which puts tags on them.
//!
//! An iterator runs when the agent reads its file, on every kernel that we support, and holds the
//! task while it works, so that a thread that exits meanwhile harms nothing.

use aya_ebpf::cty::c_void;
use profiler_common::{JobRef, TagMode, TagRequest, TagState};

use crate::account::end;
use crate::field::Opaque;
use crate::field::task::Task;
use crate::maps::REQUEST;
use crate::memory::Origin;
use crate::task::{Claim, Home, Joining, Newcomer, accounting_of, become_parent, join, tag_of};

/// `struct bpf_iter__task` of the kernel: what an iterator over tasks gets at each step.
#[repr(C)]
pub struct TaskIteration {
    meta: *const c_void,
    task: *const Opaque,
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
    if request.mode == TagMode::Remove as u32 {
        remove(task, request);
    } else if task.is_dead() {
        request.ending += 1;
    } else if request.mode == TagMode::Parent as u32 {
        answer(request, become_parent(task, job, connector));
    } else {
        let is_process = task.tid() == task.pid();
        // Born since the request: it may have been missed at birth, and counts from there.
        let joining = if request.since_ns != 0 && task.start_time_ns() >= request.since_ns {
            Joining::AtBirth
        } else {
            Joining::Later
        };
        let memory = if request.mode == TagMode::Thread as u32 {
            Home::Shared
        } else {
            Home::Its(Origin::Own)
        };
        let only_threads = u32::from(request.mode == TagMode::Process as u32);
        let newcomer = Newcomer { task, joining, is_process, memory, only_threads };
        answer(request, join(newcomer, job, connector));
        if let Some(tag) = tag_of(task) {
            request.entry = u64::from(tag.entry);
            if task.is_dead() {
                // It made its last switch while we tagged it: nobody else will add it up.
                end(task, tag, TagState::Ended);
            }
        }
    }
    0
}

#[inline(always)]
fn remove(task: Task, request: &mut TagRequest) {
    if let Some(tag) = tag_of(task)
        && (tag.state == TagState::Counted as u64 || tag.state == TagState::Parent as u64)
    {
        task.copy_counters(&mut accounting_of(tag).1.now);
        end(task, tag, TagState::Off);
        request.changed += 1;
    } else {
        request.unchanged += 1;
    }
}

#[inline(always)]
fn answer(request: &mut TagRequest, claim: Claim) {
    match claim {
        Claim::Ours => request.changed += 1,
        Claim::Somebodys => request.unchanged += 1,
        Claim::NoMemory => request.failed += 1,
    }
}
