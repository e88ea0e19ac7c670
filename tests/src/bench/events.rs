//! Loads made of one kind of event, in known numbers.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::ptr;

use io_uring::{IoUring, opcode, types};

const PAGE: usize = 4096;

/// Reads single pages past the cache from everywhere in a file, many at once.
pub struct Requests {
    file: File,
    ring: IoUring,
    room: Vec<Page>,
    pages: u64,
    next: u64,
}

/// Requests that are under way at once.
const AT_ONCE: u32 = 32;

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page([u8; PAGE]);

impl Requests {
    /// Reads from a file that is there.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
        let file = file.expect("the file, past the cache");
        let pages = file.metadata().expect("its length").len() / PAGE as u64;
        let ring = IoUring::new(AT_ONCE).expect("a ring of the kernel's");
        Self { file, ring, room: vec![Page([0; PAGE]); AT_ONCE as usize], pages, next: 0 }
    }

    /// Makes so many requests.
    pub fn make(&mut self, count: u32) {
        for _ in 0..count / AT_ONCE {
            for page in &mut self.room {
                // A step without a common factor with the length leads everywhere.
                self.next = (self.next + 7919) % self.pages;
                let file = types::Fd(self.file.as_raw_fd());
                let read = opcode::Read::new(file, page.0.as_mut_ptr(), PAGE as u32);
                let entry = read.offset(self.next * PAGE as u64).build();
                // SAFETY: room and file live until all have completed, below.
                unsafe { self.ring.submission().push(&entry) }.expect("room in the ring");
            }
            self.ring.submit_and_wait(AT_ONCE as usize).expect("to read");
            assert!(
                self.ring.completion().all(|one| i32::try_from(PAGE) == Ok(one.result())),
                "a short read"
            );
        }
    }
}

/// One end of a connection to ourselves sends, the other receives.
#[derive(Debug)]
pub struct SocketCalls {
    from: TcpStream,
    to: TcpStream,
}

impl SocketCalls {
    /// Connects.
    #[must_use]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let from = TcpStream::connect(listener.local_addr().expect("its address"));
        let (to, _) = listener.accept().expect("the connection");
        let from = from.expect("to connect");
        from.set_nodelay(true).expect("no delay");
        Self { from, to }
    }

    /// Makes so many calls, half of which send.
    pub fn make(&mut self, count: u32) {
        let mut room = [7; 1024];
        for _ in 0..count / 2 {
            self.from.write_all(&room).expect("to send");
            self.to.read_exact(&mut room).expect("to receive");
        }
    }
}

impl Default for SocketCalls {
    fn default() -> Self {
        Self::new()
    }
}

/// Touches so many new pages, one fault each, and gives them back.
pub fn make_faults(count: u32) {
    let length = count as usize * PAGE;
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, at a place of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), length, access, kind, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "mmap");
    // SAFETY: the mapping just made. Where it has no huge pages anyway it says so.
    let _ = unsafe { libc::madvise(start, length, libc::MADV_NOHUGEPAGE) };
    for at in (0..length).step_by(PAGE) {
        // SAFETY: inside the mapping.
        let place = unsafe { start.cast::<u8>().add(at) };
        // SAFETY: as above; it may be written to.
        unsafe { place.write_volatile(1) };
    }
    // SAFETY: a mapping that nobody uses any more.
    unsafe { libc::munmap(start, length) };
}
