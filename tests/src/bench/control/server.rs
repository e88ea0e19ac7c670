//! A server with a capacity of its own: so many requests at a time, the others in a queue, and
//! slower for all when the queue is long.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of a request and of an answer.
const REQUEST: usize = 256;
const ANSWER: usize = 4096;

/// What a server bears.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Requests that it works on at a time.
    pub(super) places: u32,
    /// Requests in the house, queue included, from which on it becomes slower.
    pub(super) bears: u32,
    /// By what part of the time of a request, for each one beyond.
    pub(super) slower: f64,
    /// How long it works on a request.
    pub(super) service: Duration,
}

/// A running server. It ends with the process.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
}

#[derive(Debug)]
struct House {
    capacity: Capacity,
    inside: Mutex<Inside>,
    free: Condvar,
}

/// Who is there.
#[derive(Debug, Default)]
struct Inside {
    /// Requests, the queue included.
    all: u32,
    /// Those that are worked on.
    served: u32,
    /// The most of them at a time, ever.
    most_served: u32,
}

impl Server {
    /// Starts one on a port that the kernel picks.
    ///
    /// # Errors
    /// Where there is no loopback.
    pub(super) fn start(capacity: Capacity) -> std::io::Result<Self> {
        Self::of(Arc::new(House { capacity, inside: Mutex::default(), free: Condvar::new() }))
    }

    fn of(house: Arc<House>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let house = Arc::clone(&house);
                thread::spawn(move || house.answer(stream));
            }
        });
        Ok(Self { address })
    }

    /// A connection for one caller.
    ///
    /// # Panics
    /// If there is none: the server is in this very process.
    #[must_use]
    pub(super) fn caller(&self) -> Caller {
        let stream = TcpStream::connect(self.address).expect("a connection to our own server");
        stream.set_nodelay(true).expect("an option of every connection");
        Caller(stream)
    }
}

/// Somebody who calls, one request at a time.
#[derive(Debug)]
pub(super) struct Caller(TcpStream);

impl Caller {
    /// Sends a request, and waits for the answer.
    ///
    /// # Panics
    /// If the connection breaks.
    pub(super) fn call(&mut self) {
        self.0.write_all(&[1; REQUEST]).expect("the request goes out");
        self.0.read_exact(&mut [0; ANSWER]).expect("an answer");
    }
}

impl House {
    /// Answers one caller until it goes.
    fn answer(&self, mut stream: TcpStream) {
        let mut request = [0; REQUEST];
        // What it has not sent yet is not lost if this fails.
        let _ = stream.set_nodelay(true);
        while stream.read_exact(&mut request).is_ok() {
            self.serve();
            if stream.write_all(&[2; ANSWER]).is_err() {
                return;
            }
        }
    }

    fn serve(&self) {
        let mut inside = self.lock();
        inside.all += 1;
        while inside.served >= self.capacity.places {
            inside = self.free.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        inside.served += 1;
        inside.most_served = inside.most_served.max(inside.served);
        let time = self.capacity.time(inside.all);
        drop(inside);
        thread::sleep(time);
        let mut inside = self.lock();
        inside.served -= 1;
        inside.all -= 1;
        self.free.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capacity {
    /// How long a request takes while so many are in the house.
    fn time(self, inside: u32) -> Duration {
        let beyond = f64::from(inside.saturating_sub(self.bears));
        self.service.mul_f64(1.0 + self.slower * beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity =
        Capacity { places: 3, bears: 6, slower: 0.5, service: Duration::from_millis(4) };

    #[test]
    fn no_more_requests_are_served_at_a_time_than_there_are_places() {
        let (inside, free) = (Mutex::default(), Condvar::new());
        let house = Arc::new(House { capacity: CAPACITY, inside, free });
        let server = Server::of(Arc::clone(&house)).expect("a server");
        thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let mut caller = server.caller();
                    (0..5).for_each(|_| caller.call());
                });
            }
        });
        assert_eq!(house.lock().most_served, 3);
        assert_eq!(house.lock().all, 0, "all were answered");
    }

    #[test]
    fn a_long_queue_makes_the_server_slower() {
        let ms = Duration::from_millis;
        assert_eq!([1, 6, 7, 8].map(|inside| CAPACITY.time(inside)), [ms(4), ms(4), ms(6), ms(8)]);
    }
}
