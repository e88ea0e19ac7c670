//! An agent of our own, apart from any other on the host, and connections to it that speak the
//! protocol by hand.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{binaries, sys};

/// How long anything may take on a busy machine, or on an emulated one.
fn patience() -> Duration {
    Duration::from_secs(crate::scale(20, 120).into())
}

/// A running agent. Ends, with everything that it left, when dropped.
#[derive(Debug)]
pub struct Agent {
    folder: tempfile::TempDir,
    pins: PathBuf,
    process: Option<Child>,
    arguments: Vec<String>,
    /// What it said until it listened.
    told: String,
}

impl Agent {
    /// Starts one and waits until it can be connected to.
    pub fn start(arguments: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        mount_bpffs();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("profiler-test-{}-{number}", std::process::id());
        let mut agent = Self {
            folder: tempfile::tempdir().expect("a folder"),
            pins: Path::new("/sys/fs/bpf").join(name),
            process: None,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            told: String::new(),
        };
        agent.start_again();
        agent
    }

    /// Starts it anew, after its end.
    pub fn start_again(&mut self) {
        let mut command = Command::new(binaries::profiler());
        let set = |key: &str, path: &Path| format!("{key}={:?}", path.display().to_string());
        command
            .arg("agent")
            .arg("--sockets")
            .arg(self.folder.path())
            .args(["--set", &set("pins_directory", &self.pins)])
            .args(["--set", &set("state_directory", &self.folder.path().join("state"))]);
        let mut process =
            command.args(&self.arguments).stderr(Stdio::piped()).spawn().expect("the agent starts");
        let err = process.stderr.take().expect("its standard error");
        let (told, listening) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                // Shows with the test's own output if that fails.
                eprintln!("agent: {line}");
                said = said + &line + "\n";
                if line.contains("Ctrl-C") {
                    // Nobody may wait any more.
                    let _ = told.send(std::mem::take(&mut said));
                }
            }
        });
        self.told = listening.recv_timeout(patience()).expect("the agent listens in time");
        self.process = Some(process);
    }

    /// Another setting, from its next start on.
    pub fn set(&mut self, setting: &str) {
        self.arguments.extend(["--set".to_owned(), setting.to_owned()]);
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("its end");
    }

    /// Asks it to end, and gives its exit status.
    pub fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().try_into().expect("a pid");
        sys::kill(pid, libc::SIGTERM).expect("it can be asked");
        process.wait().expect("its end").code()
    }

    /// What it said when it started last.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        let process = self.process.as_mut().expect("it was started");
        process.try_wait().expect("its state").is_none()
    }

    /// Where programs outlive it.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Where its sockets are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets every user of the host connect.
    pub fn open_to_all(&self) {
        for path in [self.folder.path().to_owned(), self.socket("worker"), self.socket("control")] {
            fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("its mode");
        }
    }

    /// A connection to one of its sockets.
    pub fn connect(&self, socket: &'static str) -> Connection {
        Connection::to(&self.socket(socket), socket)
    }

    /// A connection as a worker has it.
    pub fn worker(&self) -> Connection {
        self.connect("worker")
    }

    /// Prints what a reader of a failed test wants to know.
    fn tell_how_it_stands(&self) {
        for subject in ["status", "connectors", "slots"] {
            let asked = Command::new("timeout")
                .arg("10")
                .arg(binaries::profiler())
                .args([subject, "--socket"])
                .arg(self.socket("control"))
                .output();
            match asked {
                Ok(said) => eprintln!(
                    "{subject}:\n{}{}",
                    String::from_utf8_lossy(&said.stdout),
                    String::from_utf8_lossy(&said.stderr)
                ),
                Err(error) => eprintln!("{subject}: {error}"),
            }
        }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.sock"))
    }

    /// What a call on the control socket gives.
    pub fn ask(&self, method: &str, parameters: Value) -> Value {
        self.connect("control").call(method, parameters).expect("an answer")
    }

    /// Room for so many jobs whatever else the host does, and however little memory it has: a limit set
    /// by hand.
    pub fn allow(&self, connector: &str, limit: u32) {
        let small = json!({ "avg_memory_mb": 1.0 });
        self.ask("SetProfile", json!({ "connector": connector, "profile": small }));
        self.ask("SetLimit", json!({ "connector": connector, "limit": limit }));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if thread::panicking() && self.process.is_some() {
            self.tell_how_it_stands();
        }
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        let unpin = Command::new(binaries::profiler())
            .arg("unpin")
            .arg("--pins")
            .arg(&self.pins)
            .stdout(Stdio::null())
            .status();
        assert!(unpin.is_ok_and(|status| status.success()) || thread::panicking(), "it unpins");
    }
}

