//! Reading kernel structures at offsets that the agent looked up in the running kernel's BTF.

use aya_ebpf::Global;
use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_task_pt_regs};
use profiler_common::field::MISSING;
use profiler_common::memory::{ANONYMOUS_PAGES, FILE_PAGES};
use profiler_common::{Comm, Counters, Throttled};

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

/// A task that the kernel handed to a program.
#[derive(Clone, Copy)]
pub struct Task(pub *const Opaque);

impl Task {
    /// The task in whose context the program runs.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: no arguments.
        Self(unsafe { aya_ebpf::helpers::bpf_get_current_task_btf() }.cast())
    }

    #[inline(always)]
    fn read<T: Copy>(self, offset: &Global<u64>) -> Option<T> {
        read(self.0, offset)
    }

    #[inline(always)]
    fn counter(self, offset: &Global<u64>) -> u64 {
        self.read(offset).unwrap_or(0)
    }

    /// Whether any BPF program ever attached storage to the task: one load that spares most tasks
    /// of the host the call of a helper.
    #[inline(always)]
    pub fn may_have_tag(self) -> bool {
        self.read::<u64>(&TASK_BPF_STORAGE) != Some(0)
    }

    /// Thread id.
    #[inline(always)]
    pub fn tid(self) -> u32 {
        self.read(&TASK_TID).unwrap_or(0)
    }

    /// Process id.
    #[inline(always)]
    pub fn pid(self) -> u32 {
        self.read(&TASK_PID).unwrap_or(0)
    }

    /// Process id of the parent. Only while the task is not being released.
    #[inline(always)]
    pub fn parent(self) -> u32 {
        self.read(&TASK_PARENT).map_or(0, |parent| Self(parent).pid())
    }

    /// The leader of the task's group. Only while the task is not being released.
    #[inline(always)]
    pub fn leader(self) -> Self {
        self.read(&TASK_LEADER).map_or(self, Self)
    }

    /// `CLOCK_BOOTTIME` at the task's birth.
    #[inline(always)]
    pub fn start_boottime_ns(self) -> u64 {
        self.counter(&TASK_START_BOOTTIME)
    }

    /// `CLOCK_MONOTONIC` at the task's birth.
    #[inline(always)]
    pub fn start_time_ns(self) -> u64 {
        self.counter(&TASK_START_TIME)
    }

    /// As `waitpid` encodes it; only meaningful once the task is exiting.
    #[inline(always)]
    pub fn exit_code(self) -> u32 {
        self.read(&TASK_EXIT_CODE).unwrap_or(0)
    }

    /// Whether the task is a zombie or gone.
    #[inline(always)]
    pub fn is_dead(self) -> bool {
        self.read::<u32>(&TASK_EXIT_STATE).unwrap_or(0) != 0
    }

    /// The address space that it lives in; kernel threads have none.
    #[inline(always)]
    pub fn memory(self) -> Option<Memory> {
        let mm: *const Opaque = self.read(&TASK_MM)?;
        (!mm.is_null()).then_some(Memory(mm))
    }

    /// Whether the task waits for block I/O, or is about to: the mark that `io_schedule` sets.
    #[inline(always)]
    pub fn is_in_iowait(self) -> bool {
        let bit = TASK_IN_IOWAIT.load();
        if bit == MISSING {
            return false;
        }
        // SAFETY: as for `read`; the verifier lets a bit field be read by its byte.
        let byte = unsafe { self.0.byte_add(bit as usize / 8).cast::<u8>().read_volatile() };
        byte >> (bit % 8) & 1 == 1
    }

    /// The CPU that the task runs on right now, if any.
    #[inline(always)]
    pub fn running_on(self) -> Option<u32> {
        if self.read::<u32>(&TASK_ON_CPU)? == 0 {
            return None;
        }
        self.read(&TASK_CPU)
    }

    /// Time spent runnable without a CPU, up to the task's last arrival on one.
    #[inline(always)]
    pub fn run_queue_ns(self) -> u64 {
        self.counter(&TASK_RUN_DELAY)
    }

    /// When the task last got a CPU, by the scheduler's clock of that CPU.
    #[inline(always)]
    pub fn arrival_ns(self) -> u64 {
        self.counter(&TASK_ARRIVAL)
    }

    /// Whether the task belongs to a scheduler that comes before the fair one.
    #[inline(always)]
    pub fn is_real_time(self) -> bool {
        /// `MAX_RT_PRIO` of the kernel's `prio.h`.
        const MAX_RT_PRIO: i32 = 100;
        self.read::<i32>(&TASK_PRIORITY).unwrap_or(MAX_RT_PRIO) < MAX_RT_PRIO
    }

    /// The task's run queue, and for how long quotas have kept that off the CPU so far.
    #[inline(always)]
    pub fn throttled(self) -> Option<Throttled> {
        let queue: *const Opaque = self.read(&TASK_RUN_QUEUE)?;
        let total_ns = read(queue, throttled_offset())?;
        Some(Throttled { queue: queue as u64, total_ns })
    }

    /// As [`Task::throttled`], for another queue, where the task was before. The group of a task
    /// lives, and with it all queues of the group; any other queue may be gone.
    #[inline(always)]
    pub fn throttled_in(self, queue: u64) -> Option<u64> {
        let own: *const Opaque = self.read(&TASK_RUN_QUEUE)?;
        let group: u64 = read(own, &RUN_QUEUE_GROUP)?;
        let group_there: u64 = read_kernel(queue.wrapping_add(RUN_QUEUE_GROUP.load()))?;
        if group_there != group {
            return None;
        }
        read_kernel(queue.wrapping_add(throttled_offset().load()))
    }

    /// Writes the task's name straight to its place; empty if it cannot be read.
    #[inline(always)]
    pub fn copy_comm(self, to: &mut Comm) {
        let offset = TASK_COMM.load();
        if offset == MISSING {
            *to = [0; 16];
            return;
        }
        // The helper clears `to` where it cannot read, so its answer adds nothing.
        // SAFETY: `comm` is an array of 16 bytes inside `task_struct`; the helper copies it.
        let _ = unsafe {
            let comm = self.0.byte_add(offset as usize).cast();
            aya_ebpf::helpers::bpf_probe_read_kernel_buf(comm, to)
        };
    }

    /// Time on CPU, up to date at a switch away from the task.
    #[inline(always)]
    pub fn cpu_ns(self) -> u64 {
        self.counter(&TASK_CLOCK)
    }

    /// Calls that write, as the kernel counts them at each one's end.
    #[inline(always)]
    pub fn write_calls(self) -> u64 {
        self.counter(&TASK_WRITE_CALLS)
    }

    /// The number of the system call that the task is in; whatever was there if it is in none.
    #[inline(always)]
    pub fn system_call(self) -> Option<u64> {
        let task = self.0.cast::<task_struct>().cast_mut();
        // SAFETY: the verifier knows `task` for a live task.
        let registers = unsafe { bpf_task_pt_regs(task) } as *const Opaque;
        if registers.is_null() {
            return None;
        }
        read(registers, &REGISTERS_CALL)
    }

    /// Copies the kernel's counters as they stand, each straight to its place: all of them at once
    /// are more than there are registers.
    #[inline(always)]
    pub fn copy_counters(self, to: &mut Counters) {
        to.cpu_ns = self.cpu_ns();
        to.run_queue_ns = self.run_queue_ns();
        to.voluntary_switches = self.counter(&TASK_VOLUNTARY_SWITCHES);
        to.involuntary_switches = self.counter(&TASK_INVOLUNTARY_SWITCHES);
        to.minor_faults = self.counter(&TASK_MINOR_FAULTS);
        to.major_faults = self.counter(&TASK_MAJOR_FAULTS);
        to.read_bytes = self.counter(&TASK_READ_BYTES);
        to.write_bytes = self.counter(&TASK_WRITE_BYTES);
        to.cancelled_write_bytes = self.counter(&TASK_CANCELLED_WRITE_BYTES);
        to.logical_read_bytes = self.counter(&TASK_LOGICAL_READ_BYTES);
        to.logical_write_bytes = self.counter(&TASK_LOGICAL_WRITE_BYTES);
        to.read_calls = self.counter(&TASK_READ_CALLS);
        to.write_calls = self.counter(&TASK_WRITE_CALLS);
    }
}
