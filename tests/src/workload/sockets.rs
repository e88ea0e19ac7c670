//! `sockets --what SUBJECT`: programs that talk over sockets of one machine, and count each call
//! that moved data and each byte of payload by themselves.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;

use io_uring::{IoUring, opcode, squeue, types};

use super::args::Args;
use super::{last_words, note};
use crate::counted;
use crate::sys::{self, Fork};
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
    match args.text("what").expect("--what") {
        "tcp" => {
            let (a, b) = tcp(family);
            stream(a, b, calls, wait, args.get("kib", 2048)).say(&report, false);
        }
        "unix" => {
            let (a, b) = UnixStream::pair().expect("a pair");
            stream(a.into(), b.into(), calls, wait, args.get("kib", 2048)).say(&report, true);
        }
        "unix-named" => {
            let (a, b) = named();
            stream(a.into(), b.into(), calls, wait, args.get("kib", 2048)).say(&report, true);
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

/// The result of a system call on a socket.
fn bytes(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn raw_send(fd: RawFd, data: &[u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer lives past the call and its true length is given.
    bytes(unsafe { libc::send(fd, data.as_ptr().cast(), data.len(), flags | libc::MSG_NOSIGNAL) })
}

fn raw_receive(fd: RawFd, data: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer lives past the call and its true length is given.
    bytes(unsafe { libc::recv(fd, data.as_mut_ptr().cast(), data.len(), flags) })
}

/// A message of the given parts and nothing besides.
fn message<T>(parts: *mut T, count: usize) -> libc::msghdr {
    // SAFETY: all zero is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.cast();
    message.msg_iovlen = count;
    message
}

fn send(fd: RawFd, calls: Calls, data: &[u8]) -> io::Result<usize> {
    let (head, rest) = data.split_at(data.len() / 5);
    let (middle, tail) = rest.split_at(rest.len() / 3);
    let mut parts = [IoSlice::new(head), IoSlice::new(middle), IoSlice::new(tail)];
    match calls {
        Calls::Send => raw_send(fd, data, 0),
        // SAFETY: as for `send`.
        Calls::File => bytes(unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) }),
        // SAFETY: `IoSlice` is laid out as `iovec`, and there are three.
        Calls::Vector => bytes(unsafe { libc::writev(fd, parts.as_ptr().cast(), 3) }),
        Calls::Message => {
            let message = message(parts.as_mut_ptr(), parts.len());
            // SAFETY: the message and its parts live past the call.
            bytes(unsafe { libc::sendmsg(fd, &raw const message, libc::MSG_NOSIGNAL) })
        }
    }
}

fn receive(fd: RawFd, calls: Calls, data: &mut [u8]) -> io::Result<usize> {
    if calls == Calls::Send {
        return raw_receive(fd, data, 0);
    }
    if calls == Calls::File {
        // SAFETY: the buffer lives past the call and its true length is given.
        return bytes(unsafe { libc::read(fd, data.as_mut_ptr().cast(), data.len()) });
    }
    let (head, rest) = data.split_at_mut(data.len() / 7);
    let (middle, tail) = rest.split_at_mut(rest.len() / 2);
    let mut parts = [IoSliceMut::new(head), IoSliceMut::new(middle), IoSliceMut::new(tail)];
    if calls == Calls::Vector {
        // SAFETY: `IoSliceMut` is laid out as `iovec`, and there are three.
        return bytes(unsafe { libc::readv(fd, parts.as_mut_ptr().cast(), 3) });
    }
    let mut message = message(parts.as_mut_ptr(), parts.len());
    // SAFETY: the message and its parts live past the call.
    bytes(unsafe { libc::recvmsg(fd, &raw mut message, 0) })
}

/// Waits until the socket is ready.
struct Turn {
    wait: Wait,
    fd: RawFd,
    epoll: Option<OwnedFd>,
    events: i16,
}

impl Turn {
    fn new(fd: RawFd, wait: Wait, events: i16) -> Self {
        let mut turn = Self { wait, fd, epoll: None, events };
        if wait == Wait::Block {
            return turn;
        }
        // SAFETY: a plain number.
        let done = unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
        assert_eq!(done, 0, "O_NONBLOCK: {}", io::Error::last_os_error());
        if wait == Wait::Epoll {
            // SAFETY: takes a plain number.
            let epoll = unsafe { libc::epoll_create1(0) };
            // The values of EPOLLIN and POLLIN are the same, and so are those for output.
            let events = u32::try_from(events).expect("flags");
            let mut event = libc::epoll_event { events, u64: 0 };
            // SAFETY: the event lives past the call.
            let done = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
            assert_eq!(done, 0, "epoll: {}", io::Error::last_os_error());
            // SAFETY: the kernel just made this descriptor for us.
            turn.epoll = Some(unsafe { OwnedFd::from_raw_fd(epoll) });
        }
        turn
    }

    fn take(&self) {
        if let Some(epoll) = &self.epoll {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: there is room for one event.
            unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut event, 1, -1) };
        } else if self.wait == Wait::Poll {
            let mut poll = libc::pollfd { fd: self.fd, events: self.events, revents: 0 };
            // SAFETY: there is one descriptor to poll.
            unsafe { libc::poll(&raw mut poll, 1, -1) };
        }
    }
}

