//! One call that moves payload, of each kind that the kernel has.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::RawFd;

use super::Calls;

/// The result of a system call on a socket.
pub(super) fn bytes(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

pub(super) fn raw_send(fd: RawFd, data: &[u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer lives past the call and its true length is given.
    bytes(unsafe { libc::send(fd, data.as_ptr().cast(), data.len(), flags | libc::MSG_NOSIGNAL) })
}

pub(super) fn raw_receive(fd: RawFd, data: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer lives past the call and its true length is given.
    bytes(unsafe { libc::recv(fd, data.as_mut_ptr().cast(), data.len(), flags) })
}

/// A message of the given parts and nothing besides.
pub(super) fn message<T>(parts: *mut T, count: usize) -> libc::msghdr {
    // SAFETY: all zero is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.cast();
    message.msg_iovlen = count;
    message
}

pub(super) fn send(fd: RawFd, calls: Calls, data: &[u8]) -> io::Result<usize> {
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

pub(super) fn receive(fd: RawFd, calls: Calls, data: &mut [u8]) -> io::Result<usize> {
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
