//! The host that a session runs on.

use rustix::system::uname;

use crate::model::{Conservation, Host};

/// Describes this host.
#[must_use]
pub fn this_host(conservation: Option<Conservation>) -> Host {
    let name = uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let memory = rustix::system::sysinfo();
    Host {
        hostname: text(name.nodename()),
        kernel: text(name.release()),
        architecture: text(name.machine()),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
        memory_bytes: memory.totalram.saturating_mul(u64::from(memory.mem_unit)),
        conservation,
    }
}
