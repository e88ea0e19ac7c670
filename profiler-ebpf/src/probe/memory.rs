//! `rss_stat`: each change of an address space's pages, as it happens.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use profiler_common::memory::{ANONYMOUS_PAGES, FILE_PAGES, MEMORY_BITS, SHARED_PAGES};

use crate::field::Memory;
use crate::maps::MEMORY;
use crate::memory::update;
use crate::table::find_at;

/// `tp_btf/rss_stat(mm, kind)`. Whoever caused the change, the address space says whose it is: the
/// kernel itself takes pages away, too.
#[btf_tracepoint(function = "rss_stat")]
pub fn rss_stat(ctx: BtfTracePointContext) -> i32 {
    let (memory, kind) = (Memory(ctx.arg(0)), ctx.arg::<u32>(1));
    if kind != FILE_PAGES && kind != ANONYMOUS_PAGES && kind != SHARED_PAGES {
        return 0;
    }
    if let Some((index, space)) = find_at(&MEMORY, MEMORY_BITS, memory.address(kind)) {
        // SAFETY: an element of the array.
        update(memory, index, unsafe { &mut *space }, kind);
    }
    0
}
