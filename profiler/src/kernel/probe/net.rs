//! Sockets.

use super::{Group, Hook};

/// The hook that sees sockets of every family.
pub(super) const ANY_FAMILY: Hook = Hook::Tracepoint("sock_send_length");

const SENDFILE: &str = "what `sendfile` sends over sockets";
const SPLICE: &str = "what `splice` takes from TCP sockets";
const UDP_V6: &str = "bytes and calls on UDP over IPv6";

pub(super) const GROUP: Group = Group {
    name: "sockets",
    gives: "bytes and calls on IPv4, IPv6 and local sockets",
    is_required: false,
    ways: &[
        &[
            ANY_FAMILY,
            Hook::Tracepoint("sock_recv_length"),
            // Until 6.5 `sendfile` passed the tracepoint by.
            Hook::ExitIfThere("tcp_sendpage", SENDFILE),
            Hook::ExitIfThere("udp_sendpage", SENDFILE),
            Hook::ExitIfThere("tcp_splice_read", SPLICE),
        ],
        // Before 6.3. Local sockets stay unknown.
        &[
            Hook::Exit("tcp_sendmsg"),
            Hook::Exit("tcp_recvmsg"),
            Hook::Exit("udp_sendmsg"),
            Hook::Exit("udp_recvmsg"),
            Hook::ExitIfThere("udpv6_sendmsg", UDP_V6),
            Hook::ExitIfThere("udpv6_recvmsg", UDP_V6),
            Hook::ExitIfThere("tcp_sendpage", SENDFILE),
            Hook::ExitIfThere("udp_sendpage", SENDFILE),
            Hook::ExitIfThere("tcp_splice_read", SPLICE),
        ],
    ],
};
