//! Reading kernel structures at offsets that the agent looked up in the running kernel's BTF: address
//! spaces, block requests and sockets here, tasks in `task.rs`. A field that this kernel does not have
//! reads as nothing.

pub mod task;

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use profiler_common::field::MISSING;
use profiler_common::memory::{ANONYMOUS_PAGES, FILE_PAGES};

macro_rules! define {
    ($($name:ident: $structure:literal $path:literal,)*) => {
        $(
            #[doc = concat!("Offset of `", $structure, ".", $path, "`.")]
            #[unsafe(no_mangle)]
            pub static $name: Global<u64> = Global::new(MISSING);
        )*
    };
}
profiler_common::kernel_fields!(define);
profiler_common::kernel_bits!(define);

/// Some structure in the kernel's memory: opaque, read through the types below only.
#[repr(C)]
pub struct Opaque {
    nothing: [u8; 0],
}

/// Reads a field, or nothing where this kernel has no such field.
#[inline(always)]
fn read<T: Copy>(base: *const Opaque, offset: &Global<u64>) -> Option<T> {
    let offset = offset.load();
    if offset == MISSING {
        return None;
    }
    // SAFETY: the verifier checks that the offset, a constant to it, lies in the structure that it
    // knows `base` to point to, and is read with the size of the field.
    Some(unsafe { base.byte_add(offset as usize).cast::<T>().read_volatile() })
}

/// Where a run queue has the time that quotas kept it off the CPU.
#[inline(always)]
fn throttled_offset() -> &'static Global<u64> {
    if RUN_QUEUE_THROTTLED.load() == MISSING {
        &RUN_QUEUE_THROTTLED_OLD
    } else {
        &RUN_QUEUE_THROTTLED
    }
}

/// An address as a number, to compute with. The verifier lets nobody compute with a pointer that it
/// follows, and follows it everywhere but to a place on the stack that it does not know: `any` is
/// some value that it does not know.
#[inline(always)]
pub fn number<T>(pointer: *const T, any: u32) -> u64 {
    let mut places = [core::ptr::null::<T>(); 2];
    // SAFETY: the index is 0 or 1.
    let place = unsafe { (&raw mut places).cast::<*const T>().add((any & 1) as usize) };
    // SAFETY: a place of our own. Volatile: the way over memory is what this is for.
    unsafe { place.write_volatile(pointer) };
    // SAFETY: a pointer was just written there, and has the size of the number.
    unsafe { place.cast::<u64>().read_volatile() }
}

/// Reads the kernel's memory at an address that the verifier knows nothing of.
#[inline(always)]
pub fn read_kernel<T: Copy + Default>(address: u64) -> Option<T> {
    let mut value = T::default();
    // SAFETY: the helper checks the address, and writes as many bytes as the value has.
    let result = unsafe {
        bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, address as *const _)
    };
    (result == 0).then_some(value)
}

/// A `struct mm_struct`: an address space.
#[derive(Clone, Copy)]
pub struct Memory(pub *const Opaque);

impl Memory {
    /// Its address as a number.
    #[inline(always)]
    pub fn address(self, any: u32) -> u64 {
        number(self.0, any)
    }

    /// Pages of one kind in the kernel's common counter. Where each CPU has a counter too, what is
    /// in there is missing: see [`Memory::pending_at`].
    #[inline(always)]
    pub fn pages(self, kind: u32) -> u64 {
        let (new, old) = match kind {
            FILE_PAGES => (&MM_FILE, &MM_FILE_OLD),
            ANONYMOUS_PAGES => (&MM_ANONYMOUS, &MM_ANONYMOUS_OLD),
            _ => (&MM_SHARED, &MM_SHARED_OLD),
        };
        if let Some(pages) = read(self.0, new) {
            return pages;
        }
        let old = old.load();
        if old == MISSING {
            return 0;
        }
        // An array of a type by another name, which verifiers of the time do not look through.
        read_kernel(self.address(kind).wrapping_add(old)).unwrap_or(0)
    }

    /// The address of the CPUs' counters of one kind: add a CPU's offset to it. 0 for none.
    #[inline(always)]
    pub fn pending_at(self, kind: u32) -> u64 {
        let pending = match kind {
            FILE_PAGES => &MM_FILE_PENDING,
            ANONYMOUS_PAGES => &MM_ANONYMOUS_PENDING,
            _ => &MM_SHARED_PENDING,
        };
        read(self.0, pending).unwrap_or(0)
    }
}

/// A `struct request` of the block layer.
#[derive(Clone, Copy)]
pub struct Request(pub *const Opaque);

impl Request {
    /// Its address as a number.
    #[inline(always)]
    pub fn address(self) -> u64 {
        number(self.0, self.bytes())
    }

    /// Bytes that are still to be done.
    #[inline(always)]
    pub fn bytes(self) -> u32 {
        read(self.0, &REQUEST_BYTES).unwrap_or(0)
    }

    /// What it does: `REQ_OP_…`.
    #[inline(always)]
    pub fn operation(self) -> u32 {
        read::<u32>(self.0, &REQUEST_FLAGS).unwrap_or(0) & OPERATION
    }

    /// When it began (`CLOCK_MONOTONIC`), as the kernel's own statistics have it, once it has started;
    /// 0 where its disk keeps none.
    #[inline(always)]
    pub fn start_time_ns(self) -> u64 {
        read(self.0, &REQUEST_START_TIME).unwrap_or(0)
    }

    /// Major and minor number of the disk; both 0 where it has none.
    #[inline(always)]
    pub fn disk(self) -> (u32, u32) {
        numbers_of(read(self.0, &REQUEST_QUEUE).and_then(|queue| read(queue, &QUEUE_DISK)))
    }
}

/// A `struct bio`: a part of a request, as its submitter made it.
#[derive(Clone, Copy)]
pub struct Bio(pub *const Opaque);

impl Bio {
    /// Bytes that are to be done.
    #[inline(always)]
    pub fn bytes(self) -> u32 {
        read(self.0, &BIO_BYTES).unwrap_or(0)
    }

    /// What it does: `REQ_OP_…`.
    #[inline(always)]
    pub fn operation(self) -> u32 {
        read::<u32>(self.0, &BIO_FLAGS).unwrap_or(0) & OPERATION
    }

    /// Major and minor number of the whole disk; both 0 where it has none.
    #[inline(always)]
    pub fn disk(self) -> (u32, u32) {
        numbers_of(read(self.0, &BIO_BDEV).and_then(|device| read(device, &BDEV_DISK)))
    }
}

/// `REQ_OP_MASK` of the kernel's `blk_types.h`.
const OPERATION: u32 = 0xff;

/// Major and minor number of a `struct gendisk`; both 0 where there is none.
#[inline(always)]
fn numbers_of(disk: Option<*const Opaque>) -> (u32, u32) {
    match disk {
        Some(disk) if !disk.is_null() => {
            (read(disk, &DISK_MAJOR).unwrap_or(0), read(disk, &DISK_MINOR).unwrap_or(0))
        }
        _ => (0, 0),
    }
}

/// A `struct sock`.
#[derive(Clone, Copy)]
pub struct Socket(pub *const Opaque);

impl Socket {
    /// Address family: `AF_…`.
    #[inline(always)]
    pub fn family(self) -> u16 {
        read(self.0, &SOCKET_FAMILY).unwrap_or(0)
    }
}
