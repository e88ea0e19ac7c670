//! Memory of address spaces: who lives in them, and what they hold.
//!
//! The kernel keeps the pages of an address space in a common counter and, since 6.2, small counters
//! of each CPU, which it adds to the common one now and then. The exact number is the sum of all. At
//! each change we see the common counter and the counter of the CPU that made it; what each CPU had
//! pending at its last change is remembered, so that the sum costs no walk over the CPUs.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use profiler_common::field::MISSING;
use profiler_common::memory::{ANONYMOUS_PAGES, FILE_PAGES, MEMORY_BITS, SHARED_PAGES};
use profiler_common::task::SHARED_MEMORY;
use profiler_common::{AddressSpace, Held, JobRef, Progress};

use crate::atomic;
use crate::field::task::Task;
use crate::field::{ARRAY_PER_CPU, Memory, number, read_kernel};
use crate::maps::{CPUS, JOBS, MEMORY, PENDING};
use crate::table::{find, find_at, find_or_take, give_back};
use crate::task::lost;
use crate::words::clear;

/// Taken off what an address space holds while nobody counts for it: then it is less than nothing, and
/// so none of the job's, whatever an update that is under way on another CPU still adds. Nothing is ever
/// set back but by adding, so such an update is neither lost nor counted twice.
const VACANT: u64 = 1 << 62;

/// Whether an address space that is new to us is a copy of its parent's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Forked: its pages are the parent's until one of them writes.
    Copied,
    /// Its own, by `exec`, or there before we looked.
    Own,
}

/// The task lives in its address space from now on, which is returned: 0 if there is none, or none
/// that can be followed.
#[inline(always)]
pub fn move_in(task: Task, job: JobRef, origin: Origin) -> u64 {
    let Some(memory) = task.memory() else { return 0 };
    let mm = memory.address(task.tid());
    let Some(space) = find_or_take(&MEMORY, MEMORY_BITS, mm) else {
        lost(|session| &raw mut session.lost.address_spaces_unlisted);
        return 0;
    };
    // SAFETY: an element of the array.
    let space = unsafe { &mut *space };
    // SAFETY: an aligned field of a map value.
    if unsafe { atomic::fetch_add(&raw mut space.users, 1) } > 0 {
        return mm;
    }
    space.job = job.0;
    if space.generation == 0 {
        let now_us = now_us();
        change_pages(space, VACANT.wrapping_neg(), now_us);
        change_file_pages(space, VACANT.wrapping_neg());
    }
    space.generation += 1;
    clear(&mut space.pending);
    let Some((index, space)) = find_at(&MEMORY, MEMORY_BITS, mm) else { return mm };
    // SAFETY: an element of the array.
    let space = unsafe { &mut *space };
    update(memory, index, space, FILE_PAGES);
    update(memory, index, space, ANONYMOUS_PAGES);
    update(memory, index, space, SHARED_PAGES);
    let (pages, now_us) = (space.held.pages, now_us());
    space.held.began_us = now_us;
    space.held.change_times = 0;
    space.held.peak_pages = 0;
    space.held.file_peak_pages = 0;
    let copied = origin == Origin::Copied;
    space.inherited_pages = if copied { positive(pages.wrapping_add(VACANT)) } else { 0 };
    change_pages(space, VACANT, now_us);
    change_file_pages(space, VACANT);
    mm
}

/// The task leaves the address space that it lived in. If it was the last one, what that held is
/// from now on part of the task's own account.
#[inline(always)]
pub fn move_out(progress: &mut Progress) {
    let mm = progress.mm;
    if mm == 0 || mm == SHARED_MEMORY {
        return;
    }
    progress.mm = 0;
    let Some(space) = find(&MEMORY, MEMORY_BITS, mm) else { return };
    // SAFETY: an element of the array.
    let space = unsafe { &mut *space };
    // SAFETY: an aligned field of a map value.
    if unsafe { atomic::fetch_add(&raw mut space.users, u64::MAX) } > 1 {
        return;
    }
    let now_us = now_us();
    progress.memory.add(&space.held.up_to(now_us));
    change_pages(space, VACANT.wrapping_neg(), now_us);
    change_file_pages(space, VACANT.wrapping_neg());
    give_back(space);
}

/// Takes in what changed of one kind of pages.
#[inline(always)]
pub fn update(memory: Memory, index: u32, space: &mut AddressSpace, kind: u32) {
    let Some(place) = space.by_kind.get_mut(core::hint::black_box(kind as usize)) else { return };
    let place: *mut u64 = place;
    let pages = memory.pages(kind).wrapping_add(all_pending(memory, index, space, kind));
    // SAFETY: an aligned field of a map value.
    let before = unsafe { atomic::exchange(place, pages) };
    let change = pages.wrapping_sub(before);
    if change == 0 {
        return;
    }
    if kind == FILE_PAGES {
        change_file_pages(space, change);
    } else {
        change_pages(space, change, now_us());
    }
}

