//! A file synced in the background while it is written.
//!
//! Bytes must survive loss of power before a command reports success. One sync at the very end
//! would wait for the whole file; syncing as the file grows leaves only the last part to wait for.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Number of bytes between two background syncs.
const STEP: u64 = 64 << 20;

/// A file being written; shared between threads.
#[derive(Debug)]
pub struct WriteBehind {
    file: Arc<File>,
    written: AtomicU64,
    /// The background sync, if one runs. Its failure must be collected here, as the kernel reports
    /// a failure only once.
    syncing: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl WriteBehind {
    /// Wraps a file about to be written.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file: Arc::new(file), written: AtomicU64::new(0), syncing: Mutex::new(None) }
    }

    /// Returns the file. Report each write with [`Self::wrote`].
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Counts `len` bytes as written. Starts a background sync each time another 64 MiB are
    /// written, unless one still runs.
    ///
    /// # Errors
    /// Fails if an earlier background sync failed.
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

    /// Waits for the background sync, if one runs. Bytes written since its start may not be
    /// durable.
    ///
    /// # Errors
    /// Fails if that sync failed.
    pub fn settle(&self) -> io::Result<()> {
        join(self.syncing.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Makes all bytes durable: waits for the background sync, then syncs the rest.
    ///
    /// # Errors
    /// Fails if a sync failed.
    pub fn sync(&self) -> io::Result<()> {
        self.settle().and_then(|()| self.file.sync_all())
    }
}

fn join(sync: Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    let panicked = |_| io::Error::other("the thread that syncs it panicked");
    sync.map_or(Ok(()), |sync| sync.join().map_err(panicked)?)
}
