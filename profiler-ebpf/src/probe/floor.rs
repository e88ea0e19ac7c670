//! Programs that measure nothing: the floor that costs are compared with, and a missed event to
//! order. Loaded only by the benchmark and a test.

use aya_ebpf::bpf_printk;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

/// `tp_btf/sched_switch`, empty.
#[btf_tracepoint(function = "sched_switch")]
pub fn empty_switch(_ctx: BtfTracePointContext) -> i32 {
    0
}

/// `tp_btf/bpf_trace_printk`: calls the very tracepoint that it sits on. The kernel runs no program
/// inside itself, skips the inner call and counts it; a test looks for that count. To be loaded from
/// Linux 6.3 on, where printing takes no lock.
#[btf_tracepoint(function = "bpf_trace_printk")]
pub fn recursing(_ctx: BtfTracePointContext) -> i32 {
    print();
    0
}

/// `tp_btf/task_rename`: sets [`recursing`] off.
#[btf_tracepoint(function = "task_rename")]
pub fn print_at_rename(_ctx: BtfTracePointContext) -> i32 {
    print();
    0
}

fn print() {
    // SAFETY: a constant text without arguments.
    unsafe { bpf_printk!(c"profiler: a test of missed events") };
}
