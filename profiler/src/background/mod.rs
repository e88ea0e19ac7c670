//! Threads that nobody waits for: they write what others hand over, and leave the CPU to whoever
//! answers a worker.

use std::io;
use std::thread::{Builder, JoinHandle};

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// About a tenth of what a thread of the usual niceness gets where both want a CPU.
const NICENESS: i32 = 10;

/// Starts one.
///
/// # Errors
/// Where no thread can be had.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(|| {
        // It works as well without, if that may not be: a limit of the process forbids no niceness.
        let _ = setpriority_process(Some(gettid()), NICENESS);
        run();
    })
}
