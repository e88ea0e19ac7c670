//! What is easily counted wrongly: looking without taking, errors, nothing, files, and descriptors that
//! are handed over or used again.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread;

use super::call::{bytes, message, raw_receive, raw_send};
use super::{Count, here, tcp, udp};
use crate::sys::{self, Fork};
use crate::truth::Report;
use crate::workload::note;

/// Looks at what is there before it takes it.
pub(super) fn peek(report: &Report, family: u32) {
    let (a, b) = tcp(family);
    let (c, d) = udp(family);
    let (e, f) = UnixStream::pair().expect("a pair");
    let pairs: [(OwnedFd, OwnedFd, bool); 3] =
        [(a, b, false), (c.into(), d.into(), false), (e.into(), f.into(), true)];
    for (from, to, local) in pairs {
        let (mut room, mut count) = ([0; 200], Count::default());
        count.sent(raw_send(from.as_raw_fd(), &[5; 123], 0).expect("sending"));
        for _ in 0..5 {
            let seen = raw_receive(to.as_raw_fd(), &mut room, libc::MSG_PEEK).expect("peeking");
            assert_eq!(seen, 123, "peeked");
        }
        count.got(raw_receive(to.as_raw_fd(), &mut room, 0).expect("receiving"));
        count.say(report, local);
    }
}

/// Calls that fail, beside one that does not.
pub(super) fn errors(report: &Report, family: u32) {
    let (mut room, mut count) = ([0; 2000], Count::default());
    let (a, b) = tcp(family);
    for _ in 0..10 {
        let nothing = raw_receive(b.as_raw_fd(), &mut room, libc::MSG_DONTWAIT);
        assert_eq!(nothing.expect_err("nothing is there").raw_os_error(), Some(libc::EAGAIN));
    }
    drop(b);
    // Whether the other end is known to be gone yet or not, only what was taken counts.
    for _ in 0..3 {
        if let Ok(sent) = raw_send(a.as_raw_fd(), &[1; 10], 0) {
            count.sent(sent);
        }
        crate::workload::sleep_us(2000);
    }
    let gone = raw_send(a.as_raw_fd(), &[1; 10], 0).expect_err("nobody is there");
    assert!([Some(libc::EPIPE), Some(libc::ECONNRESET)].contains(&gone.raw_os_error()), "{gone}");

    let (one, other) = udp(family);
    let fd = one.as_raw_fd();
    let too_long = raw_send(fd, &[0; 70_000], 0).expect_err("too long for a datagram");
    assert_eq!(too_long.raw_os_error(), Some(libc::EMSGSIZE));
    let (level, option) = match family {
        6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        _ => (libc::IPPROTO_IP, libc::IP_RECVERR),
    };
    let on = 1_i32;
    // SAFETY: the option's value lives past the call and its true size is given.
    let done = unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), 4) };
    assert_eq!(done, 0, "setsockopt: {}", io::Error::last_os_error());
    drop(other);
    count.sent(raw_send(fd, &[2; 77], 0).expect("a datagram to nobody"));
    crate::workload::sleep_us(5000);
    let refused = raw_receive(fd, &mut room, 0).expect_err("nobody is there");
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    // The kernel gives the datagram back on the queue of errors, which is no payload received.
    let mut part = [IoSliceMut::new(&mut room)];
    let mut back = message(part.as_mut_ptr(), 1);
    // SAFETY: the message and its part live past the call.
    let back = bytes(unsafe { libc::recvmsg(fd, &raw mut back, libc::MSG_ERRQUEUE) });
    assert_eq!(back.expect("the datagram that came back"), 77);

    let port = TcpListener::bind(here(family)).expect("a port").local_addr().expect("its address");
    let refused = TcpStream::connect(port).expect_err("nobody listens there");
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    count.say(report, false);
}

/// Datagrams without payload, one with, and the end of a stream.
pub(super) fn empty(report: &Report, family: u32) {
    let (mut room, mut count) = ([0; 100], Count::default());
    let (one, other) = udp(family);
    for length in [0, 0, 55, 0] {
        count.sent(raw_send(one.as_raw_fd(), &[1; 55][..length], 0).expect("sending"));
        count.got(raw_receive(other.as_raw_fd(), &mut room, 0).expect("receiving"));
    }
    assert_eq!((count.tx_ops, count.rx_ops), (1, 1), "only one has payload");
    let (a, b) = tcp(family);
    drop(a);
    count.got(raw_receive(b.as_raw_fd(), &mut room, 0).expect("the end of the stream"));
    count.say(report, false);
}

