//! Block requests: bytes, operations and latency per job, at the devices that really do the work.
//!
//! All is charged in the context of the task that asks for it: a request when it starts, and what is
//! merged into a request that is there already, to whoever adds it. So each job has its own bytes,
//! whoever's request they travel in, and operations are those that the device gets to see. A request
//! completes in interrupt context, where the current task means nothing, and on some hosts unseen;
//! that moment gives the latency alone. For it, who started a request is noted under its address.
//!
//! Hooks on requests, not on bios, see stacked devices only once: device-mapper and md pass bios on.
//! The two stacked drivers that do use requests, loop and request-based device-mapper, are left out.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{btf_tracepoint, fentry};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext};
use profiler_common::block::{DEVICES_BITS, device};
use profiler_common::latency::{bucket, microseconds};
use profiler_common::{DeviceUse, JobEntry, JobRef, Observed, RequestOwner, Span};

use crate::atomic;
use crate::field::task::Task;
use crate::field::{Bio, Request};
use crate::maps::{CONNECTORS, DEVICES, JOBS};
use crate::request;
use crate::table::place_of;
use crate::task::{Counted, counted, lost};

/// Major number of loop devices, whose I/O shows again at the device under their file.
const LOOP_MAJOR: u32 = 7;
/// Major number of device-mapper on this host, from `/proc/devices`; 0 where there is none.
#[unsafe(no_mangle)]
pub static DEVICE_MAPPER_MAJOR: Global<u32> = Global::new(0);

/// 1 where a disk of this host keeps no begin of its requests. Programs take the time themselves
/// then, which costs half as much again as all else that they do at a start.
#[unsafe(no_mangle)]
pub static TIMES_REQUESTS: Global<u32> = Global::new(0);

/// `REQ_OP_READ`, `REQ_OP_WRITE` and `REQ_OP_WRITE_ZEROES` of the kernel's `blk_types.h`; the rest
/// (discard, zone management) moves no data.
const READ: u32 = 0;
const WRITE: u32 = 1;
const WRITE_ZEROES: u32 = 9;

/// What a device is asked to do.
#[derive(Clone, Copy)]
struct Work {
    is_write: bool,
    bytes: u64,
    /// Requests that it is: none for a part of somebody's, all ones to take one back.
    ops: u64,
    device: u32,
}

impl Work {
    /// Nothing if it moves no data, or at a device that is stacked on another one.
    #[inline(always)]
    fn of(operation: u32, bytes: u32, ops: u64, (major, minor): (u32, u32)) -> Option<Self> {
        let is_write = operation != READ;
        if is_write && operation != WRITE && operation != WRITE_ZEROES {
            return None;
        }
        let is_stacked = major == LOOP_MAJOR || major == DEVICE_MAPPER_MAJOR.load();
        if major == 0 || is_stacked {
            return None;
        }
        Some(Self { is_write, bytes: u64::from(bytes), ops, device: device(major, minor) })
    }
}

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
    let key = request.address();
    let Some((account, work)) = charged_to(request) else {
        if let Some(before) = request::find(key) {
            // Used again: the request that it was must have completed without our seeing it.
            lost(|session| &raw mut session.lost.requests_untimed);
            request::give_back(before);
        }
        return;
    };
    charge_device(&work);
    charge(account.observed, &work);
    let (owner, is_new) = request::take(key);
    if !is_new {
        lost(|session| &raw mut session.lost.requests_untimed);
    }
    let Some(owner) = owner else { return };
    owner.job = account.job;
    owner.began_ns = account.began_ns;
    owner.entry = account.entry;
    if TIMES_REQUESTS.load() != 0 {
        // SAFETY: no arguments.
        owner.started_ns = unsafe { bpf_ktime_get_ns() };
    }
}

/// The current task's account, if it counts, with what its request does.
#[inline(always)]
fn charged_to(request: Request) -> Option<(Account, Work)> {
    let account = account()?;
    let work = Work::of(request.operation(), request.bytes(), 1, request.disk())?;
    Some((account, work))
}

/// `tp_btf/block_bio_backmerge(bio)`: it becomes the end of a request that is there already.
#[btf_tracepoint(function = "block_bio_backmerge")]
pub fn block_bio_backmerge(ctx: BtfTracePointContext) -> i32 {
    join(Bio(ctx.arg(0)));
    0
}

/// `tp_btf/block_bio_frontmerge(bio)`: it becomes the begin of one.
#[btf_tracepoint(function = "block_bio_frontmerge")]
pub fn block_bio_frontmerge(ctx: BtfTracePointContext) -> i32 {
    join(Bio(ctx.arg(0)));
    0
}

#[inline(always)]
fn join(bio: Bio) {
    if let Some(account) = account()
        && let Some(work) = Work::of(bio.operation(), bio.bytes(), 0, bio.disk())
    {
        charge_device(&work);
        charge(account.observed, &work);
    }
}

/// `tp_btf/block_rq_merge(rq)`: a request that was started becomes part of another one. Its bytes
/// stay with who started it; the device sees one request less.
#[btf_tracepoint(function = "block_rq_merge")]
pub fn block_rq_merge(ctx: BtfTracePointContext) -> i32 {
    let request = Request(ctx.arg(0));
    let Some(owner) = request::find(request.address()) else { return 0 };
    if let Some(work) = Work::of(request.operation(), 0, u64::MAX, request.disk()) {
        charge_device(&work);
        take_back(owner, &work);
    }
    request::give_back(owner);
    0
}

