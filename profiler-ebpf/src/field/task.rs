//! What the kernel knows of a task, read out of its `task_struct`.

use aya_ebpf::Global;
use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use profiler_common::field::MISSING;
use profiler_common::{Comm, Counters, Throttled};

// The fields of a task, which are many, and how one is read.
use super::*;

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

    /// As [`Task::throttled`], for another queue, where the task was before, and the CPU whose queue
    /// that is. The group of a task lives, and with it all queues of the group; any other queue may
    /// be gone.
    #[inline(always)]
    pub fn throttled_in(self, queue: u64) -> Option<(Throttled, Option<u32>)> {
        let own: *const Opaque = self.read(&TASK_RUN_QUEUE)?;
        let group: u64 = read(own, &RUN_QUEUE_GROUP)?;
        let group_there: u64 = read_kernel(queue.wrapping_add(RUN_QUEUE_GROUP.load()))?;
        if group_there != group {
            return None;
        }
        let total_ns = read_kernel(queue.wrapping_add(throttled_offset().load()))?;
        let of_cpu: Option<u64> = read_kernel(queue.wrapping_add(RUN_QUEUE_OF_CPU.load()));
        let cpu = of_cpu.and_then(|all| read_kernel(all.wrapping_add(RUN_QUEUE_CPU.load())));
        Some((Throttled { queue, total_ns }, cpu))
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
        self.copy_other_counters(to);
    }

    /// As [`Task::copy_counters`] for all but the two clocks.
    #[inline(always)]
    pub fn copy_other_counters(self, to: &mut Counters) {
        to.voluntary_switches = self.counter(&TASK_VOLUNTARY_SWITCHES);
        to.involuntary_switches = self.counter(&TASK_INVOLUNTARY_SWITCHES);
        to.minor_faults = self.counter(&TASK_MINOR_FAULTS);
        to.major_faults = self.counter(&TASK_MAJOR_FAULTS);
        self.copy_row(
            &TASK_LOGICAL_READ_BYTES,
            [
                &mut to.logical_read_bytes,
                &mut to.logical_write_bytes,
                &mut to.read_calls,
                &mut to.write_calls,
            ],
        );
        self.copy_row(
            &TASK_READ_BYTES,
            [&mut to.read_bytes, &mut to.write_bytes, &mut to.cancelled_write_bytes],
        );
    }

    /// Copies the fields of one of [`ROWS`](profiler_common::field::ROWS), found by its first. Nothing
    /// where this kernel does not have them.
    #[inline(always)]
    fn copy_row<const FIELDS: usize>(self, first: &Global<u64>, to: [&mut u64; FIELDS]) {
        let offset = first.load();
        if offset == MISSING {
            return;
        }
        // SAFETY: as for `read`, here and below; the agent has seen that the row is one.
        let first = unsafe { self.0.byte_add(offset as usize).cast::<u64>() };
        for (index, to) in to.into_iter().enumerate() {
            // SAFETY: as above.
            *to = unsafe { first.add(index).read_volatile() };
        }
    }
}
