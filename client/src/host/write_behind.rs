//! A file whose bytes are on their way to the disk while more are written.
//!
//! What is written must survive loss of power before a command says so, and a sync at the very end
//! would wait for all of it. Here it waits for the last part only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::HostError;

/// Bytes written between two syncs in the background.
const STEP: u64 = 64 << 20;

/// A file being written; shared between threads.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    path: PathBuf,
    file: Arc<File>,
    written: AtomicU64,
    /// The sync under way. Its failure is kept: the kernel reports one only once.
    syncing: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl WriteBehind {
    pub(crate) fn new(path: &Path, file: File) -> Self {
        let (file, written) = (Arc::new(file), AtomicU64::new(0));
        Self { path: path.to_owned(), file, written, syncing: Mutex::new(None) }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn failed(&self, verb: &'static str) -> impl Fn(io::Error) -> HostError {
        move |source| HostError::new(verb, &self.path, source)
    }

    /// An error about this file that no system call gave.
    pub(crate) fn error(&self, verb: &'static str, why: &'static str) -> HostError {
        HostError::new(verb, &self.path, io::Error::other(why))
    }

    /// Writes at an offset.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), HostError> {
        self.file.write_all_at(bytes, offset).map_err(self.failed("write"))?;
        self.wrote(bytes.len())
    }

    /// Takes note that so many bytes were written; begins a sync when enough were.
    pub(crate) fn wrote(&self, len: usize) -> Result<(), HostError> {
        let before = self.written.fetch_add(len as u64, Ordering::Relaxed);
        if before / STEP == (before + len as u64) / STEP {
            return Ok(());
        }
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if syncing.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        join(syncing.take()).map_err(self.failed("sync"))?;
        let file = Arc::clone(&self.file);
        *syncing = Some(thread::spawn(move || file.sync_data()));
        Ok(())
    }

    /// Waits until everything survives loss of power.
    pub(crate) fn sync(&self) -> Result<(), HostError> {
        let syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner).take();
        join(syncing).and_then(|()| self.file.sync_all()).map_err(self.failed("sync"))
    }
}

fn join(sync: Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    let panicked = |_| io::Error::other("the thread that syncs it panicked");
    sync.map_or(Ok(()), |sync| sync.join().map_err(panicked)?)
}