/// Takes an operation back from who started it, which mostly is the current task, as it hands the disk
/// what it has gathered. Nobody else may write a task's account: otherwise it goes off the job's sums.
#[inline(always)]
fn take_back(owner: &RequestOwner, work: &Work) {
    let is_its = |account: &Account| {
        (account.job, account.began_ns, account.entry) == (owner.job, owner.began_ns, owner.entry)
    };
    if let Some(account) = account().filter(is_its) {
        charge(account.observed, work);
    } else if let Some(job) = job_of(owner.job) {
        charge_shared(&mut job.total.ended.observed, work);
        if let Some(total) = CONNECTORS.get_ptr_mut(job.connector) {
            // SAFETY: an element of the array.
            charge_shared(unsafe { &mut (*total).ended.observed }, work);
        }
    }
}

/// `tp_btf/block_rq_complete(rq, error, bytes)`: all of a request, or a part of it.
#[btf_tracepoint(function = "block_rq_complete")]
pub fn block_rq_complete(ctx: BtfTracePointContext) -> i32 {
    let request = Request(ctx.arg(0));
    let Some(owner) = request::find(request.address()) else { return 0 };
    if ctx.arg::<u32>(2) < request.bytes() {
        return 0;
    }
    // The kernel's is set after `block_io_start` on some kernels, so it cannot be noted there.
    let took = TIMES_REQUESTS.load() != 0;
    let since_ns = if took { owner.started_ns } else { request.start_time_ns() };
    if since_ns == 0 {
        lost(|session| &raw mut session.lost.requests_untimed);
    } else if let Some(job) = job_of(owner.job) {
        count_latency(job, since_ns);
    }
    request::give_back(owner);
    0
}

/// The account of the current task, which works for a job.
struct Account {
    job: u64,
    began_ns: u64,
    entry: u64,
    observed: &'static mut Observed,
}

/// The current task's account, if it counts.
#[inline(always)]
fn account() -> Option<Account> {
    let task = Task::current();
    let Counted { entry, span, progress } = counted(task, task.tid())?;
    // 0 between two jobs.
    let Span { job, began_ns, .. } = *span;
    let entry = u64::from(entry);
    (job != 0).then_some(Account { job, began_ns, entry, observed: &mut progress.observed })
}

/// A job, if it still has its slot.
#[inline(always)]
fn job_of(job: u64) -> Option<&'static mut JobEntry> {
    let entry = JOBS.get_ptr_mut(JobRef(job).slot())?;
    // SAFETY: an element of the array.
    let entry = unsafe { &mut *entry };
    (entry.job == job).then_some(entry)
}

#[inline(always)]
fn charge_device(work: &Work) {
    let Some(total) = device_here(u64::from(work.device)) else {
        lost(|session| &raw mut session.lost.devices_unlisted);
        return;
    };
    let (bytes, ops) = if work.is_write {
        (&mut total.write_bytes, &mut total.write_ops)
    } else {
        (&mut total.read_bytes, &mut total.read_ops)
    };
    add(bytes, ops, work);
}

/// This CPU's account of a disk.
#[inline(always)]
fn device_here(device: u64) -> Option<&'static mut DeviceUse> {
    /// Places that a disk may have. It keeps its place, so a free one ends the search.
    const PLACES: u32 = 8;
    // SAFETY: no arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    for place in 0..PLACES {
        let index = cpu << DEVICES_BITS | place_of(DEVICES_BITS, device, place);
        // SAFETY: null or an element of the array, which lives as long as the program. Requests start
        // in tasks, and the kernel does not preempt one while a program runs.
        let total = unsafe { DEVICES.get_ptr_mut(index)?.as_mut() }?;
        if total.device == 0 {
            total.device = device;
        }
        if total.device == device {
            return Some(&mut total.total);
        }
    }
    None
}

/// Adds to the current task's account, which nobody else writes.
#[inline(always)]
fn charge(to: &mut Observed, work: &Work) {
    let (bytes, ops) = sums(to, work);
    add(bytes, ops, work);
}

#[inline(always)]
fn add(bytes: &mut u64, ops: &mut u64, work: &Work) {
    *bytes = bytes.wrapping_add(work.bytes);
    *ops = ops.wrapping_add(work.ops);
}

/// Adds to an account that every CPU writes.
#[inline(always)]
fn charge_shared(to: &mut Observed, work: &Work) {
    let (bytes, ops) = sums(to, work);
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::add(bytes, work.bytes) };
    // SAFETY: as above.
    unsafe { atomic::add(ops, work.ops) };
}

#[inline(always)]
fn sums<'a>(of: &'a mut Observed, work: &Work) -> (&'a mut u64, &'a mut u64) {
    if work.is_write {
        (&mut of.device_write_bytes, &mut of.device_write_ops)
    } else {
        (&mut of.device_read_bytes, &mut of.device_read_ops)
    }
}

#[inline(always)]
fn count_latency(job: &mut JobEntry, since_ns: u64) {
    // SAFETY: no arguments.
    let us = microseconds(unsafe { bpf_ktime_get_ns() }.saturating_sub(since_ns));
    // The compiler knows that the bucket exists, and would leave the check out; the verifier wants it.
    if let Some(count) = job.device_latency.get_mut(core::hint::black_box(bucket(us))) {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::add(count, 1) };
    }
    // SAFETY: as above.
    unsafe { atomic::raise_to(&raw mut job.device_latency_max_us, us) };
}
