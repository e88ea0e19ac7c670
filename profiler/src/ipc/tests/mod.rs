//! The server against real clients on real sockets, with a small service behind it.

mod asynchronous;
mod calls;
mod clients;
mod hostile;
mod service;
mod sockets;
mod waiting;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use serde_json::{Value, json};
use tokio::runtime::LocalRuntime;
use tokio::sync::oneshot;

use self::service::{Seen, Small};
use super::{Limits, Role, Server, bind};

/// Long enough for anything that happens at all, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent on a thread of its own, until dropped.
struct Agent {
    folder: PathBuf,
    seen: Seen,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Agent {
    fn start() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("profiler-ipc-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut agent = Self { folder, seen: Seen::default(), stop: None, thread: None };
        agent.run(limits);
        agent
    }

    fn run(&mut self, limits: Limits) {
        let (seen, path) = (self.seen.clone(), self.folder.clone());
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            LocalRuntime::new().unwrap().block_on(async move {
                let server = Server::new(Small::new(seen), limits);
                for (name, role) in [("worker", Role::Worker), ("control", Role::Control)] {
                    let listener = bind(&path.join(name), 0o666, None).unwrap();
                    tokio::task::spawn_local(server.clone().accept(listener, role));
                }
                ready.send(()).unwrap();
                let _ = stopped.await;
            });
        });
        is_ready.recv().unwrap();
        (self.stop, self.thread) = (Some(stop), Some(thread));
    }

    /// Ends, and leaves its sockets behind as if it had been killed.
    fn stop(&mut self) {
        let Some(stop) = self.stop.take() else { return };
        let _ = stop.send(());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the agent's thread panicked");
    }

    /// Another agent in its place.
    fn replace(&mut self) {
        self.stop();
        self.run(Limits::default());
    }

    fn connect(&self) -> Client {
        Client::at(self.folder.join("worker"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A client that sends whatever it is told to.
struct Client {
    stream: UnixStream,
    kept: Vec<u8>,
}

impl Client {
    fn at(path: PathBuf) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, kept: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn send_call(&mut self, call: &Value) {
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.send(&bytes);
    }

    /// The next reply; `None` at the end of the connection.
    fn reply(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.kept.iter().position(|&byte| byte == 0) {
                let message: Vec<u8> = self.kept.drain(..=end).collect();
                return Some(serde_json::from_slice(&message[..end]).unwrap());
            }
            let mut piece = [0; 65_536];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => self.kept.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.send_call(&json!({ "method": method, "parameters": parameters }));
        self.reply().expect("a reply")
    }

    fn acquire(&mut self, connector: &str) -> u64 {
        let reply = self.call("org.profiler.Worker.Acquire", &json!({ "connector": connector }));
        reply["parameters"]["grant"]["lease"].as_u64().unwrap_or_else(|| panic!("{reply}"))
    }

    /// Whether calls still work.
    fn assert_served(&mut self) {
        let lease = self.acquire("mail");
        let reply = self.call("org.profiler.Worker.Release", &json!({ "lease": lease }));
        assert_eq!(reply["parameters"]["usage"]["source"], "ebpf", "{reply}");
    }
}

fn error(reply: &Value) -> (&str, &Value) {
    (reply["error"].as_str().unwrap_or_else(|| panic!("no error: {reply}")), &reply["parameters"])
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
