//! Two threads that wake each other through pipes on one CPU: nothing but switches.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::sys;

/// The pair of threads, alive and waiting between rounds.
#[derive(Debug)]
pub struct PingPong {
    start: [Sender<u32>; 2],
    done: Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
    /// Thread ids of the two.
    pub tids: [u32; 2],
}

impl PingPong {
    /// Starts both threads on the given CPU.
    #[must_use]
    pub fn new(cpu: usize) -> Self {
        let (tid_out, tids_in) = channel();
        let (done_out, done) = channel();
        let [(first_in, first_out), (second_in, second_out)] = [pipe().unwrap(), pipe().unwrap()];
        let (first, threads_first) = player(cpu, true, first_in, second_out, &tid_out, &done_out);
        let (second, threads_second) =
            player(cpu, false, second_in, first_out, &tid_out, &done_out);
        let tids = [tids_in.recv().unwrap(), tids_in.recv().unwrap()];
        Self { start: [first, second], done, threads: vec![threads_first, threads_second], tids }
    }

    /// Plays `turns` rounds of two switches each, and returns nanoseconds a switch.
    pub fn play(&self, turns: u32) -> f64 {
        for start in &self.start {
            start.send(turns).unwrap();
        }
        let elapsed = [self.done.recv().unwrap(), self.done.recv().unwrap()];
        elapsed.into_iter().max().unwrap_or(0) as f64 / (2.0 * f64::from(turns))
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        for start in &self.start {
            // Zero turns: leave.
            let _ = start.send(0);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn player(
    cpu: usize,
    begins: bool,
    mut from: PipeReader,
    mut to: PipeWriter,
    tid: &Sender<u32>,
    done: &Sender<u64>,
) -> (Sender<u32>, JoinHandle<()>) {
    let (start, starts) = channel();
    let (tid, done) = (tid.clone(), done.clone());
    let thread = std::thread::spawn(move || {
        sys::pin(cpu);
        tid.send(sys::gettid().cast_unsigned()).unwrap();
        while let Ok(turns @ 1..) = starts.recv() {
            let began = Instant::now();
            let mut byte = [0];
            for _ in 0..turns {
                if begins {
                    to.write_all(&byte).unwrap();
                    from.read_exact(&mut byte).unwrap();
                } else {
                    from.read_exact(&mut byte).unwrap();
                    to.write_all(&byte).unwrap();
                }
            }
            done.send(u64::try_from(began.elapsed().as_nanos()).unwrap()).unwrap();
        }
    });
    (start, thread)
}
