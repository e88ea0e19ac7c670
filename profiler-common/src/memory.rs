//! Memory of address spaces, in pages, as the kernel counts it.

/// Binary logarithm of the length of the `MEMORY` table.
pub const MEMORY_BITS: u32 = 13;

/// Kinds of pages, as the kernel numbers them in `enum` of `mm_types_task.h`.
pub const FILE_PAGES: u32 = 0;
/// See [`FILE_PAGES`].
pub const ANONYMOUS_PAGES: u32 = 1;
/// See [`FILE_PAGES`]. Number 2 is for pages that were swapped out.
pub const SHARED_PAGES: u32 = 3;

/// Pages held over time.
///
/// With each change of `pages` by some `d` at time `t`, `d * t` is added to `change_times`: then
/// `pages * now - change_times` is the area under the curve up to now, in whatever order CPUs add.
/// All of it wraps around, and only differences mean something.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Anonymous and shared pages now: for readers [`Held::pages_now`].
    pub pages: u64,
    /// The most there were.
    pub peak_pages: u64,
    /// Sum of changes times their moments, in page microseconds (`CLOCK_MONOTONIC`).
    pub change_times: u64,
    /// File-mapped pages now.
    pub file_pages: u64,
    /// The most there were.
    pub file_peak_pages: u64,
}

impl Held {
    /// Anonymous and shared pages now. While two CPUs take in changes of the same address space, what is
    /// left may be less than nothing for a moment: that is nothing, and not 16 exbibytes.
    #[must_use]
    pub const fn pages_now(&self) -> u64 {
        if self.pages.cast_signed() < 0 { 0 } else { self.pages }
    }

    /// What was held up to a moment.
    #[must_use]
    #[inline(always)]
    pub const fn up_to(&self, now_us: u64) -> MemoryUse {
        MemoryUse {
            peak_pages: self.peak_pages,
            file_peak_pages: self.file_peak_pages,
            page_us: self.page_us(now_us),
        }
    }

    /// The area under the curve up to a moment: page microseconds.
    #[must_use]
    #[inline(always)]
    pub const fn page_us(&self, now_us: u64) -> u64 {
        self.pages.wrapping_mul(now_us).wrapping_sub(self.change_times)
    }
}

/// What address spaces that are gone, or left behind by `exec`, held.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// The most anonymous and shared pages of any of them.
    pub peak_pages: u64,
    /// The most file-mapped pages of any of them.
    pub file_peak_pages: u64,
    /// Anonymous and shared pages over time: page microseconds.
    pub page_us: u64,
}

impl MemoryUse {
    /// Adds another address space, which came before or after.
    #[inline(always)]
    pub fn add(&mut self, other: &Self) {
        self.peak_pages =
            if other.peak_pages > self.peak_pages { other.peak_pages } else { self.peak_pages };
        self.file_peak_pages = if other.file_peak_pages > self.file_peak_pages {
            other.file_peak_pages
        } else {
            self.file_peak_pages
        };
        self.page_us = self.page_us.wrapping_add(other.page_us);
    }
}

/// Element of the `MEMORY` table, which user space maps: an address space of some job.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressSpace {
    /// Address of the kernel's `struct mm_struct`; 0 while the element is free.
    pub mm: u64,
    /// [`JobRef`](crate::JobRef) of the job.
    pub job: u64,
    /// Tasks of jobs that live in it.
    pub users: u64,
    /// How often the element was taken.
    pub generation: u64,
    /// Pages that it shared with its parent when it was forked: the job does not pay for them again.
    pub inherited_pages: u64,
    /// What it holds.
    pub held: Held,
    /// Pages of each kind at the last change.
    pub by_kind: [u64; 4],
    /// Of each kind, what CPUs have changed and not yet added to the kernel's common counter.
    pub pending: [u64; 4],
}

/// Element of the `PENDING` array, one for each address space and CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    /// [`AddressSpace::generation`] that it belongs to.
    pub generation: u64,
    /// Of each kind, what this CPU had pending at its last change.
    pub by_kind: [u64; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_never_less_than_nothing() {
        let held = |pages: i64| Held { pages: pages.cast_unsigned(), ..Held::default() };
        assert_eq!([5, 0, -1, -60_000].map(|pages| held(pages).pages_now()), [5, 0, 0, 0]);
    }
}
