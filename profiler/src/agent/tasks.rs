//! Which threads and processes are a caller's: its numbers turned into the host's, and checked
//! against what the kernel shows.
//!
//! Nothing here is asked again for a thread that is known already.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::{Rc, Weak};

use rustix::event::{PollFd, PollFlags, poll};

/// Processes that are connected, by number: however often one connects, it takes one descriptor.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: HashMap<u32, Weak<OwnedFd>>,
    /// How many there may be before those that are gone are looked for.
    look_at: usize,
}

impl Processes {
    /// The process of this number that a connection came with, or the same one as it is known already.
    pub(super) fn shared(&mut self, pid: u32, process: OwnedFd) -> Rc<OwnedFd> {
        if pid == 0 {
            // Of another pid namespace, where each one has this number.
            return Rc::new(process);
        }
        // Two that live at the same time and have the same number are one.
        let known = self.known.get(&pid).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| is_alive(&process) && is_alive(known)) {
            return known;
        }
        if self.known.len() >= self.look_at {
            self.known.retain(|_, process| process.strong_count() > 0);
            self.look_at = 2 * self.known.len() + 64;
        }
        let process = Rc::new(process);
        self.known.insert(pid, Rc::downgrade(&process));
        process
    }
}

fn is_alive(process: &OwnedFd) -> bool {
    let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    poll(&mut ended, Some(&rustix::event::Timespec::default())) == Ok(0)
}

/// A process that connected.
#[derive(Debug)]
pub(super) struct Caller {
    /// Its user.
    pub(super) uid: u32,
    /// Its process id on the host; 0 if it has none here.
    pub(super) pid: u32,
    /// When that process started: with `pid` it names the process for ever.
    pub(super) start_ticks: u64,
    /// The process itself, where the kernel gives that.
    process: Option<Rc<OwnedFd>>,
    /// Whether it numbers threads as we do.
    shares_our_numbers: bool,
}

impl Caller {
    pub(super) fn new(uid: u32, pid: u32, process: Option<Rc<OwnedFd>>) -> Self {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = namespace("self");
        Self {
            uid,
            pid,
            start_ticks: start_ticks(pid).unwrap_or(0),
            process,
            shares_our_numbers: own.is_some() && namespace(&pid.to_string()) == own,
        }
    }

    /// Whether it numbers threads as we do.
    pub(super) const fn shares_our_numbers(&self) -> bool {
        self.shares_our_numbers
    }

    /// Whether the process that connected still lives: its number may have gone to another one.
    pub(super) fn is_alive(&self) -> bool {
        match &self.process {
            Some(process) => is_alive(process),
            None => start_ticks(self.pid) == Some(self.start_ticks),
        }
    }

    /// The host's number of one of the caller's threads; of its main thread for `None`.
    pub(super) fn thread(&self, tid: Option<u32>) -> Option<u32> {
        if self.pid == 0 || !self.is_alive() {
            return None;
        }
        let Some(tid) = tid else { return Some(self.pid) };
        let tasks = format!("/proc/{}/task", self.pid);
        if self.shares_our_numbers {
            return Path::new(&tasks).join(tid.to_string()).exists().then_some(tid);
        }
        fs::read_dir(tasks).ok()?.flatten().find_map(|entry| {
            let host = entry.file_name().to_str()?.parse().ok()?;
            (innermost_id(&entry.path())? == tid).then_some(host)
        })
    }

    /// The host's number of a process of the caller's user; of its own for `None`.
    pub(super) fn process(&self, pid: Option<u32>) -> Option<u32> {
        if self.pid == 0 || !self.is_alive() {
            return None;
        }
        let Some(pid) = pid else { return Some(self.pid) };
        if self.shares_our_numbers {
            return self.owns(pid).then_some(pid);
        }
        let own = namespace_depth(self.pid)?;
        fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let host: u32 = entry.file_name().to_str()?.parse().ok()?;
            let is_it = innermost_id(&entry.path()) == Some(pid)
                && namespace_depth(host) == Some(own)
                && same_namespace(host, self.pid)
                && self.owns(host);
            is_it.then_some(host)
        })
    }

    /// Whether all of the process's user ids are the caller's; root may name any.
    fn owns(&self, pid: u32) -> bool {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let is_process = field("Tgid:").and_then(|id| id.trim().parse().ok()) == Some(pid);
        let ids = field("Uid:").unwrap_or_default();
        let mut ids = ids.split_whitespace().map(|id| id.parse::<u32>().ok());
        is_process && (self.uid == 0 || ids.all(|id| id == Some(self.uid)))
    }
}

/// The last number of `NSpid`: the one that the task itself sees.
fn innermost_id(task: &Path) -> Option<u32> {
    ids_by_namespace(task)?.last().copied()
}

fn namespace_depth(pid: u32) -> Option<usize> {
    Some(ids_by_namespace(Path::new(&format!("/proc/{pid}")))?.len())
}

fn ids_by_namespace(task: &Path) -> Option<Vec<u32>> {
    let status = fs::read_to_string(task.join("status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().map(|id| id.parse().ok()).collect()
}

fn same_namespace(one: u32, other: u32) -> bool {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    namespace(one).is_some_and(|found| namespace(other) == Some(found))
}

/// When the process started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The fields after the name, which is in parentheses and may hold anything, begin with the 3rd.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ourselves() -> Caller {
        Caller::new(rustix::process::getuid().as_raw(), std::process::id(), None)
    }

    #[test]
    fn a_caller_has_its_own_threads_and_no_others() {
        let caller = ourselves();
        let own = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        assert_eq!(caller.thread(Some(own)), Some(own));
        assert_eq!(caller.thread(None), Some(caller.pid));
        assert_eq!(caller.thread(Some(1)), None, "the thread of another process");
        assert_eq!(caller.thread(Some(u32::MAX)), None, "no thread");
    }

    #[test]
    fn a_caller_that_is_not_root_has_no_process_of_another_user() {
        let caller = Caller { uid: 65_000, ..ourselves() };
        assert_eq!(caller.process(Some(1)), None);
        assert_eq!(caller.process(None), Some(std::process::id()), "its own");
    }

    #[test]
    fn a_process_whose_number_went_to_another_one_is_dead() {
        let caller = Caller { start_ticks: 1, ..ourselves() };
        assert!(!caller.is_alive());
        assert_eq!(caller.thread(None), None);
    }

    #[test]
    fn a_process_is_one_descriptor_while_it_lives_and_never_another_processes() {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};

        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let number = child.id();
        let pid = Pid::from_raw(number.cast_signed()).unwrap();
        let open = || pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let mut processes = Processes::default();
        let first = processes.shared(number, open());
        assert!(Rc::ptr_eq(&first, &processes.shared(number, open())));
        let late = open();
        child.kill().unwrap();
        child.wait().unwrap();
        let ended = processes.shared(number, late);
        assert!(!Rc::ptr_eq(&first, &ended), "its number may be somebody else's by now");
        let ourselves = || pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
        assert!(!Rc::ptr_eq(&ended, &processes.shared(number, ourselves())), "as now");
        let unnumbered = processes.shared(0, ourselves());
        assert!(!Rc::ptr_eq(&unnumbered, &processes.shared(0, ourselves())), "two may be two");
    }
}
