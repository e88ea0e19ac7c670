//! What each client holds, in memory that its process shares with whoever watches.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Clients that there is room for.
pub(super) const CLIENTS: usize = 200;

/// One client's part.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Place {
    /// The lease that it holds; 0 for none. Written last when it got one, first when it gives it back.
    lease: AtomicU64,
    connector: AtomicU64,
    /// When it asked.
    asked_ns: AtomicU64,
    /// When it was told that it has the slot.
    granted_ns: AtomicU64,
}

#[derive(Debug)]
#[repr(C)]
struct Sheet {
    /// Calls that were answered, connections that were cut and leases that were abandoned, in all.
    operations: AtomicU64,
    /// Not 0 once the clients are to end.
    is_over: AtomicU64,
    /// Leases that were held to the end and whose record was right.
    records: AtomicU64,
    places: [Place; CLIENTS],
}

/// A lease that a client holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) client: usize,
    pub(super) lease: u64,
    pub(super) connector: usize,
    pub(super) asked_ns: u64,
    pub(super) granted_ns: u64,
}

/// The board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Board(NonNull<Sheet>);

// SAFETY: there are only atomics behind the pointer, and the memory stays mapped.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    /// Makes an empty one in a new file.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_len(size_of::<Sheet>() as u64)?;
        Self::map(&file)
    }

    /// Opens one that another process made.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::map(&File::options().read(true).write(true).open(path)?)
    }

    fn map(file: &File) -> io::Result<Self> {
        let (length, rights) = (size_of::<Sheet>(), libc::PROT_READ | libc::PROT_WRITE);
        let fd = file.as_raw_fd();
        // SAFETY: a new mapping of a whole file, at a place of the kernel's choice.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, rights, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(Self).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    fn sheet(&self) -> &Sheet {
        // SAFETY: mapped for ever, as large as a sheet, and zeros are one.
        unsafe { self.0.as_ref() }
    }

    /// Counts operations.
    pub(super) fn count(&self, operations: u64) {
        self.sheet().operations.fetch_add(operations, Ordering::Relaxed);
    }

    /// How many there were.
    pub(super) fn operations(&self) -> u64 {
        self.sheet().operations.load(Ordering::Relaxed)
    }

    /// Counts a record that was right.
    pub(super) fn count_record(&self) {
        self.sheet().records.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    pub(super) fn records(&self) -> u64 {
        self.sheet().records.load(Ordering::Relaxed)
    }

    /// Tells the clients to end.
    pub(super) fn end(&self) {
        self.sheet().is_over.store(1, Ordering::SeqCst);
    }

    /// Whether the clients are to end.
    pub(super) fn is_over(&self) -> bool {
        self.sheet().is_over.load(Ordering::SeqCst) != 0
    }

    /// A client holds a lease from now on.
    pub(super) fn hold(&self, hold: Hold) {
        let place = &self.sheet().places[hold.client];
        place.connector.store(hold.connector as u64, Ordering::Relaxed);
        place.asked_ns.store(hold.asked_ns, Ordering::Relaxed);
        place.granted_ns.store(hold.granted_ns, Ordering::Relaxed);
        place.lease.store(hold.lease, Ordering::SeqCst);
    }

    /// A client holds nothing from now on.
    pub(super) fn let_go(&self, client: usize) {
        self.sheet().places[client].lease.store(0, Ordering::SeqCst);
    }

    /// What a client holds.
    pub(super) fn held_by(&self, client: usize) -> Option<Hold> {
        let place = &self.sheet().places[client];
        let lease = place.lease.load(Ordering::SeqCst);
        let hold = Hold {
            client,
            lease,
            connector: usize::try_from(place.connector.load(Ordering::SeqCst)).ok()?,
            asked_ns: place.asked_ns.load(Ordering::SeqCst),
            granted_ns: place.granted_ns.load(Ordering::SeqCst),
        };
        // Still the same: then the rest is of it, and at this moment it was held.
        (lease != 0 && place.lease.load(Ordering::SeqCst) == lease).then_some(hold)
    }
}
