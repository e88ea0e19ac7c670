//! An array map of the kernel in our memory, so that reading it costs no system call.

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// A memory-mapped `BPF_MAP_TYPE_ARRAY` of `T`.
///
/// The kernel side writes while we read. Elements are therefore only ever copied out, with volatile
/// reads; whoever needs several fields that belong together checks that nothing moved meanwhile.
#[derive(Debug)]
pub(super) struct MappedArray<T> {
    start: NonNull<T>,
    elements: u32,
    bytes: usize,
    element: PhantomData<T>,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read by copying.
unsafe impl<T: Send> Send for MappedArray<T> {}

/// Types for which any bit pattern is a value and that both sides lay out alike.
///
/// # Safety
/// The type is `#[repr(C)]`, made of integers and arrays of them, and its size is a multiple of 8.
pub(super) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        $(
            const _: () = assert!(size_of::<$type>().is_multiple_of(8));
            // SAFETY: `#[repr(C)]`, integers only, size checked above.
            unsafe impl Plain for $type {}
        )*
    };
}
plain!(
    u64,
    profiler_common::AddressSpace,
    profiler_common::Counters,
    profiler_common::CpuEntry,
    profiler_common::DeviceTotal,
    profiler_common::JobEntry,
    profiler_common::LeaseEntry,
    profiler_common::Name,
    profiler_common::Observed,
    profiler_common::Progress,
    profiler_common::SessionState,
    profiler_common::Span,
    profiler_common::TagRequest,
    profiler_common::TaskEntry,
    profiler_common::TaskEnded,
    profiler_common::Total,
);

impl<T: Plain> MappedArray<T> {
    /// Maps the whole of an array map that was created `BPF_F_MMAPABLE` with `elements` elements.
    ///
    /// # Errors
    /// What `mmap(2)` says.
    pub(super) fn new(map: impl AsFd, elements: u32) -> io::Result<Self> {
        let bytes =
            (elements as usize * size_of::<T>()).next_multiple_of(rustix::param::page_size());
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel picks.
        let start =
            unsafe { mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, map, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, elements, bytes, element: PhantomData })
    }

    /// An array of our own memory, in which nothing is counted yet.
    ///
    /// # Errors
    /// What `mmap(2)` says.
    pub(super) fn private(elements: u32) -> io::Result<Self> {
        let bytes =
            (elements as usize * size_of::<T>()).next_multiple_of(rustix::param::page_size());
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel picks; zeros are a value of each type.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, MapFlags::PRIVATE) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, elements, bytes, element: PhantomData })
    }

    /// How many elements there are.
    #[must_use]
    pub(super) fn len(&self) -> u32 {
        self.elements
    }

    /// Copies an element out; `None` past the end.
    #[must_use]
    pub(super) fn get(&self, index: u32) -> Option<T> {
        // SAFETY: inside the mapping, aligned, and any bit pattern is a `T`.
        self.place(index).map(|place| unsafe { place.read_volatile() })
    }

    /// Copies a part of an element out: the one at this offset. `None` past the end of either.
    #[must_use]
    pub(super) fn part<U: Plain>(&self, index: u32, offset: usize) -> Option<U> {
        // SAFETY: inside the mapping and aligned, as `part_place` made sure.
        self.part_place(index, offset).map(|place| unsafe { place.read_volatile() })
    }

    /// Replaces a part of an element. Nothing happens past the end of either.
    pub(super) fn set_part<U: Plain>(&mut self, index: u32, offset: usize, value: U) {
        if let Some(place) = self.part_place(index, offset) {
            // SAFETY: inside the mapping and aligned, as `part_place` made sure.
            unsafe { place.write_volatile(value) };
        }
    }

    /// A figure that both sides change. `None` past the end of the array or the element.
    #[must_use]
    pub(super) fn shared(&self, index: u32, offset: usize) -> Option<&AtomicU64> {
        let place = self.part_place(index, offset)?;
        // SAFETY: aligned, and mapped for as long as `self` lives.
        Some(unsafe { AtomicU64::from_ptr(place.as_ptr()) })
    }

    /// Figures that follow each other, and that both sides change.
    #[must_use]
    pub(super) fn shared_words(
        &self,
        index: u32,
        offset: usize,
        count: usize,
    ) -> Option<&[AtomicU64]> {
        let is_inside = offset + count * size_of::<u64>() <= size_of::<T>();
        let first = self.shared(index, offset).filter(|_| is_inside)?;
        // SAFETY: inside the element, aligned, and mapped for as long as `self` lives.
        Some(unsafe { std::slice::from_raw_parts(first, count) })
    }

    fn part_place<U: Plain>(&self, index: u32, offset: usize) -> Option<NonNull<U>> {
        let is_inside = offset + size_of::<U>() <= size_of::<T>();
        let is_aligned = offset.is_multiple_of(align_of::<U>());
        let place = self.place(index).filter(|_| is_inside && is_aligned)?;
        // SAFETY: inside the element.
        Some(unsafe { place.byte_add(offset) }.cast())
    }

    /// Replaces an element. Nothing happens past the end.
    pub(super) fn set(&mut self, index: u32, value: T) {
        if let Some(place) = self.place(index) {
            // SAFETY: inside the mapping and aligned.
            unsafe { place.write_volatile(value) };
        }
    }

    fn place(&self, index: u32) -> Option<NonNull<T>> {
        // SAFETY: the element lies inside the mapping.
        (index < self.elements).then(|| unsafe { self.start.add(index as usize) })
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nobody holds a reference into it.
        // A failure would leave the mapping until the process ends; there is nothing better to do.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
