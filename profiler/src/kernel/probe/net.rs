//! Sockets.

use super::{Group, Hook};

/// The hook that sees sockets of every family.
pub(super) const ANY_FAMILY: Hook = Hook::Tracepoint("sock_send_length");

pub(super) const GROUP: Group = Group {
    name: "sockets",
    gives: "bytes and calls on IPv4, IPv6 and local sockets",
    is_required: false,
    ways: &[
        &[
            ANY_FAMILY,
            Hook::Tracepoint("sock_recv_length"),
            // Until 6.5 `sendfile` passed the tracepoint by.
            Hook::ExitIfThere("tcp_sendpage"),
            Hook::ExitIfThere("udp_sendpage"),
            Hook::ExitIfThere("tcp_splice_read"),
        ],
        // Before 6.3. Local sockets stay unknown.
        &[
            Hook::Exit("tcp_sendmsg"),
            Hook::Exit("tcp_recvmsg"),
            Hook::Exit("udp_sendmsg"),
            Hook::Exit("udp_recvmsg"),
            Hook::ExitIfThere("udpv6_sendmsg"),
            Hook::ExitIfThere("udpv6_recvmsg"),
            Hook::ExitIfThere("tcp_sendpage"),
            Hook::ExitIfThere("udp_sendpage"),
            Hook::ExitIfThere("tcp_splice_read"),
        ],
    ],
};
