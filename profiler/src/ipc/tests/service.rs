//! A service as small as tests need it. It grants every slot, but lets jobs of the connector `queue`
//! wait until somebody releases a lease of the connector `slot`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use profiler_client::protocol::*;

use crate::ipc::{Answer, Call, Latest, Peer, Pending, Reply, Role, Service, Told};

/// What the service saw, for the tests to look at.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Counts>);

#[derive(Default)]
pub(super) struct Counts {
    pub(super) opened: AtomicUsize,
    pub(super) closed: AtomicUsize,
    pub(super) waiting: AtomicUsize,
    pub(super) calls: AtomicUsize,
    pub(super) uid: AtomicUsize,
    pub(super) pid: AtomicUsize,
    pub(super) resumed: AtomicUsize,
}

impl std::ops::Deref for Seen {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.0
    }
}

pub(super) struct Small {
    seen: Seen,
    next: Cell<u64>,
    queue: RefCell<Vec<Latest<Acquired>>>,
}

impl Small {
    pub(super) fn new(seen: Seen) -> Self {
        Self { seen, next: Cell::new(1), queue: RefCell::default() }
    }

    fn granted(&self, connector: &str) -> Acquired {
        let lease = LeaseId(self.next.replace(self.next.get() + 1));
        let hint = Advice {
            level: Level::Normal,
            threads: 4,
            chunk_bytes: 1 << 20,
            stream_above_bytes: 10 << 20,
            trim_memory: false,
        };
        let grant = Grant {
            lease,
            connector: connector.to_owned(),
            how: How::Granted,
            exceeds: Vec::new(),
            waited_ms: 0,
            memory_bytes: 256 << 20,
            hint,
        };
        Acquired { grant: Some(grant), waiting: None }
    }

    /// Tells all who wait their new place, and grants the first.
    fn advance(&self) {
        let mut queue = self.queue.borrow_mut();
        queue.retain(|place| !place.is_abandoned());
        if !queue.is_empty() {
            queue.remove(0).put(self.granted("queue"));
        }
        for (position, place) in (1..).zip(queue.iter()) {
            place.put(waiting(position));
        }
    }
}

fn waiting(position: u32) -> Acquired {
    let constraint = Constraint::Cap;
    let waiting = Waiting { position, constraint, waited_ms: 0, estimate_ms: None };
    Acquired { grant: None, waiting: Some(waiting) }
}

/// Somebody who waits for a slot, or watches.
pub(super) enum Waits {
    Slot(Latest<Acquired>, Seen),
    States(Latest<WatchState>),
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Self::Slot(_, seen) = self {
            seen.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Pending for Waits {
    fn poll(&mut self, context: &mut Context<'_>, reply: Reply<'_>) -> Poll<Told> {
        match self {
            Self::Slot(place, _) => place.poll_take(context).map(|acquired| {
                if acquired.grant.is_some() {
                    Told::Last(reply.send(&acquired))
                } else {
                    Told::More(reply.continues(&acquired))
                }
            }),
            Self::States(latest) => {
                latest.poll_take(context).map(|state| Told::More(reply.continues(&state)))
            }
        }
    }
}

impl Service for Small {
    type Session = Rc<()>;
    type Pending = Waits;

    fn open(&self, peer: Peer, _: Role) -> Result<Rc<()>, WorkerError> {
        self.seen.opened.fetch_add(1, Ordering::SeqCst);
        self.seen.uid.store(peer.uid.try_into().unwrap(), Ordering::SeqCst);
        self.seen.pid.store(peer.pid.try_into().unwrap(), Ordering::SeqCst);
        Ok(Rc::new(()))
    }

    fn call(&self, _: &mut Rc<()>, call: Call<'_>, reply: Reply<'_>) -> Answer<Waits> {
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        match call {
            Call::Worker(WorkerCall::Acquire(call)) if &*call.connector == "queue" => {
                let place = Latest::new();
                self.queue.borrow_mut().push(place.clone());
                let position = self.queue.borrow().len();
                place.put(waiting(position.try_into().unwrap()));
                self.seen.waiting.fetch_add(1, Ordering::SeqCst);
                Answer::Later(Waits::Slot(place, self.seen.clone()))
            }
            Call::Worker(WorkerCall::Acquire(call)) if &*call.connector == "refused" => {
                reply.error(&WorkerError::Draining {}).into()
            }
            Call::Worker(WorkerCall::Acquire(call)) => {
                let resumed = call.lease.map_or(0, |lease| lease.0);
                self.seen.resumed.store(resumed.try_into().unwrap(), Ordering::SeqCst);
                reply.send(&self.granted(&call.connector)).into()
            }
            Call::Worker(WorkerCall::Release(Release { lease: LeaseId(0), .. })) => {
                reply.error(&WorkerError::NoSuchLease { lease: LeaseId(0) }).into()
            }
            Call::Worker(WorkerCall::Release(_) | WorkerCall::Peek(_)) => {
                self.advance();
                reply.send(&Released { usage: Usage::default() }).into()
            }
            Call::Worker(WorkerCall::Watch(_)) => {
                let latest = Latest::new();
                tokio::task::spawn_local(change_often(latest.clone()));
                Answer::Later(Waits::States(latest))
            }
            _ => reply.send(&Nothing {}).into(),
        }
    }

    fn closed(&self, session: Rc<()>) {
        assert_eq!(Rc::strong_count(&session), 1);
        self.seen.closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// How many states a watcher could see.
pub(super) const STATES: u32 = 20_000;

/// Many states, each long, as fast as others let it.
async fn change_often(latest: Latest<WatchState>) {
    for limit in 1..=STATES {
        let state = ConnectorState {
            connector: "x".repeat(1000),
            level: Level::Normal,
            limit,
            in_use: 0,
            waiting: 0,
        };
        latest.put(WatchState { level: Level::Normal, connectors: vec![state] });
        tokio::task::yield_now().await;
    }
}