/// What all CPUs have pending of one kind, after taking in what this one has.
#[inline(always)]
fn all_pending(memory: Memory, index: u32, space: &mut AddressSpace, kind: u32) -> u64 {
    let here = pending_here(memory, kind);
    let mut change = here;
    if let Some(pending) = PENDING.get_ptr_mut(index) {
        // SAFETY: this CPU's element.
        let pending = unsafe { &mut *pending };
        if pending.generation != space.generation {
            pending.generation = space.generation;
            clear(&mut pending.by_kind);
        }
        if let Some(last) = pending.by_kind.get_mut(core::hint::black_box(kind as usize)) {
            change = here.wrapping_sub(*last);
            *last = here;
        }
    }
    let Some(sum) = space.pending.get_mut(core::hint::black_box(kind as usize)) else { return 0 };
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::fetch_add(sum, change) }.wrapping_add(change)
}

/// What this CPU has pending of one kind.
#[inline(always)]
fn pending_here(memory: Memory, kind: u32) -> u64 {
    let (at, offset) = (memory.pending_at(kind), per_cpu_offset());
    if at == 0 || offset == 0 {
        return 0;
    }
    read_kernel::<i32>(at.wrapping_add(offset)).map_or(0, |pending| i64::from(pending) as u64)
}

/// What to add to the address of a per-CPU variable to get this CPU's copy of it.
///
/// No symbol tells it on every kernel. But of a per-CPU array of our own we know both: the kernel's
/// address of the variable, in the map, and the address of this CPU's copy, from a lookup.
#[inline(always)]
fn per_cpu_offset() -> u64 {
    // SAFETY: no arguments.
    let number_of_cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(cpu) = CPUS.get_ptr_mut(number_of_cpu) else { return 0 };
    // SAFETY: this CPU's element; the field is only ever set to the same value.
    let cpu = unsafe { &mut *cpu };
    if cpu.per_cpu_offset == 0 {
        let pointers = ARRAY_PER_CPU.load();
        if pointers == MISSING {
            return 0;
        }
        let map = number(&raw const PENDING, number_of_cpu);
        if let (Some(variable), Some(copy)) =
            (read_kernel::<u64>(map.wrapping_add(pointers)), PENDING.get_ptr(0))
        {
            cpu.per_cpu_offset = number(copy, number_of_cpu).wrapping_sub(variable);
        }
    }
    cpu.per_cpu_offset
}

/// Anonymous or shared pages came or went.
#[inline(always)]
fn change_pages(space: &mut AddressSpace, change: u64, now_us: u64) {
    let inherited = space.inherited_pages;
    let (before, now) = add_pages(&mut space.held, change, now_us);
    let own = |pages: u64| positive(pages.wrapping_sub(inherited));
    let change = own(now).wrapping_sub(own(before));
    if change != 0
        && let Some(held) = held_by_job(space.job)
    {
        add_pages(held, change, now_us);
    }
}

#[inline(always)]
fn add_pages(held: &mut Held, change: u64, now_us: u64) -> (u64, u64) {
    // SAFETY: an aligned field of a map value, here and below.
    let before = unsafe { atomic::fetch_add(&raw mut held.pages, change) };
    let now = before.wrapping_add(change);
    let since = now_us.wrapping_sub(held.began_us);
    // SAFETY: as above.
    unsafe { atomic::add(&raw mut held.change_times, change.wrapping_mul(since)) };
    raise_to(&raw mut held.peak_pages, now);
    (before, now)
}

#[inline(always)]
fn change_file_pages(space: &mut AddressSpace, change: u64) {
    // SAFETY: an aligned field of a map value.
    let before = unsafe { atomic::fetch_add(&raw mut space.held.file_pages, change) };
    let now = before.wrapping_add(change);
    raise_to(&raw mut space.held.file_peak_pages, now);
    let change = positive(now).wrapping_sub(positive(before));
    if change != 0
        && let Some(held) = held_by_job(space.job)
    {
        // SAFETY: as above.
        let before = unsafe { atomic::fetch_add(&raw mut held.file_pages, change) };
        raise_to(&raw mut held.file_peak_pages, before.wrapping_add(change));
    }
}

/// A number of pages, or 0 if it is less than nothing.
#[inline(always)]
fn positive(pages: u64) -> u64 {
    if (pages as i64) > 0 { pages } else { 0 }
}

/// Raises a peak, unless the number is below 0 for a moment because another CPU was faster.
#[inline(always)]
fn raise_to(peak: *mut u64, pages: u64) {
    if (pages as i64) > 0 {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::raise_to(peak, pages) };
    }
}

#[inline(always)]
fn held_by_job(job: u64) -> Option<&'static mut Held> {
    let entry = JOBS.get_ptr_mut(JobRef(job).slot())?;
    // SAFETY: an element of the array.
    let entry = unsafe { &mut *entry };
    (entry.job == job).then_some(&mut entry.held)
}

#[inline(always)]
fn now_us() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() / 1000 }
}
