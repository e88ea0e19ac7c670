//! What signals ask of an agent: to read its configuration again, or to end, and how it ends then.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Shared;
use super::service_manager;

/// The signals that concern an agent.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Reads the configuration again whenever asked to, and returns when told to end.
    pub(super) async fn until_told_to_end(&mut self, shared: &Rc<Shared>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    service_manager::reloading();
                    // What is wrong with it was said in the log.
                    let _ = shared.state.borrow_mut().reload(&shared.about.layers);
                    service_manager::ready("serving");
                }
            }
        }
    }
}

/// Lets no new job in, and waits for those that run, for as long as is configured or until told to
/// end once more.
pub(super) async fn drain(shared: &Rc<Shared>, signals: &mut Signals) {
    let (running, patience) = {
        let mut state = shared.state.borrow_mut();
        let running = state.drain(None, true).unwrap_or(0);
        (running, state.config.shutdown.drain_timeout)
    };
    service_manager::stopping("waiting for jobs to end");
    if running == 0 || shared.state.borrow().config.shutdown.keep_counting {
        return;
    }
    service_manager::extend_timeout(patience + Duration::from_secs(5));
    tracing::info!(running, ?patience, "waiting for jobs to end; a second signal ends it at once");
    let all_ended = async {
        while !shared.state.borrow().jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = all_ended => {}
        () = tokio::time::sleep(patience) => {
            let left = shared.state.borrow().jobs.len();
            tracing::warn!(left, "ending without waiting longer");
        }
        _ = signals.terminate.recv() => {}
        _ = signals.interrupt.recv() => {}
    }
}
