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
use profiler_common::block::{DeviceTotal, device};
use profiler_common::latency::bucket;
use profiler_common::{DeviceUse, JobEntry, JobRef, RequestOwner, TagState};

use crate::atomic;
use crate::field::{Opaque, Request, Task};
use crate::maps::{DEVICES, JOBS, REQUESTS};
use crate::task::{entry_of, lost, tag_of};

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
    let task = Task::current();
    let Some(tag) = tag_of(task) else { return };
    if tag.state != TagState::Counted as u64 {
        return;
    }
    let Some((major, minor)) = request.disk() else { return };
    if major == LOOP_MAJOR || major == DEVICE_MAPPER_MAJOR.load() {
        return;
    }
    let owner = RequestOwner {
        job: tag.job,
        start_time_ns: request.start_time_ns(),
        task_start_boottime_ns: task.start_boottime_ns(),
        tid: task.tid(),
        entry: tag.entry,
        connector: tag.connector,
        device: device(major, minor),
    };
    if REQUESTS.insert(&(request.0 as u64), &owner, 0).is_err() {
        lost(|session| &raw mut session.lost.requests_unowned);
    }
}

/// `tp_btf/block_rq_complete(rq, error, bytes)`: all of a request, or a part of it.
#[btf_tracepoint(function = "block_rq_complete")]
pub fn block_rq_complete(ctx: BtfTracePointContext) -> i32 {
    let request = Request(ctx.arg::<*const Opaque>(0));
    let key = request.0 as u64;
    let Some(owner) = REQUESTS.get_ptr(&key) else { return 0 };
    // SAFETY: a value of the map; it is only overwritten when the address gets a new request.
    let owner = unsafe { *owner };
    let done: u32 = ctx.arg(2);
    let is_last = done >= request.bytes();
    if owner.start_time_ns == request.start_time_ns() {
        complete(request, &owner, done, is_last);
    }
    // Where the times differ, the request that was noted was never completed but merged into
    // another or given up, and its address was used again.
    if is_last || owner.start_time_ns != request.start_time_ns() {
        // It is there: nobody else removes it.
        let _ = REQUESTS.remove(&key);
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
        count_latency(entry, owner.start_time_ns);
    }
    if let Some(total) = device_total(owner.device) {
        add(total, is_write, bytes, ops);
    }
    // The task's own list, if it still lives.
    if let Some(task) = entry_of(owner.entry)
        && task.job == owner.job
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

/// What a device did for jobs; its place is made when the first request completes.
#[inline(always)]
fn device_total(device: u32) -> Option<&'static mut DeviceTotal> {
    if DEVICES.get_ptr(&device).is_none() {
        // Full, or another CPU was faster; the next look tells.
        let _ = DEVICES.insert(&device, &DeviceTotal::default(), BPF_NOEXIST);
    }
    // SAFETY: null or a value of the map; values are never removed.
    DEVICES.get_ptr_mut(&device).and_then(|total| unsafe { total.as_mut() })
}

/// Insert only where nothing is.
const BPF_NOEXIST: u64 = 1;
