//! Running the product as a user would, and collecting everything that came of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::quota::Group;
use crate::record::Session;
use crate::sys::{self, Pid};
use crate::truth::{Line, Report, What};
use crate::{binaries, in_small_vm};

/// A use of the profiler, being put together.
#[derive(Debug)]
pub struct Run {
    folder: TempDir,
    verb: String,
    options: Vec<String>,
    json: PathBuf,
    command: Vec<String>,
    traced: bool,
    stdin: Vec<u8>,
    limit: Duration,
    user: Option<u32>,
}

/// A use of the profiler that goes on.
#[derive(Debug)]
pub struct Running {
    folder: TempDir,
    json: PathBuf,
    child: Child,
    traced: bool,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    lines: mpsc::Receiver<String>,
    deadline: Instant,
}

/// What came of a use of the profiler.
#[derive(Debug)]
pub struct Finished {
    /// How the profiler ended.
    pub status: ExitStatus,
    /// What came out of standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// What came out of standard error.
    pub stderr: String,
    /// The JSON, if it was written.
    pub session: Option<Session>,
    /// What the workload says of itself.
    pub report: Vec<Line>,
    /// What the tracer around everything says, for [`Run::traced`].
    pub truth: Vec<Line>,
    /// The folder of this run; gone with this value.
    pub folder: TempDir,
}

impl Run {
    /// `profiler VERB ...` with nothing after it yet.
    pub fn verb(verb: &str) -> Self {
        let folder = TempDir::with_prefix("profiler-test-").expect("a folder");
        let json = folder.path().join("usage.json");
        let limit = Duration::from_secs(if in_small_vm() { 300 } else { 60 });
        let (options, command, stdin) = (Vec::new(), Vec::new(), Vec::new());
        let (traced, user, verb) = (false, None, verb.into());
        Self { folder, verb, options, json, command, traced, stdin, limit, user }
    }

    /// `profiler run -- WORDS...`.
    pub fn command(words: &[&str]) -> Self {
        let mut run = Self::verb("run");
        run.command = words.iter().map(|word| (*word).to_owned()).collect();
        run
    }

    /// `profiler run -- workload WORDS... --report FILE`.
    pub fn workload(words: &[&str]) -> Self {
        let program = binaries::workload().display().to_string();
        let mut run = Self::command(&[&[program.as_str()], words].concat());
        let report = run.path("report").display().to_string();
        run.command.extend(["--report".to_owned(), report]);
        run
    }

    /// Lets the command go into a control group before it begins.
    #[must_use]
    pub fn within(mut self, group: &Group) -> Self {
        self.command = group.command(&self.command);
        self
    }

    /// Puts the whole under a tracer, which knows the final figures of every thread.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Adds options of the profiler.
    #[must_use]
    pub fn options(mut self, words: &[&str]) -> Self {
        self.options.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Writes the JSON elsewhere than into the run's folder.
    #[must_use]
    pub fn json(mut self, path: impl Into<PathBuf>) -> Self {
        self.json = path.into();
        self
    }

    /// Gives the command something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs it as another user, on copies of the programs that this user can reach.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        let own = binaries::workload().display().to_string();
        for (from, name) in [(binaries::profiler(), "profiler"), (binaries::workload(), "workload")]
        {
            fs::copy(from, self.path(name)).expect("a copy of a program");
        }
        chown(self.folder.path(), Some(uid), Some(uid)).expect("giving the folder away");
        let copy = self.path("workload").display().to_string();
        for word in self.command.iter_mut().filter(|word| **word == own) {
            word.clone_from(&copy);
        }
        self.user = Some(uid);
        self
    }

