//! What a disk can do to a history, done to it for real.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::tests::{LONG, job, settings, start, wait_until};
use super::*;

/// A file system in memory, gone with this. `None` where we may not mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        match mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                // Root in the virtual machines of the tests, and in most containers.
                let why = format!("SKIPPED: store::fault_tests: mounting needs root ({error})");
                // Past the test runner's capture, which hides what a passing test prints.
                writeln!(std::io::stderr(), "{why}").unwrap();
                None
            }
        }
    }

    fn set_read_only(&self, read_only: bool) {
        let flags = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
        mount_remount(self.0.path(), flags, c"").unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

fn lost(store: &Store, cause: Cause) -> u64 {
    store.lost().into_iter().find(|(it, _)| *it == cause).map_or(0, |(_, records)| records)
}

fn leases(store: &Store) -> Vec<u64> {
    let filter = JobFilter { limit: Some(10_000), ..JobFilter::default() };
    store.reader().unwrap().jobs(&filter).unwrap().iter().map(|job| job.lease).collect()
}

fn kept_aside(file: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(file.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect()
}

#[test]
fn a_full_disk_costs_history_and_the_history_says_how_much() {
    let Some(disk) = Disk::new("size=1m") else { return };
    let (store, _) = start(disk.0.path());
    store.job_ended(job(0));
    assert!(store.flush(LONG));
    // Everything that is free, and then more jobs than may wait.
    let ballast = disk.0.path().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let many = 20_000;
    for lease in 1..=many {
        store.job_ended(job(lease));
        if lease % 4_000 == 0 {
            assert!(!store.flush(LONG));
        }
    }
    assert!(store.trouble().is_some_and(|why| why.contains("full")), "{:?}", store.trouble());
    let gone = lost(&store, Cause::DiskFull);
    assert!(gone > 0 && gone < many, "{:?}", store.lost());
    // Space again: what waited is written, and the loss is told.
    fs::remove_file(&ballast).unwrap();
    mount_remount(disk.0.path(), MountFlags::empty(), c"size=64m").unwrap();
    wait_until(|| store.flush(LONG));
    assert_eq!(store.trouble(), None);
    let written = u64::try_from(leases(&store).len()).unwrap() - 1;
    assert_eq!(written + gone, many);
    let losses = store.reader().unwrap().losses().unwrap();
    assert_eq!((losses[0].cause.as_str(), losses[0].records), ("history_disk_full", gone));
}

#[test]
fn a_disk_that_is_full_from_the_start_stops_nothing() {
    let Some(disk) = Disk::new("size=16k") else { return };
    fs::write(disk.0.path().join("ballast"), [0; 12_000]).unwrap();
    let (store, recovered) = start(disk.0.path());
    assert_eq!(recovered, Recovered::default());
    store.job_ended(job(1));
    assert!(!store.flush(LONG));
    assert!(store.trouble().is_some());
    let shared = Arc::clone(&store.shared);
    drop(store);
    let lost: u64 = shared.losses.all().iter().map(|(_, records)| records).sum();
    assert_eq!(lost, 1, "{:?}", shared.losses.all());
}

#[test]
fn a_read_only_state_folder_stops_nothing_and_is_tried_again() {
    let Some(disk) = Disk::new("size=8m") else { return };
    disk.set_read_only(true);
    let (store, recovered) = start(disk.0.path());
    assert_eq!(recovered, Recovered::default());
    let why = store.trouble().unwrap();
    assert!(why.contains("Read-only file system"), "{why}");
    assert!(matches!(store.reader(), Err(QueryError::None(_))));
    store.job_ended(job(1));
    assert!(!store.flush(LONG));
    disk.set_read_only(false);
    wait_until(|| store.flush(LONG));
    assert_eq!((store.trouble(), leases(&store)), (None, vec![1]));
}

#[test]
fn a_file_that_is_no_database_is_kept_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path()).file;
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "not a database, but somebody's notes".repeat(100)).unwrap();
    let (store, _) = start(folder.path());
    assert_eq!((store.trouble(), lost(&store, Cause::Damaged)), (None, 1));
    store.job_ended(job(1));
    assert!(store.flush(LONG));
    assert_eq!(leases(&store), [1]);
    assert_eq!(store.reader().unwrap().losses().unwrap()[0].cause, "history_damaged");
    let aside = kept_aside(&file);
    assert_eq!(aside.len(), 1);
    assert!(fs::read_to_string(&aside[0]).unwrap().starts_with("not a database"));
}

/// Overwrites all of a file but its first page.
fn damage(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xAB; usize::try_from(length - 4096).unwrap()]).unwrap();
}

#[test]
fn bytes_overwritten_while_nobody_looked_are_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    for lease in 0..500 {
        store.job_ended(job(lease));
    }
    assert!(store.flush(LONG));
    let file = store.file().to_owned();
    drop(store);
    damage(&file);
    let (store, recovered) = start(folder.path());
    assert_eq!((store.trouble(), recovered), (None, Recovered::default()));
    store.job_ended(job(7));
    assert!(store.flush(LONG));
    assert_eq!((leases(&store), kept_aside(&file).len()), (vec![7], 1));
}

#[test]
fn bytes_overwritten_while_it_runs_cost_the_old_history_and_no_new_job() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = start(folder.path());
    for lease in 0..20_000 {
        store.job_ended(job(lease));
    }
    assert!(store.flush(LONG));
    // Into the file, so that what is overwritten counts.
    let connection = rusqlite::Connection::open(store.file()).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    damage(store.file());
    // What the writer still has in its cache may carry it a while; the statistics' pages it has not.
    for lease in 20_000..40_000 {
        store.job_ended(job(lease));
        store.learned(Learned {
            connector: format!("connector {lease}"),
            state: "{}".to_owned(),
            updated_unix_ms: 0,
        });
        if lease % 1_000 == 0 {
            let _ = store.flush(LONG);
        }
    }
    wait_until(|| store.flush(LONG));
    assert_eq!(lost(&store, Cause::Damaged), 1, "{:?}", store.lost());
    assert_eq!(kept_aside(store.file()).len(), 1);
    assert!(leases(&store).contains(&39_999));
}
