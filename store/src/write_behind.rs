//! A file whose bytes are on their way to the disk while more are written.
//!
//! What is written must survive loss of power before a command says so, and a sync at the very end
//! would wait for all of it. Here it waits for the last part only.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Bytes written between two syncs in the background.
const STEP: u64 = 64 << 20;

/// A file being written; shared between threads.
#[derive(Debug)]
pub struct WriteBehind {
    file: Arc<File>,
    written: AtomicU64,
    /// The sync under way. Its failure is kept: the kernel reports one only once.
    syncing: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl WriteBehind {
    /// Takes a file that is about to be written.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file: Arc::new(file), written: AtomicU64::new(0), syncing: Mutex::new(None) }
    }

    /// The file; who writes to it says so ([`Self::wrote`]).
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes note that so many bytes were written; begins a sync when enough were.
    ///
    /// # Errors
    /// When an earlier sync failed.
    pub fn wrote(&self, len: usize) -> io::Result<()> {
        let before = self.written.fetch_add(len as u64, Ordering::Relaxed);
        if before / STEP == (before + len as u64) / STEP {
            return Ok(());
        }
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if syncing.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        join(syncing.take())?;
        let file = Arc::clone(&self.file);
        *syncing = Some(thread::spawn(move || file.sync_data()));
        Ok(())
    }

    /// Waits for the sync under way, if there is one; what was written since may not be durable.
    ///
    /// # Errors
    /// When it failed.
    pub fn settle(&self) -> io::Result<()> {
        join(self.syncing.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Waits until everything survives loss of power.
    ///
    /// # Errors
    /// When a sync failed.
    pub fn sync(&self) -> io::Result<()> {
        self.settle().and_then(|()| self.file.sync_all())
    }
}

fn join(sync: Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    let panicked = |_| io::Error::other("the thread that syncs it panicked");
    sync.map_or(Ok(()), |sync| sync.join().map_err(panicked)?)
}
