//! The `bpf(2)` commands that aya 0.14 does not offer: an iterator bound to given tasks, and how
//! often the kernel skipped a program. Layouts are those of the kernel's `uapi/linux/bpf.h`, which
//! never change; the kernel takes a shorter `union bpf_attr` as one that ends in zeros.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_info};

/// Which tasks an iterator visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// One thread.
    Thread(u32),
    /// All threads of a process.
    Process(u32),
}

/// `struct { __u32 tid; __u32 pid; __u32 pid_fd; } task` of `union bpf_iter_link_info`.
#[repr(C)]
#[derive(Default)]
struct IterLinkInfo {
    tid: u32,
    pid: u32,
    pid_fd: u32,
}

/// `link_create` of `union bpf_attr`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    iter_info: u64,
    iter_info_len: u32,
    padding: u32,
}

/// `iter_create` of `union bpf_attr`.
#[repr(C)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// `BPF_OBJ_*` of `union bpf_attr`.
#[repr(C)]
struct Object {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `info` of `union bpf_attr`.
#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

fn bpf<T>(command: bpf_cmd, attributes: &T) -> io::Result<i64> {
    // SAFETY: `attributes` is laid out as the command expects, and as large as we say.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn bpf_open<T>(command: bpf_cmd, attributes: &T) -> io::Result<OwnedFd> {
    let fd = i32::try_from(bpf(command, attributes)?).map_err(io::Error::other)?;
    // SAFETY: the kernel just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs an iterator program over the given tasks, to its end.
///
/// # Errors
/// `ESRCH` if there is no such task; otherwise what the kernel says. Binding an iterator to tasks
/// came with Linux 6.1.
pub(super) fn iterate(program: BorrowedFd<'_>, tasks: Tasks) -> io::Result<()> {
    let which = match tasks {
        Tasks::Thread(tid) => IterLinkInfo { tid, ..IterLinkInfo::default() },
        Tasks::Process(pid) => IterLinkInfo { pid, ..IterLinkInfo::default() },
    };
    let link = bpf_open(
        bpf_cmd::BPF_LINK_CREATE,
        &LinkCreate {
            prog_fd: program.as_raw_fd().cast_unsigned(),
            target_fd: 0,
            attach_type: bpf_attach_type::BPF_TRACE_ITER as u32,
            flags: 0,
            iter_info: std::ptr::from_ref(&which).expose_provenance() as u64,
            iter_info_len: size_of::<IterLinkInfo>() as u32,
            padding: 0,
        },
    )?;
    let link_fd = link.as_raw_fd().cast_unsigned();
    let mut file =
        File::from(bpf_open(bpf_cmd::BPF_ITER_CREATE, &IterCreate { link_fd, flags: 0 })?);
    // The program writes nothing; reading to the end is what makes it run.
    io::copy(&mut file, &mut io::sink()).map(drop)
}

/// How often the kernel skipped a program because it was running on that CPU already.
///
/// # Errors
/// What the kernel says.
pub fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    program_info(program).map(|info| info.recursion_misses)
}

/// What the kernel says of a program.
///
/// # Errors
/// What the kernel says.
pub(super) fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: integers only, for which zeros are a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    bpf(
        bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
        &GetInfo {
            bpf_fd: program.as_raw_fd().cast_unsigned(),
            info_len: size_of::<bpf_prog_info>() as u32,
            info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
        },
    )?;
    Ok(info)
}

/// Gives a map, a program or a link a name in bpffs, under which it outlives us.
///
/// # Errors
/// What the kernel says.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let bpf_fd = object.as_raw_fd().cast_unsigned();
    let pathname = path.as_ptr().expose_provenance() as u64;
    bpf(bpf_cmd::BPF_OBJ_PIN, &Object { pathname, bpf_fd, file_flags: 0 }).map(drop)
}

/// Opens what was pinned.
///
/// # Errors
/// What the kernel says.
pub(super) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let pathname = path.as_ptr().expose_provenance() as u64;
    bpf_open(bpf_cmd::BPF_OBJ_GET, &Object { pathname, bpf_fd: 0, file_flags: 0 })
}
