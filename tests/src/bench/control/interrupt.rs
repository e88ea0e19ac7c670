//! Ctrl-C: everything ends in its order, so that nothing is left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// How often a pause looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Somebody wants it to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupted;

extern "C" fn note(_: libc::c_int) {
    ASKED_TO_END.store(true, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM are noted, and nothing else.
pub(super) fn watch() {
    let handler = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler stores to an atomic, which may be done at any time.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Whether somebody wants it to end.
#[must_use]
pub(super) fn is_asked() -> bool {
    ASKED_TO_END.load(Ordering::Relaxed)
}

/// Waits until a moment.
///
/// # Errors
/// If it is to end before.
pub(super) fn wait_until(moment: Instant) -> Result<(), Interrupted> {
    loop {
        if is_asked() {
            return Err(Interrupted);
        }
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}
