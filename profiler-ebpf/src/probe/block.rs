//! Block requests: bytes, operations and latency per job, at the devices that really do the work.
//!
//! A request is noted under its address when a task of a job starts it, in the task's context, and
//! counted when it completes, in interrupt context, where the current task means nothing. Hooks on
//! requests, not on bios, see stacked devices only once: device-mapper and md pass bios on. The two
//! stacked drivers that do use requests, loop and request-based device-mapper, are left out.

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{btf_tracepoint, fentry};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext};
use profiler_common::block::{DEVICES_BITS, REQUESTS_BITS, device};
use profiler_common::latency::bucket;
use profiler_common::task::FREE;
use profiler_common::{DeviceUse, JobEntry, JobRef, RequestOwner, TagState, TaskTag};

use crate::atomic;
use crate::field::{Opaque, Request, Task};
use crate::maps::{DEVICES, JOBS, REQUESTS};
use crate::table::{find, find_or_take, give_back};
use crate::task::{accounting_of, entry_of, lost, tag_of};

/// Major number of loop devices, whose I/O shows again at the device under their file.
const LOOP_MAJOR: u32 = 7;
/// Major number of device-mapper on this host, from `/proc/devices`; 0 where there is none.
#[unsafe(no_mangle)]
pub static DEVICE_MAPPER_MAJOR: Global<u32> = Global::new(0);

/// `REQ_OP_READ`, `REQ_OP_WRITE` and `REQ_OP_WRITE_ZEROES` of the kernel's `blk_types.h`; the rest
/// (flush, discard, zone management) moves no data.
const READ: u32 = 0;
const WRITE: u32 = 1;
const WRITE_ZEROES: u32 = 9;

/// `tp_btf/block_io_start(rq)`.
#[btf_tracepoint(function = "block_io_start")]
pub fn block_io_start(ctx: BtfTracePointContext) -> i32 {
    start(Request(ctx.arg(0)));
    0
}

/// `fentry/__blk_account_io_start(rq)`: where `block_io_start` sits on kernels that lack it.
#[fentry]
pub fn __blk_account_io_start(ctx: FEntryContext) -> i32 {
    start(Request(ctx.arg(0)));
    0
}

#[inline(always)]
fn start(request: Request) {
    let (task, key) = (Task::current(), request.address());
    if let Some(owner) = find(&REQUESTS, REQUESTS_BITS, key) {
        // The address is used again: the request before must have completed without our seeing it.
        lost(|session| &raw mut session.lost.requests_unseen);
        give_back(owner);
    }
    let Some((tag, device)) = charged_to(task, request) else { return };
    let entry = tag.entry;
    let span = accounting_of(tag).0;
    if span.job == 0 {
        return;
    }
    let Some(owner) = find_or_take(&REQUESTS, REQUESTS_BITS, key) else {
        lost(|session| &raw mut session.lost.requests_unowned);
        return;
    };
    // SAFETY: an element of the array that is ours until the request completes.
    let owner = unsafe { &mut *owner };
    owner.job = span.job;
    // SAFETY: no arguments. The request's own time stamp is set later on some kernels.
    owner.started_ns = unsafe { bpf_ktime_get_ns() };
    owner.task_start_boottime_ns = task.start_boottime_ns();
    owner.tid = task.tid();
    owner.entry = entry;
    owner.connector = span.connector;
    owner.device = device;
}

/// The tag of a task that the request is charged to, with the device; nothing for tasks of no job
/// and for stacked devices.
#[inline(always)]
fn charged_to(task: Task, request: Request) -> Option<(&'static mut TaskTag, u32)> {
    let tag = tag_of(task)?;
    let (major, minor) = request.disk()?;
    let is_leaf = major != LOOP_MAJOR && major != DEVICE_MAPPER_MAJOR.load();
    (tag.state == TagState::Counted as u64 && is_leaf).then_some((tag, device(major, minor)))
}

/// `tp_btf/block_rq_merge(rq)`: it becomes part of another request, to whose owner it counts.
#[btf_tracepoint(function = "block_rq_merge")]
pub fn block_rq_merge(ctx: BtfTracePointContext) -> i32 {
    if let Some(owner) = find(&REQUESTS, REQUESTS_BITS, Request(ctx.arg(0)).address()) {
        give_back(owner);
    }
    0
}

/// `tp_btf/block_rq_complete(rq, error, bytes)`: all of a request, or a part of it.
#[btf_tracepoint(function = "block_rq_complete")]
pub fn block_rq_complete(ctx: BtfTracePointContext) -> i32 {
    let request = Request(ctx.arg::<*const Opaque>(0));
    let Some(place) = find(&REQUESTS, REQUESTS_BITS, request.address()) else { return 0 };
    // SAFETY: an element of the array that is ours until we give it back.
    let owner = unsafe { &*place };
    let done: u32 = ctx.arg(2);
    let is_last = done >= request.bytes();
    complete(request, owner, done, is_last);
    if is_last {
        give_back(place);
    }
    0
}

#[inline(always)]
fn complete(request: Request, owner: &RequestOwner, bytes: u32, is_last: bool) {
    let is_write = match request.operation() {
        READ => false,
        WRITE | WRITE_ZEROES => true,
        _ => return,
    };
    let (bytes, ops) = (u64::from(bytes), u64::from(is_last));
    let job = JobRef(owner.job);
    let Some(entry) = JOBS.get_ptr_mut(job.slot()) else { return };
    // SAFETY: an element of the array.
    let entry = unsafe { &mut *entry };
    if entry.job != job.0 {
        lost(|session| &raw mut session.lost.requests_of_reused_slot);
        return;
    }
    add(&mut entry.device, is_write, bytes, ops);
    if is_last {
        count_latency(entry, owner.started_ns);
    }
    if let Some(device) = find_or_take(&DEVICES, DEVICES_BITS, u64::from(owner.device)) {
        // SAFETY: an element of the array.
        add(unsafe { &mut (*device).total }, is_write, bytes, ops);
    } else {
        lost(|session| &raw mut session.lost.devices_unlisted);
    }
    // The task's own list, if it still lives.
    if let Some(task) = entry_of(owner.entry)
        && task.current != FREE
        && task.tid == owner.tid
        && task.start_boottime_ns == owner.task_start_boottime_ns
    {
        add(&mut task.progress.device, is_write, bytes, ops);
    }
}

#[inline(always)]
fn add(to: &mut DeviceUse, is_write: bool, bytes: u64, ops: u64) {
    let (sum, count) = if is_write {
        (&raw mut to.write_bytes, &raw mut to.write_ops)
    } else {
        (&raw mut to.read_bytes, &raw mut to.read_ops)
    };
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::add(sum, bytes) };
    // SAFETY: as above.
    unsafe { atomic::add(count, ops) };
}

#[inline(always)]
fn count_latency(entry: &mut JobEntry, since_ns: u64) {
    // SAFETY: no arguments.
    let us = unsafe { bpf_ktime_get_ns() }.saturating_sub(since_ns) / 1000;
    // The compiler knows that the bucket exists, and would leave the check out; the verifier wants it.
    if let Some(count) = entry.device_latency.get_mut(core::hint::black_box(bucket(us))) {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::add(count, 1) };
    }
    // SAFETY: as above.
    unsafe { atomic::raise_to(&raw mut entry.device_latency_max_us, us) };
}
