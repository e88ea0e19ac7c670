//! What a service manager and we tell each other: systemd's protocols for readiness, for its
//! watchdog, and for sockets that it opened for us.
//!
//! Without a service manager everything here does nothing, and says that it gave no sockets.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::ipc::Role;

/// The name of the worker socket among those that the service manager gives.
pub const WORKER: &str = "worker";
/// The name of the control socket.
pub const CONTROL: &str = "control";

/// Descriptors that were given are taken by one call only: a second owner would close them under
/// the first.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Sockets that the service manager opened for us.
#[derive(Debug, Default)]
pub struct GivenSockets {
    /// For workers.
    pub worker: Option<UnixListener>,
    /// For operators.
    pub control: Option<UnixListener>,
    /// Why others that it gave are of no use; they were closed.
    pub refused: Vec<String>,
}

/// Takes the sockets that the service manager gave, by the names that `FileDescriptorName=` gives
/// them. Without a service manager, and at a second call, there are none.
///
/// # Errors
///
/// If what it says about them (`LISTEN_FDS`, `LISTEN_FDNAMES`) makes no sense.
pub fn given_sockets() -> io::Result<GivenSockets> {
    let mut given = GivenSockets::default();
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(given);
    }
    for (descriptor, name) in sd_notify::listen_fds_with_names()? {
        // SAFETY: the service manager opened it for us, and `TAKEN` sees to it that nobody else
        // makes an owner of it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        match (name.as_str(), listener(descriptor)) {
            (WORKER, Ok(listener)) if given.worker.is_none() => given.worker = Some(listener),
            (CONTROL, Ok(listener)) if given.control.is_none() => given.control = Some(listener),
            (WORKER | CONTROL, Ok(_)) => given.refused.push(format!("{name:?} was given twice")),
            (WORKER | CONTROL, Err(error)) => given.refused.push(format!("{name:?}: {error}")),
            _ => given.refused.push(format!(
                "{name:?}: no such name; FileDescriptorName= must be {WORKER} or {CONTROL}"
            )),
        }
    }
    Ok(given)
}

/// The socket that the service manager gave for one interface, if it did. What else it gave and
/// nobody can use is said in the log.
///
/// # Errors
///
/// As for [`given_sockets`].
pub(super) fn given_socket(role: Role) -> io::Result<Option<UnixListener>> {
    static GIVEN: Mutex<Option<GivenSockets>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    if given.is_none() {
        let sockets = given_sockets()?;
        for refused in &sockets.refused {
            tracing::warn!("a given socket is of no use: {refused}");
        }
        *given = Some(sockets);
    }
    Ok(given.as_mut().and_then(|given| match role {
        Role::Worker => given.worker.take(),
        Role::Control => given.control.take(),
    }))
}

/// A listening socket, if the descriptor is one of the right kind. It does not block.
fn listener(descriptor: OwnedFd) -> io::Result<UnixListener> {
    if option(descriptor.as_raw_fd(), libc::SO_DOMAIN)? != libc::AF_UNIX
        || option(descriptor.as_raw_fd(), libc::SO_TYPE)? != libc::SOCK_STREAM
        || option(descriptor.as_raw_fd(), libc::SO_ACCEPTCONN)? == 0
    {
        let what = "not a listening Unix stream socket; ListenStream= with a path makes one";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let listener = UnixListener::from(descriptor);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket option that is a number.
fn option(socket: RawFd, option: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut length: libc::socklen_t = 4;
    // SAFETY: both point to variables of the right type that outlive the call, and the length is
    // that of the first.
    let status = unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut length)
    };
    if status == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Tells the service manager that we serve, and what we are doing.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// Tells it that the configuration is read again; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells it that we end, and what we are waiting for.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))]);
}

/// What `systemctl status` shows of us.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(&one_line(status))]);
}

/// Tells it that we are alive. Call it from what must not hang, every [`watchdog_interval`].
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Asks for more time to end in than was agreed: until so long from now.
pub fn extend_timeout(by: Duration) {
    let us = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(us)]);
}

/// How often to say [`alive`]: twice in the time after which the service manager would end us.
/// `None` if it does not watch.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        // It may be restarting itself; what we do does not depend on it.
        tracing::debug!("cannot tell the service manager: {error}");
    }
}

/// Each line of a message means something to the service manager.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Runs `child` below in a process of its own, as a service manager would: with these sockets as
    /// descriptors 3 and 4, and what is said about them in its environment.
    fn serve(folder: &Path, sockets: [OwnedFd; 2], names: &str) -> Child {
        let script = "exec 3<&0 4>&1 0</dev/null 1>&2; LISTEN_PID=$$ exec \"$@\"";
        let [first, second] = sockets;
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "agent::service_manager::tests::child", "--ignored"])
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", names)
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env("WATCHDOG_USEC", "2000000")
            .stdin(Stdio::from(first))
            .stdout(Stdio::from(second))
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The service: says on each socket which one it is, and tells its state.
    #[test]
    #[ignore = "it is the child of the tests below"]
    fn child() {
        // Run by itself it has no service manager, and no sockets.
        let given = given_sockets().unwrap();
        for refused in &given.refused {
            status(refused);
        }
        let again = given_sockets().unwrap();
        assert!(again.worker.is_none() && again.control.is_none());
        let interval = watchdog_interval().map_or(0, |interval| interval.as_millis());
        ready(&format!("watched every\n{interval} ms"));
        for (name, socket) in [(WORKER, given.worker), (CONTROL, given.control)] {
            let Some(socket) = socket else { continue };
            socket.set_nonblocking(false).unwrap();
            let (mut client, _) = socket.accept().unwrap();
            client.write_all(name.as_bytes()).unwrap();
        }
        alive();
        reloading();
        extend_timeout(Duration::from_secs(1));
        stopping("done");
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn notify_socket(folder: &Path) -> UnixDatagram {
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket
    }

    #[test]
    fn sockets_come_by_name_and_each_state_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let notify = notify_socket(folder.path());
        let listen = |name: &str| UnixListener::bind(folder.path().join(name)).unwrap();
        // In another order than the names' own.
        let sockets = [listen("control").into(), listen("worker").into()];
        let mut child = serve(folder.path(), sockets, "control:worker");
        assert_eq!(receive(&notify), "READY=1\nSTATUS=watched every 1000 ms\n");
        for name in [WORKER, CONTROL] {
            let mut said = String::new();
            let mut stream = UnixStream::connect(folder.path().join(name)).unwrap();
            stream.read_to_string(&mut said).unwrap();
            assert_eq!(said, name);
        }
        assert_eq!(receive(&notify), "WATCHDOG=1\n");
        let reloading = receive(&notify);
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(receive(&notify), "EXTEND_TIMEOUT_USEC=1000000\n");
        assert_eq!(receive(&notify), "STOPPING=1\nSTATUS=done\n");
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn what_is_no_listening_socket_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let notify = notify_socket(folder.path());
        let datagram = UnixDatagram::bind(folder.path().join("datagram")).unwrap();
        let listener = UnixListener::bind(folder.path().join("other")).unwrap();
        let mut child = serve(folder.path(), [datagram.into(), listener.into()], "worker:web");
        let refused = receive(&notify);
        assert!(refused.starts_with("STATUS=\"worker\": not a listening"), "{refused}");
        let refused = receive(&notify);
        assert!(refused.starts_with("STATUS=\"web\": no such name"), "{refused}");
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        // The tests have none: it would have said so to the process, not to its threads.
        assert_eq!(std::env::var_os("LISTEN_PID"), None);
        ready("alone");
        alive();
        assert_eq!(watchdog_interval(), None);
    }
}
