//! Other tools that answer a question of ours, run beside us where they are installed.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::bpf;

/// A tool that is attached as long as this lives.
#[derive(Debug)]
pub struct Peer(Child);

impl Peer {
    /// Starts a tool, and waits until it has loaded a program whose name begins with `program`.
    /// `None` if it is not installed or attaches nothing within 15 s.
    #[must_use]
    pub fn start(command: &[&str], program: &str) -> Option<Self> {
        let before = ids(program);
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline && child.try_wait().ok()?.is_none() {
            if ids(program).difference(&before).next().is_some() {
                // Loaded; give it the time to attach.
                thread::sleep(Duration::from_millis(500));
                return Some(Self(child));
            }
            thread::sleep(Duration::from_millis(50));
        }
        // Not to be had; that it is gone already is fine.
        let _ = child.kill();
        let _ = child.wait();
        None
    }
}

fn ids(program: &str) -> BTreeSet<u32> {
    let programs = bpf::programs().unwrap_or_default();
    programs.into_iter().filter(|(_, name)| name.starts_with(program)).map(|(id, _)| id).collect()
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
        // Its programs leave the kernel a little after the process does.
        thread::sleep(Duration::from_millis(300));
    }
}