/// A file to a connection, without a copy through the program.
pub(super) fn send_file(report: &Report, family: u32, chunk: usize) {
    let path = std::env::temp_dir().join(format!("workload-sendfile-{}", sys::getpid()));
    let length = 1 << 20;
    std::fs::write(&path, vec![3; length]).expect("a file");
    let file = File::open(&path).expect("the file");
    std::fs::remove_file(&path).expect("removing");
    let (a, b) = tcp(family);
    let sender = thread::spawn(move || {
        let mut count = Count::default();
        while count.tx_bytes < length as u64 {
            let (to, from) = (a.as_raw_fd(), file.as_raw_fd());
            // SAFETY: plain numbers; without a place, the file's own is used.
            let sent = unsafe { libc::sendfile(to, from, std::ptr::null_mut(), chunk) };
            count.sent(bytes(sent).expect("sending"));
        }
        count
    });
    let (mut room, mut count) = (vec![0; 65_536], Count::default());
    while count.rx_bytes < length as u64 {
        count.got(raw_receive(b.as_raw_fd(), &mut room, 0).expect("receiving"));
    }
    sender.join().expect("the sender").and(count).say(report, false);
}

/// Room for one descriptor in a message, aligned as the kernel wants it.
#[repr(C, align(8))]
pub(super) struct Passing([u8; 24]);

/// Opens a connection, hands one end to another process, and receives what that one sends.
pub(super) fn passed(report: &Report, family: u32) {
    let (give, take) = UnixStream::pair().expect("a pair");
    let (a, b) = tcp(family);
    let child = match sys::fork() {
        Fork::Child => {
            drop((a, b, give));
            let a = take_descriptor(take.as_raw_fd());
            let mut count = Count::default();
            for length in 1..=100 {
                count.sent(raw_send(a.as_raw_fd(), &[4; 100][..length], 0).expect("sending"));
            }
            count.say(report, false);
            Count { rx_bytes: 1, ..Count::default() }.say(report, true);
            sys::exit_group(0);
        }
        Fork::Parent(pid) => pid,
    };
    drop(take);
    give_descriptor(give.as_raw_fd(), a.as_raw_fd());
    drop(a);
    let (mut room, mut count) = ([0; 64], Count::default());
    loop {
        match raw_receive(b.as_raw_fd(), &mut room, 0).expect("receiving") {
            0 => break,
            got => count.got(got),
        }
    }
    count.say(report, false);
    Count { tx_bytes: 1, ..Count::default() }.say(report, true);
    sys::wait(child, 0).expect("the child");
}

/// Two processes, one after the other and with the same id, send over a connection of their parent.
pub(super) fn reused(report: &Report, family: u32) {
    let (a, b) = tcp(family);
    let send_up_to = |most: usize| -> ! {
        let mut count = Count::default();
        for length in 1..=most {
            count.sent(raw_send(a.as_raw_fd(), &[6; 100][..length], 0).expect("sending"));
        }
        count.say(report, false);
        sys::exit_group(0);
    };
    let Fork::Parent(first) = sys::fork() else { send_up_to(100) };
    sys::wait(first, 0).expect("the first");
    match sys::fork_as(first) {
        Ok(Fork::Child) => send_up_to(50),
        Ok(Fork::Parent(second)) => drop(sys::wait(second, 0).expect("the second")),
        Err(error) => note(report, &format!("cannot choose a process id: {error}")),
    }
    drop(a);
    let (mut room, mut count) = ([0; 64], Count::default());
    while let got @ 1.. = raw_receive(b.as_raw_fd(), &mut room, 0).expect("receiving") {
        count.got(got);
    }
    count.say(report, false);
    // So that a kernel's figures of local sockets are compared with something.
    Count::default().say(report, true);
}

pub(super) fn give_descriptor(to: RawFd, given: RawFd) {
    let mut room = Passing([0; 24]);
    let word = size_of::<usize>();
    room.0[..word].copy_from_slice(&20_usize.to_ne_bytes());
    room.0[8..12].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    room.0[12..16].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
    room.0[16..20].copy_from_slice(&given.to_ne_bytes());
    let mut part = [IoSlice::new(b"!")];
    let mut message = message(part.as_mut_ptr(), 1);
    (message.msg_control, message.msg_controllen) = (room.0.as_mut_ptr().cast(), 24);
    // SAFETY: the message and what it points at live past the call.
    let sent = bytes(unsafe { libc::sendmsg(to, &raw const message, 0) });
    assert_eq!(sent.expect("passing a descriptor"), 1);
}

pub(super) fn take_descriptor(from: RawFd) -> OwnedFd {
    let (mut room, mut byte) = (Passing([0; 24]), [0]);
    let mut part = [IoSliceMut::new(&mut byte)];
    let mut message = message(part.as_mut_ptr(), 1);
    (message.msg_control, message.msg_controllen) = (room.0.as_mut_ptr().cast(), 24);
    // SAFETY: the message and what it points at live past the call.
    let got = bytes(unsafe { libc::recvmsg(from, &raw mut message, 0) });
    assert_eq!(got.expect("a descriptor"), 1);
    let fd = RawFd::from_ne_bytes(room.0[16..20].try_into().expect("four bytes"));
    // SAFETY: the kernel just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