    /// A path in the run's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let profiler = self.user.map_or_else(binaries::profiler, |_| self.path("profiler"));
        let mut command = Command::new(&profiler);
        if self.traced {
            // The tracer stays root, or it could not look at what has died.
            let uid = self.user.unwrap_or_default().to_string();
            command = Command::new(binaries::workload());
            command.args(["trace", "--uid", &uid, "--report"]).arg(self.path("truth"));
            command.arg("--").arg(&profiler);
        } else if let Some(uid) = self.user {
            command.uid(uid).gid(uid);
        }
        command.arg(&self.verb).arg("--json").arg(&self.json).args(&self.options);
        if self.verb == "run" {
            command.arg("--").args(&self.command);
        }
        let mut child = sys::with_default_signals(&mut command)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("its input");
        let bytes = self.stdin;
        thread::spawn(move || stdin.write_all(&bytes));
        let (tell, lines) = mpsc::channel();
        let stdout = collect(child.stdout.take().expect("its output"), tell.clone());
        let stderr = collect(child.stderr.take().expect("its errors"), tell);
        let deadline = Instant::now() + self.limit;
        let (folder, json, traced) = (self.folder, self.json, self.traced);
        Running { folder, json, child, traced, stdout, stderr, lines, deadline }
    }

    /// Starts it and waits for its end.
    pub fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// Reads everything, telling each line (that is text) as it comes.
fn collect(from: impl Read + Send + 'static, tell: mpsc::Sender<String>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut from, mut all) = (BufReader::new(from), Vec::new());
        loop {
            let before = all.len();
            match from.read_until(b'\n', &mut all) {
                Ok(read) if read > 0 => {
                    tell.send(String::from_utf8_lossy(&all[before..]).trim_end().to_owned()).ok();
                }
                _ => return all,
            }
        }
    })
}

impl Running {
    /// The profiler's process id.
    pub fn pid(&self) -> Pid {
        if self.traced {
            let path = self.folder.path().join("truth");
            loop {
                let lines = Report::read(&path);
                if let Some(root) = lines.iter().find(|line| line.what == What::Root) {
                    return root.pid;
                }
                self.check_time("the tracer to begin");
                thread::sleep(Duration::from_millis(2));
            }
        }
        Pid::try_from(self.child.id()).expect("a pid")
    }

    /// Waits for a line of output that holds this text, and gives the line.
    pub fn wait_for(&self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => self.check_time(text),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("the profiler ended without a line with {text:?}")
                }
            }
        }
    }

    /// Sends a signal to the profiler and to nobody else.
    pub fn signal(&self, signal: i32) {
        sys::kill(self.pid(), signal).expect("the profiler is there");
    }

    /// A path in the run's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn check_time(&self, what: &str) {
        if Instant::now() > self.deadline {
            let group = Pid::try_from(self.child.id()).expect("a pid");
            sys::kill(-group, libc::SIGKILL).ok();
            panic!("waited too long for {what}");
        }
    }

    /// Waits for the end of the profiler and of everything that holds its output.
    pub fn finish(mut self) -> Finished {
        let status = loop {
            match self.child.try_wait().expect("waiting for the profiler") {
                Some(status) => break status,
                None => self.check_time("the profiler to end"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let stdout = self.stdout.join().expect("the output's reader");
        let stderr = self.stderr.join().expect("the errors' reader");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        // Only a regular file: reading a device back may never end.
        let written = fs::metadata(&self.json).is_ok_and(|data| data.is_file());
        let session = written.then(|| Session::read(&self.json)).flatten();
        let report = Report::read(&self.folder.path().join("report"));
        let truth = Report::read(&self.folder.path().join("truth"));
        Finished { status, stdout, stderr, session, report, truth, folder: self.folder }
    }
}

impl Finished {
    /// The exit status as a shell shows it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// The JSON; fails the test where there is none.
    pub fn session(&self) -> &Session {
        self.session.as_ref().unwrap_or_else(|| panic!("no JSON was written. {self}"))
    }

    /// Fails the test unless the exit status is 0.
    pub fn assert_success(&self) {
        assert_eq!(self.code(), 0, "expected exit status 0. {self}");
    }

    /// A path in the run's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(to, "The profiler ended with {}.", self.status)?;
        writeln!(to, "stdout: {}", String::from_utf8_lossy(&self.stdout))?;
        writeln!(to, "stderr: {}", self.stderr)
    }
}
