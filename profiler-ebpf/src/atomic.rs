//! The atomic instructions that BPF has and `core::sync::atomic` does not offer for it.
//!
//! Written as assembly because the compiler intrinsics for them change from release to release.

use core::arch::asm;

/// Adds `value` to `*counter`.
///
/// # Safety
/// `counter` must point into a map value and be aligned.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, value: u64) {
    // SAFETY: the caller's promise; the instruction touches nothing else.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {value}", counter = in(reg) counter, value = in(reg) value);
    }
}

/// Adds `value` to `*counter` and returns what was there before.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub unsafe fn fetch_add(counter: *mut u64, value: u64) -> u64 {
    let mut before = value;
    // SAFETY: the caller's promise; the instruction touches nothing else.
    unsafe {
        asm!("{value} = atomic_fetch_add((u64 *)({counter} + 0), {value})", counter = in(reg) counter, value = inout(reg) before);
    }
    before
}

/// Stores `value` in `*place` and returns what was there before.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub unsafe fn exchange(place: *mut u64, value: u64) -> u64 {
    let mut before = value;
    // SAFETY: the caller's promise; the instruction touches nothing else.
    unsafe {
        asm!("{value} = xchg_64({place} + 0, {value})", place = in(reg) place, value = inout(reg) before);
    }
    before
}

/// Stores `new` in `*place` if `expected` is there, and returns what was there before.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub unsafe fn compare_exchange(place: *mut u64, expected: u64, new: u64) -> u64 {
    let before;
    // SAFETY: the caller's promise; the instruction reads and writes r0, which is declared.
    unsafe {
        asm!("r0 = cmpxchg_64({place} + 0, r0, {new})", place = in(reg) place, new = in(reg) new, inout("r0") expected => before);
    }
    before
}

/// Raises `*place` to `value` if it is lower.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub unsafe fn raise_to(place: *mut u64, value: u64) {
    // A lost race means that another CPU raised it within the nanoseconds between two instructions.
    // Eight in a row do not happen, and each try more costs the verifier, and so every start, time.
    for _ in 0..8 {
        // SAFETY: the caller's promise.
        let seen = unsafe { core::ptr::read_volatile(place) };
        // SAFETY: the caller's promise.
        if seen >= value || unsafe { compare_exchange(place, seen, value) } == seen {
            return;
        }
    }
}
