//! The kernel half of profiler: programs that add up, per job, what the kernel charges each task.
//!
//! Every program reads the kernel's own figures out of `task_struct`; none measures anything that
//! the kernel keeps itself. See `maps.rs` for who writes and reads what, `task.rs` for how a thread
//! belongs to a job, and one file per hook under `probe/`.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod account;
mod atomic;
mod field;
mod maps;
mod memory;
mod probe;
mod quota;
mod request;
mod table;
mod task;
mod words;

/// What the kernel reads to decide which helpers the programs may call.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier rejects a program that could get here.
    loop {}
}
