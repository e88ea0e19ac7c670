//! A thread of the test itself that works when it is told to, and is asleep otherwise, so that its
//! figures in `/proc` stand still whenever somebody looks.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::sys::{self, Pid};
use crate::truth::{self, Figures};

/// The thread.
#[derive(Debug)]
pub struct Hand {
    tid: Pid,
    orders: Option<Sender<Duration>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Hand {
    /// Starts it.
    pub fn hire() -> Self {
        let (orders, to_do) = channel::<Duration>();
        let (tell, done) = channel();
        let (tell_id, id) = channel();
        let thread = thread::spawn(move || {
            tell_id.send(sys::gettid()).expect("somebody listens");
            for order in to_do {
                let begin = Instant::now();
                while begin.elapsed() < order {}
                tell.send(()).expect("somebody listens");
            }
        });
        let tid = id.recv().expect("its id");
        Self { tid, orders: Some(orders), done, thread: Some(thread) }
    }

    /// Its thread id.
    pub fn tid(&self) -> u32 {
        u32::try_from(self.tid).expect("a thread id")
    }

    /// Has it work, and returns when it is asleep again.
    pub fn work(&self, ms: u64) {
        self.orders.as_ref().expect("hired").send(Duration::from_millis(ms)).expect("it listens");
        self.done.recv().expect("it answers");
        self.rest();
    }

    /// Waits until it is asleep.
    pub fn rest(&self) {
        while truth::state(self.tid) != Some('S') {
            thread::yield_now();
        }
        // It shows as asleep a moment before it leaves the CPU.
        truth::wait_asleep(self.tid);
    }

    /// What the kernel says of it.
    pub fn truth(&self) -> Figures {
        self.rest();
        Figures::read(sys::getpid(), self.tid)
    }

    /// What the kernel says of its time on CPU.
    pub fn cpu_ns(&self) -> u64 {
        self.truth().cpu_ns.expect("known")
    }

    /// Tells it to end, without waiting for that.
    pub fn dismiss(&mut self) {
        drop(self.orders.take());
    }

    /// Has it end.
    pub fn fire(&mut self) {
        self.dismiss();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("its end");
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.dismiss();
    }
}
