//! Payload that goes from one socket to another: streams, datagrams, and by a ring.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::thread;

use io_uring::{IoUring, opcode, squeue, types};

use super::call::{receive, send};
use super::{Calls, Count, Length, Wait};

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

/// One thread sends, another receives.
pub(super) fn stream(
    from: OwnedFd,
    to: OwnedFd,
    calls: Calls,
    wait: Wait,
    length: &Length,
) -> Count {
    let Length { kib, piece: fixed } = *length;
    let length = kib * 1024;
    let sender = thread::spawn(move || {
        let (data, mut count, mut done) = (vec![1; fixed.max(100_000)], Count::default(), 0);
        let turn = Turn::new(from.as_raw_fd(), wait, libc::POLLOUT);
        while done < length {
            let piece = if fixed > 0 { fixed } else { 1 + done * 7 % data.len() };
            let piece = piece.min(length - done);
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
    let (mut data, mut count) = (vec![0; fixed.max(30_000)], Count::default());
    let turn = Turn::new(to.as_raw_fd(), wait, libc::POLLIN);
    loop {
        let piece = if fixed > 0 { fixed } else { 1 + count.rx_ops as usize * 997 % data.len() };
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
pub(super) fn datagrams(one: &OwnedFd, other: &OwnedFd, calls: Calls) -> Count {
    let (data, mut room, mut count) = (vec![1; 9000], vec![0; 10_000], Count::default());
    for length in (1..data.len()).step_by(37) {
        for (from, to) in [(one, other), (other, one)] {
            count.sent(send(from.as_raw_fd(), calls, &data[..length]).expect("sending"));
            count.got(receive(to.as_raw_fd(), calls, &mut room).expect("receiving"));
        }
    }
    count
}

/// Sends and receives by io_uring, in the caller or on workers of the kernel's.
pub(super) fn ring(from: RawFd, to: RawFd, workers: bool) -> io::Result<Count> {
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
