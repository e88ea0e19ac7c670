//! Events that the kernel shows to nobody are counted.

use std::fs;
use std::os::fd::AsFd as _;

use aya::programs::BtfTracePoint;
use aya::{Btf, EbpfLoader};
use profiler::kernel::{OBJECT, recursion_misses};
use profiler_tests::{require_bpf, skip};

/// Gives this thread another name, which is an event.
fn rename() {
    fs::write("/proc/thread-self/comm", "renamed").expect("a new name");
}

/// Printing from a program takes a lock before this version, and would wait for itself.
fn printing_takes_no_lock() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 3)
}

#[test]
fn an_event_that_the_kernel_skips_inside_a_program_is_counted() {
    require_bpf!();
    if !printing_takes_no_lock() {
        skip!("before Linux 6.3 a program cannot be made to set itself off");
    }
    let btf = Btf::from_sys_fs().expect("the kernel's types");
    let mut ebpf = EbpfLoader::new().allow_unsupported_maps().load(OBJECT).expect("the object");
    for (program, tracepoint) in
        [("recursing", "bpf_trace_printk"), ("print_at_rename", "task_rename")]
    {
        let program: &mut BtfTracePoint =
            ebpf.program_mut(program).expect("the program").try_into().expect("its kind");
        program.load(tracepoint, &btf).expect("to load it");
        program.attach().expect("to attach it");
    }
    let misses = |ebpf: &aya::Ebpf| {
        let program = ebpf.program("recursing").expect("the program");
        recursion_misses(program.fd().expect("it is loaded").as_fd()).expect("its figures")
    };
    assert_eq!(misses(&ebpf), 0, "nothing happened yet");
    rename();
    assert!(misses(&ebpf) >= 1, "the program set itself off, and the kernel skipped it");
}