/// One thread sends, another receives, in pieces of many lengths.
fn stream(from: OwnedFd, to: OwnedFd, calls: Calls, wait: Wait, kib: usize) -> Count {
    let length = kib * 1024;
    let sender = thread::spawn(move || {
        let (data, mut count, mut done) = (vec![1; 100_000], Count::default(), 0);
        let turn = Turn::new(from.as_raw_fd(), wait, libc::POLLOUT);
        while done < length {
            let piece = (1 + done * 7 % data.len()).min(length - done);
            match send(from.as_raw_fd(), calls, &data[..piece]) {
                Ok(sent) => {
                    count.sent(sent);
                    done += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => turn.take(),
                Err(error) => panic!("sending: {error}"),
            }
        }
        count
    });
    let (mut data, mut count) = (vec![0; 30_000], Count::default());
    let turn = Turn::new(to.as_raw_fd(), wait, libc::POLLIN);
    loop {
        let piece = 1 + count.rx_ops as usize * 997 % data.len();
        match receive(to.as_raw_fd(), calls, &mut data[..piece]) {
            // The end of the stream, which is no data.
            Ok(0) => break,
            Ok(got) => count.got(got),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => turn.take(),
            Err(error) => panic!("receiving: {error}"),
        }
    }
    sender.join().expect("the sender").and(count)
}

/// One datagram after the other, there and back, so that none is dropped.
fn datagrams(one: &OwnedFd, other: &OwnedFd, calls: Calls) -> Count {
    let (data, mut room, mut count) = (vec![1; 9000], vec![0; 10_000], Count::default());
    for length in (1..data.len()).step_by(37) {
        for (from, to) in [(one, other), (other, one)] {
            count.sent(send(from.as_raw_fd(), calls, &data[..length]).expect("sending"));
            count.got(receive(to.as_raw_fd(), calls, &mut room).expect("receiving"));
        }
    }
    count
}

/// Looks at what is there before it takes it.
fn peek(report: &Report, family: u32) {
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
fn errors(report: &Report, family: u32) {
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
        super::sleep_us(2000);
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
    super::sleep_us(5000);
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
fn empty(report: &Report, family: u32) {
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
fn send_file(report: &Report, family: u32, chunk: usize) {
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
struct Passing([u8; 24]);

/// Opens a connection, hands one end to another process, and receives what that one sends.
fn passed(report: &Report, family: u32) {
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
fn reused(report: &Report, family: u32) {
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

fn give_descriptor(to: RawFd, given: RawFd) {
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

fn take_descriptor(from: RawFd) -> OwnedFd {
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

/// Sends and receives by io_uring, in the caller or on workers of the kernel's.
fn ring(from: RawFd, to: RawFd, workers: bool) -> io::Result<Count> {
    let mut ring = IoUring::new(8)?;
    let (data, mut room, mut count) = (vec![1; 20_000], vec![0; 7000], Count::default());
    let flags = if workers { squeue::Flags::ASYNC } else { squeue::Flags::empty() };
    let mut one = |entry: squeue::Entry| -> io::Result<usize> {
        // SAFETY: the buffers live until the completion below.
        unsafe { ring.submission().push(&entry.flags(flags)) }.expect("room in the ring");
        ring.submit_and_wait(1)?;
        let done = ring.completion().next().expect("a completion").result();
        usize::try_from(done).map_err(|_| io::Error::from_raw_os_error(-done))
    };
    for length in (1..data.len()).step_by(201) {
        let length = u32::try_from(length).expect("a short message");
        let mut left = one(opcode::Send::new(types::Fd(from), data.as_ptr(), length).build())?;
        count.sent(left);
        while left > 0 {
            let size = u32::try_from(room.len()).expect("a small room");
            let got = one(opcode::Recv::new(types::Fd(to), room.as_mut_ptr(), size).build())?;
            count.got(got);
            left -= got;
        }
    }
    Ok(count)
}
