//! The floor that measurements are compared with: a program that does nothing. Loaded only by the
//! benchmark.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

/// `tp_btf/sched_switch`, empty.
#[btf_tracepoint(function = "sched_switch")]
pub fn empty_switch(_ctx: BtfTracePointContext) -> i32 {
    0
}
