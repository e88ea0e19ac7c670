//! Recording what the controller is told and gives, for `profiler replay`.
//!
//! Whoever tells it something hands over a copy; a thread of its own writes. Nobody waits for the
//! disk: where it is too slow, the recording ends there, what is missing is counted, and another one
//! begins with the whole of the core as it stands then. There are at most two files, each of at most
//! half the size that is allowed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::background;
use crate::control::{Begin, Core, Entry};

/// Entries that are handed over at once.
const BATCH: usize = 1_024;

/// Batches that may wait to be written.
const QUEUE: usize = 64;

/// Where to record, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) file: PathBuf,
    /// The most that both files take together.
    pub(super) max_bytes: u64,
}

/// A recording that goes on.
#[derive(Debug)]
pub(super) struct Recording {
    batch: Vec<Entry>,
    queue: Option<SyncSender<Vec<Entry>>>,
    /// Whether the next entry must be the whole core.
    begins: bool,
    /// Whether the file is full.
    is_full: Arc<AtomicBool>,
    /// Entries that are missing.
    missing: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Recording {
    /// Begins. An older recording is kept beside the new one.
    pub(super) fn start(settings: Settings) -> io::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE);
        let is_full = Arc::new(AtomicBool::new(false));
        let missing = Arc::new(AtomicU64::new(0));
        let (full, lost) = (Arc::clone(&is_full), Arc::clone(&missing));
        let writer = Writer { settings, is_full: full, missing: lost, file: None, written: 0 };
        let writer = background::spawn("decisions", move || writer.run(&batches))?;
        Ok(Self {
            batch: Vec::with_capacity(BATCH),
            queue: Some(queue),
            begins: true,
            is_full,
            missing,
            writer: Some(writer),
        })
    }

    /// Takes in what happened; before it happens if `core` has to be written whole.
    pub(super) fn prepare(&mut self, core: &Core) {
        if self.is_full.swap(false, Ordering::Relaxed) && !self.begins {
            self.batch.push(Entry::End(Box::new(core.clone())));
            self.begins = true;
        }
        if std::mem::take(&mut self.begins) {
            self.batch.push(Entry::Begin(Box::new(Begin {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                unix_ms: super::job::unix_ms(),
                core: core.clone(),
            })));
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.begins {
            // What came before it is missing.
            self.miss(1);
            return;
        }
        self.batch.push(entry);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    /// How many entries are missing.
    pub(super) fn missing(&self) -> u64 {
        self.missing.load(Ordering::Relaxed)
    }

    fn miss(&self, entries: u64) {
        self.missing.fetch_add(entries, Ordering::Relaxed);
    }

    /// Hands over what there is.
    pub(super) fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let entries = batch.len() as u64;
        let is_taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(batch).is_ok());
        if !is_taken {
            self.miss(entries);
            self.begins = true;
        }
    }

    /// Ends in good order.
    pub(super) fn end(&mut self, core: &Core) {
        if !self.begins {
            self.batch.push(Entry::End(Box::new(core.clone())));
        }
        self.hand_over();
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // It ends when all is written. An error is a panic, which told of itself.
            let _ = writer.join();
        }
    }
}

struct Writer {
    settings: Settings,
    is_full: Arc<AtomicBool>,
    missing: Arc<AtomicU64>,
    file: Option<BufWriter<File>>,
    written: u64,
}

impl Writer {
    fn run(mut self, batches: &Receiver<Vec<Entry>>) {
        let mut has_failed = false;
        for batch in batches {
            match self.write(&batch) {
                Ok(()) => has_failed = false,
                Err(error) => {
                    // What follows is of no use without what is missing now.
                    self.file = None;
                    self.missing.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    self.is_full.store(true, Ordering::Relaxed);
                    if !std::mem::replace(&mut has_failed, true) {
                        let file = self.settings.file.display();
                        tracing::warn!(%file, %error, "decisions are not recorded");
                    }
                }
            }
        }
    }

    fn write(&mut self, batch: &[Entry]) -> io::Result<()> {
        for entry in batch {
            if matches!(entry, Entry::Begin(_)) {
                self.begin()?;
            }
            let Some(file) = &mut self.file else {
                self.missing.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            if self.written + line.len() as u64 > self.settings.max_bytes / 2 {
                // The next one has not begun in time: this one stops here.
                file.flush()?;
                self.file = None;
                self.missing.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            file.write_all(&line)?;
            self.written += line.len() as u64;
        }
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        // Room is left for what comes before the next one begins, and for the whole core.
        if self.written >= self.settings.max_bytes / 8 * 3 {
            self.is_full.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A file that is full makes room for the next.
    fn begin(&mut self) -> io::Result<()> {
        if let Some(mut file) = self.file.take() {
            file.flush()?;
        }
        let path = &self.settings.file;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::rename(path, older(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It names nobody but shows what everybody's jobs did.
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create(true).truncate(true).open(path)?;
        self.file = Some(BufWriter::new(file));
        self.written = 0;
        Ok(())
    }
}

/// Where the recording before the last one is.
fn older(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::{Event, Outcome, Replay, Told};
    use crate::model::{LeaseId, Moment};

    fn pass(core: &mut Core, recording: &mut Recording, at: u64) {
        recording.prepare(core);
        let (at, event) = (Moment(at), Event::Pass);
        let gave = core.handle(at, event.clone()).map_err(|error| error.to_string());
        assert_eq!(gave, Ok(Outcome::Done));
        recording.push(Entry::Told(Told { at, event, gave }));
    }

    fn follow(path: &Path) -> Replay {
        let mut replay = Replay::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            replay.follow(line).unwrap();
        }
        replay
    }

    #[test]
    fn two_files_hold_the_latest_and_each_can_be_replayed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/decisions.jsonl");
        let settings = Settings { file: file.clone(), max_bytes: 100_000 };
        let mut recording = Recording::start(settings).unwrap();
        let mut core = Core::new(crate::control::Settings::default(), LeaseId(1));
        let mut at = 0;
        while !older(&file).exists() || at < 20_000 {
            pass(&mut core, &mut recording, at);
            at += 1;
            if at % 100 == 0 {
                recording.hand_over();
                // As an agent does between two looks.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        recording.end(&core);
        for path in [file.clone(), older(&file)] {
            assert!(follow(&path).told > 0, "{}", path.display());
            let size = fs::metadata(&path).unwrap().len();
            assert!(size <= 50_000, "{} has {size} bytes", path.display());
        }
    }

    #[test]
    fn what_could_not_be_taken_is_counted_and_another_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("decisions.jsonl");
        let settings = Settings { file: file.clone(), max_bytes: 1 << 30 };
        let mut recording = Recording::start(settings).unwrap();
        let mut core = Core::new(crate::control::Settings::default(), LeaseId(1));
        let mut at = 0;
        while recording.missing() == 0 {
            pass(&mut core, &mut recording, at);
            at += 1;
            assert!(at < 100_000_000, "the writer kept up with everything");
        }
        std::thread::sleep(Duration::from_millis(200));
        pass(&mut core, &mut recording, at);
        recording.end(&core);
        let replay = follow(&file);
        assert!(replay.is_complete);
        assert_eq!(replay.between, Some((Moment(at), Moment(at))), "only what came after");
    }
}
