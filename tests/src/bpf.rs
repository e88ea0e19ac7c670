//! Which BPF programs the kernel holds, asked by the raw system call.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

const PROG_GET_NEXT_ID: i64 = 11;
const PROG_GET_FD_BY_ID: i64 = 13;
const OBJ_GET_INFO_BY_FD: i64 = 15;

/// Where `name` is in the kernel's `struct bpf_prog_info`, and how long.
const NAME: std::ops::Range<usize> = 64..80;

/// Programs by id, with their names (which the kernel cuts at 15 bytes).
pub fn programs() -> io::Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    let mut last = 0;
    loop {
        let mut ask = [last, 0, 0, 0];
        match bpf(PROG_GET_NEXT_ID, &mut ask) {
            Ok(_) => last = ask[1],
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(found),
            Err(error) => return Err(error),
        }
        // A program may go between the two calls.
        if let Ok(name) = name(last) {
            found.insert(last, name);
        }
    }
}

fn name(id: u32) -> io::Result<String> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut [id, 0, 0, 0])?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = [0_u8; 128];
    let address = info.as_mut_ptr() as u64;
    let (low, high) = (address & 0xffff_ffff, address >> 32);
    let part = |half: u64| u32::try_from(half).map_err(io::Error::other);
    let number = u32::try_from(fd.as_raw_fd()).map_err(io::Error::other)?;
    bpf(OBJ_GET_INFO_BY_FD, &mut [number, 128, part(low)?, part(high)?])?;
    let text: Vec<u8> = info[NAME].iter().copied().take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Each command used here takes four words, or an address in the last two (little endian).
fn bpf(command: i64, words: &mut [u32; 4]) -> io::Result<i64> {
    let size = size_of_val(words);
    // SAFETY: `words` lives past the call and its true size is given; the one command that writes
    // elsewhere is given the address and the size of a buffer of its caller.
    match unsafe { libc::syscall(libc::SYS_bpf, command, words.as_mut_ptr(), size) } {
        done if done >= 0 => Ok(done),
        _ => Err(io::Error::last_os_error()),
    }
}
