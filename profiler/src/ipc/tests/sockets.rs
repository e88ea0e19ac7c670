//! Sockets in the file system.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::super::BindError;
use super::*;

fn in_runtime<T>(work: impl FnOnce() -> T) -> T {
    LocalRuntime::new().unwrap().block_on(async { work() })
}

fn folder(name: &str) -> PathBuf {
    let folder = env::temp_dir().join(format!("profiler-ipc-{}-{name}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_socket_has_the_mode_and_group_that_it_should() {
    let folder = folder("mode");
    let path = folder.join("worker.sock");
    let group = rustix::process::geteuid().is_root().then_some(1);
    let _listener = in_runtime(|| bind(&path, 0o660, group)).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o777, 0o660);
    assert!(group.is_none_or(|group| found.gid() == group));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "something is left over");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_dead_agent_left_is_replaced_and_a_living_one_is_not() {
    let folder = folder("stale");
    let path = folder.join("worker.sock");
    in_runtime(|| {
        let first = bind(&path, 0o600, None).unwrap();
        assert!(matches!(bind(&path, 0o600, None), Err(BindError::Taken { .. })));
        drop(first);
        assert!(path.exists());
        bind(&path, 0o600, None).unwrap();
    });
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = folder("file");
    let path = folder.join("worker.sock");
    fs::write(&path, "mine").unwrap();
    let found = in_runtime(|| bind(&path, 0o600, None)).unwrap_err();
    assert!(matches!(found, BindError::NoSocket { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    let nowhere = in_runtime(|| bind(&folder.join("no/such.sock"), 0o600, None)).unwrap_err();
    assert!(nowhere.to_string().contains("no/such.sock: No such file"), "{nowhere}");
    fs::remove_dir_all(folder).unwrap();
}
