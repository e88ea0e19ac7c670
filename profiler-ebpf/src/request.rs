//! Block requests under way: whose each one is, found by its address.
//!
//! Each request of the host is looked for, when it starts and when it completes, so most of what is
//! looked for is not there. The kernel has a fixed set of requests, and a place stays with its request
//! from its first use on: then nearly every search ends at the first place, found or free. When there
//! are more requests than places, one that is under way may take the place of one that is not. There are
//! about twice as many places as the host's disks have requests, close to each other: in 512 KiB nearly
//! every request met a page whose address the CPU had to look up, for a third of what its start costs.

use aya_ebpf::Global;
use profiler_common::RequestOwner;
use profiler_common::block::UNDER_WAY;

use crate::atomic;
use crate::maps::REQUESTS;
use crate::table::place_of;

/// Binary logarithm of the length of `REQUESTS`.
#[unsafe(no_mangle)]
pub static REQUESTS_BITS: Global<u32> = Global::new(0);

/// Places that a request may have.
const PLACES: u32 = 8;

/// The place of a request that is under way, if a task of a job started it. It is the caller's alone
/// until the request starts again.
#[inline(always)]
pub fn find(request: u64) -> Option<&'static mut RequestOwner> {
    for place in 0..PLACES {
        let owner = REQUESTS.get_ptr_mut(place_of(REQUESTS_BITS.load(), request, place))?;
        let seen = seen(owner);
        if seen == request | UNDER_WAY {
            // SAFETY: an element of the array, which lives as long as the program.
            return Some(unsafe { &mut *owner });
        }
        if seen == request || seen == 0 {
            return None;
        }
    }
    None
}

/// A place for a request that starts; nothing if others have all. And whether nothing was lost: a place
/// that it has already means that nobody saw it complete.
#[inline(always)]
pub fn take(request: u64) -> (Option<&'static mut RequestOwner>, bool) {
    for place in 0..PLACES {
        let index = place_of(REQUESTS_BITS.load(), request, place);
        let Some(owner) = REQUESTS.get_ptr_mut(index) else { break };
        let seen = seen(owner);
        let is_under_way = seen == request | UNDER_WAY;
        let is_ours = seen == request || seen == 0;
        if is_under_way || (is_ours && try_take(owner, seen, request)) {
            // SAFETY: an element of the array, which lives as long as the program.
            return (Some(unsafe { &mut *owner }), !is_under_way);
        }
    }
    let owner = replace(request);
    let is_there = owner.is_some();
    (owner, is_there)
}

/// Takes the place of a request that is not under way.
#[inline(always)]
fn replace(request: u64) -> Option<&'static mut RequestOwner> {
    for place in 0..PLACES {
        let owner = REQUESTS.get_ptr_mut(place_of(REQUESTS_BITS.load(), request, place))?;
        let seen = seen(owner);
        if seen & UNDER_WAY == 0 && try_take(owner, seen, request) {
            // SAFETY: an element of the array, which lives as long as the program.
            return Some(unsafe { &mut *owner });
        }
    }
    None
}

/// The request is no longer under way; what is known of it is forgotten.
#[inline(always)]
pub fn give_back(owner: &mut RequestOwner) {
    let request = owner.request & !UNDER_WAY;
    // SAFETY: an aligned field of a map value. Volatile, and x86-64 keeps the order of what a CPU reads
    // and then writes, so its user is done before.
    unsafe { (&raw mut owner.request).write_volatile(request) };
}

#[inline(always)]
fn seen(owner: *mut RequestOwner) -> u64 {
    // SAFETY: an aligned field of a map value. Volatile: other CPUs write it.
    unsafe { owner.cast::<u64>().read_volatile() }
}

#[inline(always)]
fn try_take(owner: *mut RequestOwner, seen: u64, request: u64) -> bool {
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::compare_exchange(owner.cast(), seen, request | UNDER_WAY) == seen }
}
