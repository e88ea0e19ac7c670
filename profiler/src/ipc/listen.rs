//! Sockets that appear with the right owner and mode at once, and never take a living agent's place.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::UnixListener;

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("{path}: an agent is running already")]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// There is something else than a socket.
    #[error("{path} is there and is no socket")]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen at {path}: {reason}")]
    Refused {
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
}

/// Listens at `path`, with `mode`, and with `group` as the socket's group if given. What a dead agent
/// left there is replaced.
///
/// # Errors
/// See [`BindError`].
pub fn bind(path: &Path, mode: u32, group: Option<u32>) -> Result<UnixListener, BindError> {
    let refused = |reason| BindError::Refused { path: path.to_owned(), reason };
    match fs::symlink_metadata(path) {
        Ok(found) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            return Err(BindError::NoSocket { path: path.to_owned() });
        }
        Ok(_) if net::UnixStream::connect(path).is_ok() => {
            return Err(BindError::Taken { path: path.to_owned() });
        }
        _ => {}
    }
    // It gets its name only when it has its mode: nobody finds it open wider than it should be.
    let unnamed = path.with_extension(format!("{}.new", std::process::id()));
    let listener = ready(&unnamed, mode, group)
        .and_then(|listener| fs::rename(&unnamed, path).map(|()| listener));
    listener.map_err(|reason| {
        // It may not even be there.
        let _ = fs::remove_file(&unnamed);
        refused(reason)
    })
}

fn ready(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    let listener = net::UnixListener::bind(path)?;
    chown(path, None, group)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
