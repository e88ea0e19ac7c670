//! `sched_switch`: keeps the accounting of the task that leaves the CPU.
//!
//! The hot path: no hash lookup, no ring buffer, no allocation; for an untagged task a load and two
//! stores. At this hook the kernel has just brought the leaving task's clock up to date.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use profiler_common::TagState;

use crate::account::{end, leave_cpu};
use crate::field::task::Task;
use crate::maps::CPUS;
use crate::task::{Counted, counted, tag_of};

/// `TASK_DEAD` in the kernel's `include/linux/sched.h`: the task will never run again.
const TASK_DEAD: u64 = 0x80;

/// `tp_btf/sched_switch(preempt, prev, next, prev_state)`.
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let (prev, next) = (Task(ctx.arg(1)), Task(ctx.arg(2)));
    // SAFETY: no arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(cpu) = CPUS.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: this CPU's element; nobody else writes it once it is known.
    let cpu = unsafe { &mut *cpu };
    let mut job = 0;
    // The note of the last switch names the task that leaves now.
    let tid = cpu.running.wrapping_sub(1) as u32;
    if let Some(Counted { span, progress, .. }) = counted(prev, tid) {
        let (is_preempted, state) = (ctx.arg::<u64>(0) & 1 == 1, ctx.arg::<u64>(3));
        job = span.job;
        leave_cpu(prev, job, progress, cpu, state != 0 && !is_preempted);
        if state & TASK_DEAD != 0
            && let Some(tag) = tag_of(prev)
        {
            end(prev, tag, TagState::Ended);
        }
    }
    cpu.before = job;
    cpu.running = u64::from(next.tid()) + 1;
    0
}
