//! Structures of nothing but words, copied and cleared a word at a time.
//!
//! For more than 128 bytes the compiler calls `memcpy` and `memset`, which in a BPF program are
//! loops over single bytes: eight times the steps, for the CPU at each birth and for the verifier
//! at each start.

/// A structure that consists of `u64`, or of parts that fill such words, and nothing else.
///
/// # Safety
/// `#[repr(C)]`, without padding, aligned to 8 bytes, and all zeros are a value.
pub unsafe trait Words: Copy {
    /// How many words it has.
    const COUNT: usize = size_of::<Self>() / size_of::<u64>();
}

// SAFETY: `profiler_common` lays them out so, and its tests prove the sizes.
unsafe impl Words for profiler_common::Counters {}
// SAFETY: as above.
unsafe impl Words for profiler_common::Observed {}
// SAFETY: as above.
unsafe impl Words for profiler_common::Span {}
// SAFETY: as above.
unsafe impl Words for profiler_common::Progress {}
// SAFETY: as above.
unsafe impl Words for profiler_common::Held {}
// SAFETY: as above.
unsafe impl Words for profiler_common::MemoryUse {}
// SAFETY: words.
unsafe impl Words for [u64; 4] {}

/// Copies one structure over another.
#[inline(always)]
pub fn copy<T: Words>(to: &mut T, from: &T) {
    let (to, from) = (core::ptr::from_mut(to).cast::<u64>(), first(from));
    for word in 0..T::COUNT {
        // SAFETY: inside both. Volatile: else the compiler makes the call of it that this avoids.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}

/// Sets all of a structure to 0.
#[inline(always)]
pub fn clear<T: Words>(of: &mut T) {
    let of = core::ptr::from_mut(of).cast::<u64>();
    for word in 0..T::COUNT {
        // SAFETY: inside it. Volatile as above.
        unsafe { of.add(word).write_volatile(0) };
    }
}

/// The first word of a structure.
#[inline(always)]
pub fn first<T: Words>(of: &T) -> *const u64 {
    core::ptr::from_ref(of).cast()
}
