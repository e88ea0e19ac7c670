//! Sockets: payload that tasks of jobs give to them and take from them.
//!
//! `sock_send_length` and `sock_recv_length` run in the caller's context for every family; where
//! the kernel lacks them (before 6.3), the exits of the TCP and UDP functions below them give the
//! same figures. Reading from a socket by `splice` passes the tracepoints by and has a function of
//! its own on every kernel.

use aya_ebpf::macros::{btf_tracepoint, fexit};
use aya_ebpf::programs::{BtfTracePointContext, FExitContext};
use profiler_common::Progress;

use crate::field::Socket;
use crate::field::task::Task;
use crate::task::counted;

/// The caller looked without taking, and will come again.
const MSG_PEEK: u32 = 0x2;
/// What was received is the socket's queue of errors.
const MSG_ERRQUEUE: u32 = 0x2000;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

/// Counts one call of the current task. Only the task itself writes these figures.
#[inline(always)]
fn count(family: u16, direction: Direction, result: i32) {
    if result <= 0 {
        return;
    }
    let task = Task::current();
    let Some(counted) = counted(task, task.tid()) else { return };
    let progress = counted.progress;
    let bytes = result as u64;
    match (family, direction) {
        (AF_INET | AF_INET6, Direction::Sent) => {
            let is_new = is_new_call(task, progress);
            progress.observed.net_tx_bytes += bytes;
            progress.observed.net_tx_ops += u64::from(is_new);
        }
        (AF_INET | AF_INET6, Direction::Received) => {
            progress.observed.net_rx_bytes += bytes;
            progress.observed.net_rx_ops += 1;
        }
        (AF_UNIX, Direction::Sent) => progress.observed.local_tx_bytes += bytes,
        (AF_UNIX, Direction::Received) => progress.observed.local_rx_bytes += bytes,
        _ => {}
    }
}

/// Whether what was sent is not one more piece of a file that `sendfile` gives to the socket.
#[inline(always)]
fn is_new_call(task: Task, progress: &mut Progress) -> bool {
    /// `__NR_sendfile` on x86-64.
    const SENDFILE: u64 = 40;
    if task.system_call() != Some(SENDFILE) {
        return true;
    }
    let call = task.write_calls() + 1;
    let is_new = progress.sendfile_call != call;
    progress.sendfile_call = call;
    is_new
}

/// `tp_btf/sock_send_length(sk, ret, flags)`.
#[btf_tracepoint(function = "sock_send_length")]
pub fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    count(Socket(ctx.arg(0)).family(), Direction::Sent, ctx.arg(1));
    0
}

/// `tp_btf/sock_recv_length(sk, ret, flags)`.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    if ctx.arg::<u32>(2) & (MSG_PEEK | MSG_ERRQUEUE) == 0 {
        count(Socket(ctx.arg(0)).family(), Direction::Received, ctx.arg(1));
    }
    0
}

/// Functions `(sk, msg, size)` or `(sk, page, offset, size, flags)` that send.
macro_rules! sends {
    ($($function:ident($arguments:literal)),* $(,)?) => {
        $(
            /// `fexit`, for kernels without `sock_send_length`.
            #[fexit]
            pub fn $function(ctx: FExitContext) -> i32 {
                count(AF_INET, Direction::Sent, ctx.arg($arguments));
                0
            }
        )*
    };
}

/// Functions `(sk, msg, length, flags, address_length)` that receive.
macro_rules! receives {
    ($($function:ident),* $(,)?) => {
        $(
            /// `fexit`, for kernels without `sock_recv_length`.
            #[fexit]
            pub fn $function(ctx: FExitContext) -> i32 {
                if ctx.arg::<u32>(3) & (MSG_PEEK | MSG_ERRQUEUE) == 0 {
                    count(AF_INET, Direction::Received, ctx.arg(5));
                }
                0
            }
        )*
    };
}

sends!(tcp_sendmsg(3), udpv6_sendmsg(3), tcp_sendpage(5), udp_sendpage(5));

/// `fexit/udp_sendmsg(sk, msg, size)`, for kernels without `sock_send_length`. For an IPv4 address on
/// an IPv6 socket `udpv6_sendmsg` calls it, whose own end counts the call.
#[fexit]
pub fn udp_sendmsg(ctx: FExitContext) -> i32 {
    if Socket(ctx.arg(0)).family() != AF_INET6 {
        count(AF_INET, Direction::Sent, ctx.arg(3));
    }
    0
}

receives!(tcp_recvmsg, udp_recvmsg, udpv6_recvmsg);

/// `fexit/tcp_splice_read(socket, position, pipe, length, flags)`, on every kernel.
#[fexit]
pub fn tcp_splice_read(ctx: FExitContext) -> i32 {
    count(AF_INET, Direction::Received, ctx.arg(5));
    0
}
