//! `sockets --what SUBJECT`: programs that talk over sockets of one machine, and count each call
//! that moved data and each byte of payload by themselves.

mod call;
mod cases;
mod transfer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use self::cases::{empty, errors, passed, peek, reused, send_file};
use self::transfer::{datagrams, ring, stream};
use super::args::Args;
use super::{last_words, note};
use crate::counted;
use crate::sys;
use crate::truth::Report;

/// Payload and calls of one program, as it saw them itself.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    rx_bytes: u64,
    rx_ops: u64,
    tx_bytes: u64,
    tx_ops: u64,
}

impl Count {
    fn sent(&mut self, bytes: usize) {
        self.tx_bytes += bytes as u64;
        self.tx_ops += u64::from(bytes > 0);
    }

    fn got(&mut self, bytes: usize) {
        self.rx_bytes += bytes as u64;
        self.rx_ops += u64::from(bytes > 0);
    }

    fn and(self, other: Self) -> Self {
        Self {
            rx_bytes: self.rx_bytes + other.rx_bytes,
            rx_ops: self.rx_ops + other.rx_ops,
            tx_bytes: self.tx_bytes + other.tx_bytes,
            tx_ops: self.tx_ops + other.tx_ops,
        }
    }

    /// Says what went over IP sockets, or over local ones.
    fn say(self, report: &Report, local: bool) {
        let figures = if local {
            vec![("local_rx_bytes", self.rx_bytes), ("local_tx_bytes", self.tx_bytes)]
        } else {
            vec![
                ("net_rx_bytes", self.rx_bytes),
                ("net_rx_ops", self.rx_ops),
                ("net_tx_bytes", self.tx_bytes),
                ("net_tx_ops", self.tx_ops),
            ]
        };
        for (name, value) in figures {
            note(report, &counted::note(name, value));
        }
    }
}

/// Which calls a program talks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// `send`, `recv`
    Send,
    /// `write`, `read`
    File,
    /// `writev`, `readv`
    Vector,
    /// `sendmsg`, `recvmsg`
    Message,
}

/// How a program waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// In the call itself.
    Block,
    /// In `poll`, on sockets that do not block.
    Poll,
    /// In `epoll_wait`.
    Epoll,
}

/// How much is sent, and in what pieces.
#[derive(Debug, Clone, Copy)]
struct Length {
    kib: usize,
    /// Bytes of each call; 0 for many lengths.
    piece: usize,
}

pub(crate) fn run(args: &Args) {
    let (report, family) = (args.report(), args.get("family", 4));
    let calls = match args.text("calls").unwrap_or("send") {
        "send" => Calls::Send,
        "file" => Calls::File,
        "vector" => Calls::Vector,
        "message" => Calls::Message,
        other => panic!("--calls {other}: no such calls"),
    };
    let wait = match args.text("wait").unwrap_or("block") {
        "block" => Wait::Block,
        "poll" => Wait::Poll,
        "epoll" => Wait::Epoll,
        other => panic!("--wait {other}: no such way"),
    };
    if family == 6 && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        note(&report, "cannot use IPv6");
        return;
    }
    let length = Length { kib: args.get("kib", 2048), piece: args.get("piece", 0) };
    match args.text("what").expect("--what") {
        "tcp" => {
            let (a, b) = tcp(family);
            stream(a, b, calls, wait, &length).say(&report, false);
        }
        "unix" => {
            let (a, b) = UnixStream::pair().expect("a pair");
            stream(a.into(), b.into(), calls, wait, &length).say(&report, true);
        }
        "unix-named" => {
            let (a, b) = named();
            stream(a.into(), b.into(), calls, wait, &length).say(&report, true);
        }
        "udp" => {
            let (a, b) = udp(family);
            datagrams(&a.into(), &b.into(), calls).say(&report, false);
        }
        // IPv6 sockets that talk IPv4 underneath.
        "udp-mapped" => {
            let (a, b) = udp(46);
            datagrams(&a.into(), &b.into(), calls).say(&report, false);
        }
        "unix-datagrams" => {
            let (a, b) = UnixDatagram::pair().expect("a pair");
            datagrams(&a.into(), &b.into(), calls).say(&report, true);
        }
        "peek" => peek(&report, family),
        "errors" => errors(&report, family),
        "empty" => empty(&report, family),
        "sendfile" => send_file(&report, family, args.get("chunk", 4096)),
        "passed" => passed(&report, family),
        "reused" => reused(&report, family),
        "uring" => {
            let (a, b) = tcp(family);
            match ring(a.as_raw_fd(), b.as_raw_fd(), args.get("async", 0) == 1) {
                Ok(count) => count.say(&report, false),
                Err(error) => note(&report, &format!("cannot use io_uring: {error}")),
            }
        }
        other => panic!("--what {other}: no such subject"),
    }
    last_words(&report);
}

/// A free port of this machine, by IPv4, IPv6, or (46) IPv4 in the clothes of IPv6.
fn here(family: u32) -> SocketAddr {
    let here = match family {
        6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        46 => IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    (here, 0).into()
}

/// Two ends of a TCP connection.
fn tcp(family: u32) -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind(here(family)).expect("a port");
    let one = TcpStream::connect(listener.local_addr().expect("its address")).expect("connecting");
    let (other, _) = listener.accept().expect("accepting");
    (one.into(), other.into())
}

fn udp(family: u32) -> (UdpSocket, UdpSocket) {
    let [one, other] = [(); 2].map(|()| UdpSocket::bind(here(family)).expect("a port"));
    one.connect(other.local_addr().expect("its address")).expect("connecting");
    other.connect(one.local_addr().expect("its address")).expect("connecting");
    (one, other)
}

/// A local connection by a name in the file system.
fn named() -> (UnixStream, UnixStream) {
    let path = std::env::temp_dir().join(format!("workload-socket-{}", sys::getpid()));
    let listener = UnixListener::bind(&path).expect("a name");
    let one = UnixStream::connect(&path).expect("connecting");
    let (other, _) = listener.accept().expect("accepting");
    std::fs::remove_file(&path).expect("removing the name");
    (one, other)
}
