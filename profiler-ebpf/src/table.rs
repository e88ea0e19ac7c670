//! A small table of a fixed size: an array whose elements are found by a key that each one holds.
//!
//! A lookup in a hash map calls a helper, and insertion and removal take a lock: 25 to 80 ns each.
//! An array's lookup is a few instructions in place. A key may lie in any of [`PLACES`] elements that
//! follow each other; when all are taken the table is full for that key.

use aya_ebpf::maps::Array;

use crate::atomic;

/// Elements in which a key may lie.
const PLACES: u32 = 8;

/// An element that begins with its key; 0 while it is free.
///
/// # Safety
/// `#[repr(C)]`, and the first field is the key, a `u64`.
pub unsafe trait Keyed {}

/// The element of this key, if there is one. The table has `1 << bits` elements.
#[inline(always)]
pub fn find<T: Keyed>(table: &Array<T>, bits: u32, key: u64) -> Option<*mut T> {
    find_at(table, bits, key).map(|(_, element)| element)
}

/// As [`find`], with the element's index.
#[inline(always)]
pub fn find_at<T: Keyed>(table: &Array<T>, bits: u32, key: u64) -> Option<(u32, *mut T)> {
    for place in 0..PLACES {
        let index = place_of(bits, key, place);
        let element = table.get_ptr_mut(index)?;
        // SAFETY: an aligned field of a map value. Volatile: other CPUs write it.
        if unsafe { element.cast::<u64>().read_volatile() } == key {
            return Some((index, element));
        }
    }
    None
}

/// The element of this key, taken if there is none yet; nothing if the table is full. What an
/// element that was just taken holds besides its key is what its last user left.
#[inline(always)]
pub fn find_or_take<T: Keyed>(table: &Array<T>, bits: u32, key: u64) -> Option<*mut T> {
    if let Some(element) = find(table, bits, key) {
        return Some(element);
    }
    for place in 0..PLACES {
        let element = table.get_ptr_mut(place_of(bits, key, place))?;
        // SAFETY: an aligned field of a map value.
        let before = unsafe { atomic::compare_exchange(element.cast(), 0, key) };
        if before == 0 || before == key {
            return Some(element);
        }
    }
    None
}

/// Gives an element back.
#[inline(always)]
pub fn give_back<T: Keyed>(element: *mut T) {
    // SAFETY: an aligned field of a map value. An exchange, so that its user is done before.
    unsafe { atomic::exchange(element.cast(), 0) };
}

/// The index of one of the elements in which a key may lie.
#[inline(always)]
pub fn place_of(bits: u32, key: u64, place: u32) -> u32 {
    /// 2^64 by the golden ratio: spreads keys that differ in few bits, as addresses do.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let first = (key.wrapping_mul(SPREAD) >> (64 - bits)) as u32;
    (first + place) & ((1 << bits) - 1)
}