/// A connection that speaks the protocol by hand.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    interface: &'static str,
    rest: Vec<u8>,
}

impl Connection {
    /// A connection to a socket of this kind.
    pub fn to(path: &Path, socket: &'static str) -> Self {
        let stream = UnixStream::connect(path).expect("a connection");
        stream.set_read_timeout(Some(patience())).expect("a time limit");
        let interface = if socket == "worker" { "Worker" } else { "Control" };
        Self { stream, interface, rest: Vec::new() }
    }

    /// Sends a call.
    pub fn send(&mut self, method: &str, parameters: &Value, more: bool) {
        let method = format!("org.profiler.{}.{method}", self.interface);
        let call = json!({ "method": method, "parameters": parameters, "more": more });
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.stream.write_all(&bytes).expect("the call goes out");
    }

    /// The next reply: its parameters or, on an error, its name and data.
    pub fn receive(&mut self) -> Result<Value, (String, Value)> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == 0) {
                let message: Vec<u8> = self.rest.drain(..=end).collect();
                let mut reply: Value =
                    serde_json::from_slice(&message[..end]).expect("a reply is JSON");
                let parameters = reply["parameters"].take();
                return match reply["error"].as_str() {
                    Some(error) => Err((error.to_owned(), parameters)),
                    None => Ok(parameters),
                };
            }
            let mut piece = [0; 65_536];
            let got = match self.stream.read(&mut piece) {
                // Whoever is stopped and goes on is told so, where a time limit is set.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                got => got.expect("a reply in time"),
            };
            assert!(got > 0, "the agent closed the connection");
            self.rest.extend_from_slice(&piece[..got]);
        }
    }

    /// Calls and waits for the answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, (String, Value)> {
        self.send(method, &parameters, false);
        self.receive()
    }

    /// Takes a slot, and gives the lease.
    pub fn acquire(&mut self, parameters: Value) -> u64 {
        let acquired = self.call("Acquire", parameters).expect("a slot");
        acquired["grant"]["lease"].as_u64().expect("a lease")
    }

    /// Gives a slot back, and gives what the job used.
    pub fn release(&mut self, lease: u64) -> Value {
        self.call("Release", json!({ "lease": lease })).expect("it is ours")["usage"].take()
    }
}

/// A figure of a usage record.
pub fn figure(usage: &Value, name: &str) -> u64 {
    usage[name].as_u64().unwrap_or_else(|| panic!("{name} in {usage}"))
}

/// The short name of an error, without its interface.
pub fn short(error: &(String, Value)) -> &str {
    error.0.rsplit('.').next().unwrap_or_default()
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < patience(), "waited too long until {what}");
        thread::sleep(Duration::from_millis(1));
    }
    begin.elapsed()
}

fn mount_bpffs() {
    let mounts = fs::read_to_string("/proc/mounts").expect("the mounts");
    if !mounts.lines().any(|line| line.split(' ').nth(1) == Some("/sys/fs/bpf")) {
        let mount = ["-t", "bpf", "bpf", "/sys/fs/bpf"];
        let status = Command::new("mount").args(mount).status().expect("mount");
        assert!(status.success(), "bpffs can be mounted");
    }
}
