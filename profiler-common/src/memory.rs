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
/// With each change of `pages` by some `d`, `t` after the begin, `d * t` is added to `change_times`: then
/// `pages * now - change_times` is the area under the curve up to now, in whatever order CPUs add.
/// All of it wraps around, and only differences mean something. Who reads between the two additions is
/// wrong by `d` over the time since the begin, which therefore is not that of the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Anonymous and shared pages now: for readers [`Held::pages_now`].
    pub pages: u64,
    /// The most there were.
    pub peak_pages: u64,
    /// When it began, in microseconds (`CLOCK_MONOTONIC`).
    pub began_us: u64,
    /// Sum of changes times their moments since then, in page microseconds.
    pub change_times: u64,
    /// File-mapped pages now.
    pub file_pages: u64,
    /// The most there were.
    pub file_peak_pages: u64,
}

impl Held {
    /// Nothing so far, from this moment on.
    #[must_use]
    pub fn from(began_us: u64) -> Self {
        Self { began_us, ..Self::default() }
    }

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
        let since = now_us.wrapping_sub(self.began_us);
        let area = self.pages.wrapping_mul(since).wrapping_sub(self.change_times);
        // Less than nothing: what is held came after that moment.
        if area.cast_signed() < 0 { 0 } else { area }
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
        assert_eq!([5, 0, -1, -60_000].map(|pages| held(pages).page_us(10)), [50, 0, 0, 0]);
    }

    #[test]
    fn what_is_held_counts_from_its_begin_on() {
        // 3 pages from the begin on, 2 of them until 10 us after it.
        let held = Held { pages: 1, change_times: 0_u64.wrapping_sub(2 * 10), ..Held::from(1_000) };
        assert_eq!([1_010, 1_020].map(|now_us| held.page_us(now_us)), [30, 40]);
        assert_eq!(held.page_us(900), 0, "before it began");
    }
}
