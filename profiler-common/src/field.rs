//! The kernel fields that the programs read, named once for both sides.
//!
//! rustc emits no CO-RE relocations, so the agent looks each offset up in the running kernel's BTF
//! and hands it to the object as a read-only global, which the verifier treats as a constant.

/// Value of an offset that this kernel does not have: the program skips the figure.
pub const MISSING: u64 = u64::MAX;

/// Counters of eight bytes that follow each other in the kernel's structure, so that the programs find
/// all of a row by its first. In a kernel where that is not so, all are missing. Not for fields of
/// `task_struct` itself, which some kernels shuffle (`CONFIG_RANDSTRUCT`).
pub const ROWS: &[&[&str]] = &[
    &["TASK_LOGICAL_READ_BYTES", "TASK_LOGICAL_WRITE_BYTES", "TASK_READ_CALLS", "TASK_WRITE_CALLS"],
    &["TASK_READ_BYTES", "TASK_WRITE_BYTES", "TASK_CANCELLED_WRITE_BYTES"],
];

/// Calls `$then!` with the table of fields: global's name, structure, path of the member.
#[macro_export]
macro_rules! kernel_fields {
    ($then:ident) => {
        $then! {
            ARRAY_PER_CPU: "bpf_array" "pptrs",
            BDEV_DISK: "block_device" "bd_disk",
            BIO_BDEV: "bio" "bi_bdev",
            BIO_BYTES: "bio" "bi_iter.bi_size",
            BIO_FLAGS: "bio" "bi_opf",
            DISK_MAJOR: "gendisk" "major",
            DISK_MINOR: "gendisk" "first_minor",
            MM_ANONYMOUS: "mm_struct" "rss_stat[1].count",
            MM_ANONYMOUS_OLD: "mm_struct" "rss_stat.count[1].counter",
            MM_ANONYMOUS_PENDING: "mm_struct" "rss_stat[1].counters",
            MM_FILE: "mm_struct" "rss_stat[0].count",
            MM_FILE_OLD: "mm_struct" "rss_stat.count[0].counter",
            MM_FILE_PENDING: "mm_struct" "rss_stat[0].counters",
            MM_SHARED: "mm_struct" "rss_stat[3].count",
            MM_SHARED_OLD: "mm_struct" "rss_stat.count[3].counter",
            MM_SHARED_PENDING: "mm_struct" "rss_stat[3].counters",
            QUEUE_DISK: "request_queue" "disk",
            REGISTERS_CALL: "pt_regs" "orig_ax",
            REQUEST_BYTES: "request" "__data_len",
            REQUEST_FLAGS: "request" "cmd_flags",
            REQUEST_QUEUE: "request" "q",
            REQUEST_START_TIME: "request" "start_time_ns",
            RUN_QUEUE_CPU: "rq" "cpu",
            RUN_QUEUE_GROUP: "cfs_rq" "tg",
            RUN_QUEUE_OF_CPU: "cfs_rq" "rq",
            RUN_QUEUE_THROTTLED: "cfs_rq" "throttled_clock_self_time",
            RUN_QUEUE_THROTTLED_OLD: "cfs_rq" "throttled_clock_pelt_time",
            SOCKET_FAMILY: "sock" "__sk_common.skc_family",
            TASK_BPF_STORAGE: "task_struct" "bpf_storage",
            TASK_CLOCK: "task_struct" "se.sum_exec_runtime",
            TASK_ARRIVAL: "task_struct" "sched_info.last_arrival",
            TASK_COMM: "task_struct" "comm",
            TASK_EXIT_CODE: "task_struct" "exit_code",
            TASK_EXIT_STATE: "task_struct" "exit_state",
            TASK_INVOLUNTARY_SWITCHES: "task_struct" "nivcsw",
            TASK_LOGICAL_READ_BYTES: "task_struct" "ioac.rchar",
            TASK_LOGICAL_WRITE_BYTES: "task_struct" "ioac.wchar",
            TASK_MAJOR_FAULTS: "task_struct" "maj_flt",
            TASK_MINOR_FAULTS: "task_struct" "min_flt",
            TASK_MM: "task_struct" "mm",
            TASK_ON_CPU: "task_struct" "on_cpu",
            TASK_CPU: "task_struct" "thread_info.cpu",
            TASK_CANCELLED_WRITE_BYTES: "task_struct" "ioac.cancelled_write_bytes",
            TASK_LEADER: "task_struct" "group_leader",
            TASK_PARENT: "task_struct" "real_parent",
            TASK_PID: "task_struct" "tgid",
            TASK_PRIORITY: "task_struct" "prio",
            TASK_READ_BYTES: "task_struct" "ioac.read_bytes",
            TASK_READ_CALLS: "task_struct" "ioac.syscr",
            TASK_RUN_DELAY: "task_struct" "sched_info.run_delay",
            TASK_RUN_QUEUE: "task_struct" "se.cfs_rq",
            TASK_START_BOOTTIME: "task_struct" "start_boottime",
            TASK_START_TIME: "task_struct" "start_time",
            TASK_TID: "task_struct" "pid",
            TASK_VOLUNTARY_SWITCHES: "task_struct" "nvcsw",
            TASK_WRITE_BYTES: "task_struct" "ioac.write_bytes",
            TASK_WRITE_CALLS: "task_struct" "ioac.syscw",
        }
    };
}

/// As [`kernel_fields!`], for members of one bit. The global takes the offset in bits.
#[macro_export]
macro_rules! kernel_bits {
    ($then:ident) => {
        $then! {
            TASK_IN_IOWAIT: "task_struct" "in_iowait",
        }
    };
}
