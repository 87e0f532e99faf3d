//! A bounded cache on a local disk, before a store that is far away.
//!
//! Not a store: any entry may vanish at any time, and nothing relies on one. Checks, repairs and
//! collections read past the cache, because they are about the bytes at rest.
//!
//! # Invariants
//!
//! 1. An entry is a segment of a pack, or an object that is named by its hash. The name of an entry
//!    is the digest and the number of the segment.
//! 2. An entry gets its name only when complete, and bears a checksum over its name and bytes. An
//!    entry that does not match is removed and fetched anew. The checksum guards against damage of
//!    the disk; readers prove chunks as if they came from the store.
//! 3. All entries, those in progress included, take at most the given number of bytes. No entry is
//!    written while those of an earlier process are counted.
//! 4. One process at a time uses a folder. Another one works without a cache until then.
//! 5. A failing or full disk never fails a read.
//!
//! # At the same time
//!
//! | running ↓ / starting → | read | forget |
//! |---|---|---|
//! | read of a segment | joins: the segment is fetched once | the bytes in flight are not kept |
//! | write of an entry | joins: the bytes are in memory | the entry is removed after the write |
//! | eviction | an open file stays readable; later reads miss | free |
//!
//! # After a crash
//!
//! Staged files, whose names end in `.part`, are removed when the folder is counted. Entries that
//! lost their bytes with the power fail their checksum.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use seawall_api::digest::PackDigest;
use tokio::sync::Semaphore;

mod entries;
mod files;
mod flights;
mod segments;
mod tally;
#[cfg(test)]
mod tests;

use crate::error::StoreError;
use crate::port::{ObjectName, OpenObject};
use entries::{Entries, Key};
use files::Folder;
use flights::Flights;
pub use tally::CacheTally;
use tally::Counts;

/// The pause between attempts to lock a folder that another process uses.
const LOCK_PAUSE: Duration = Duration::from_secs(5);
/// The time without writes after a write failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(60);
/// The number of reads whose bytes may wait to be written. The bytes of more reads are not kept, so
/// that a slow disk slows no read and takes no memory.
const WRITES_MAX: usize = 16;

/// The place and the size of a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheAt {
    /// The folder, made if need be.
    pub dir: PathBuf,
    /// The maximum size of all entries, in bytes.
    pub space_max: u64,
}

/// A cache of what was read from a store.
#[derive(Debug)]
pub struct ReadCache {
    at: CacheAt,
    /// Set once this process has the lock.
    folder: OnceLock<Arc<Folder>>,
    /// The time of the last attempt to lock the folder.
    tried: Mutex<Option<Instant>>,
    /// True once the entries of earlier processes are known.
    is_counted: AtomicBool,
    entries: Mutex<Entries>,
    flights: Arc<Flights>,
    /// The end of the pause after a failed write.
    paused_until: Mutex<Option<Instant>>,
    /// The number of times that something was forgotten.
    forgotten: AtomicU64,
    writes: Arc<Semaphore>,
    counts: Counts,
}

impl ReadCache {
    /// Makes a cache. Its folder is used from the first read on, if no other process uses it.
    ///
    /// # Errors
    /// Fails if the folder cannot be made or written.
    pub fn open(at: CacheAt) -> Result<Arc<Self>, StoreError> {
        files::make(&at.dir).map_err(|source| StoreError::io("use", &at.dir, source))?;
        let cache = Arc::new(Self {
            at,
            folder: OnceLock::new(),
            tried: Mutex::default(),
            is_counted: AtomicBool::new(false),
            entries: Mutex::default(),
            flights: Arc::default(),
            paused_until: Mutex::default(),
            forgotten: AtomicU64::new(0),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            counts: Counts::default(),
        });
        // An error shows now, and not at the first read.
        cache.try_lock().map_err(|source| StoreError::io("lock", &cache.at.dir, source))?;
        Ok(cache)
    }

    /// Returns the folder of the cache.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.at.dir
    }

    /// Returns what the cache did since the start.
    #[must_use]
    pub fn tally(&self) -> CacheTally {
        let (entries, space) = {
            let entries = self.entries();
            (entries.count(), entries.space())
        };
        self.counts.tally(entries, space, self.at.space_max)
    }

    /// Returns an opened pack whose reads go through the cache.
    #[must_use]
    pub fn over(
        self: &Arc<Self>,
        pack: PackDigest,
        object: Arc<dyn OpenObject>,
    ) -> Arc<dyn OpenObject> {
        Arc::new(Cached { cache: Arc::clone(self), pack, object })
    }

    /// Removes what is kept of a pack, because its bytes were found wrong or were replaced.
    pub fn forget(&self, pack: PackDigest) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        for key in segments::keys_of(pack) {
            self.flights.forget(key);
            self.drop_entry(key);
        }
    }

    /// Returns the proven bytes of an object that is named by its hash, if they are kept.
    pub async fn object(self: &Arc<Self>, name: &ObjectName) -> Option<Bytes> {
        let key = Key::whole(name)?;
        let bytes = self.from_disk(vec![key]).await.pop().flatten();
        let bytes = bytes.filter(|bytes| {
            // The checksum of the entry matched: another version of Seawall may have written it.
            let is_sound = name.is_of(bytes);
            if !is_sound {
                self.damaged(key);
            }
            is_sound
        });
        self.counts.looked_up(bytes.as_ref().map(|bytes| bytes.len() as u64));
        bytes
    }

    /// Keeps the proven bytes of an object that is named by its hash.
    pub async fn keep_object(self: &Arc<Self>, name: &ObjectName, bytes: Bytes) {
        self.counts.fetched(bytes.len() as u64);
        if let Some(key) = Key::whole(name)
            && let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned()
        {
            let (cache, at) = (Arc::clone(self), self.forgotten.load(Ordering::SeqCst));
            let write = move || {
                cache.write(key, &bytes, at);
                drop(permit);
            };
            // A failure of the task is a defect that costs an entry.
            let _ = tokio::task::spawn_blocking(write).await;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the folder if this process has it.
    fn folder(self: &Arc<Self>) -> Option<&Arc<Folder>> {
        if self.folder.get().is_none() {
            // The folder was usable at the start. What fails now is tried again.
            let _ = self.try_lock();
        }
        self.folder.get()
    }

    /// Locks the folder unless another process has it, and counts its entries on a thread.
    fn try_lock(self: &Arc<Self>) -> std::io::Result<()> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = tried.is_none();
        if self.folder.get().is_some() || tried.is_some_and(|at| at.elapsed() < LOCK_PAUSE) {
            return Ok(());
        }
        *tried = Some(Instant::now());
        let Some(folder) = Folder::lock(&self.at.dir)? else {
            if is_first {
                let dir = self.at.dir.display();
                tracing::warn!(%dir, "another process uses the cache: reads go past it until then");
            }
            return Ok(());
        };
        let (folder, cache) = (Arc::new(folder), Arc::clone(self));
        let _ = self.folder.set(Arc::clone(&folder));
        let count = move || cache.count(&folder);
        std::thread::Builder::new().name("seawall-cache".to_owned()).spawn(count).map(drop)
    }

    /// Takes over the entries of earlier processes, those used last as the newest.
    fn count(&self, folder: &Folder) {
        match folder.scan() {
            Ok(mut found) => {
                found.sort_by_key(|entry| entry.used);
                let mut entries = self.entries();
                for entry in found {
                    entries.add_unless_known(entry.key, entry.space);
                }
                let evicted = entries.make_room(0, self.at.space_max);
                drop(entries);
                evicted.into_iter().for_each(|key| folder.remove(key));
                self.is_counted.store(true, Ordering::SeqCst);
            }
            Err(error) => {
                let dir = self.at.dir.display();
                tracing::warn!(%dir, %error, "cannot count the entries of the cache: none is added");
            }
        }
    }

    /// Reads entries on a blocking thread, in the order of the keys; `None` for those not kept.
    async fn from_disk(self: &Arc<Self>, keys: Vec<Key>) -> Vec<Option<Bytes>> {
        let none = vec![None; keys.len()];
        let Some(folder) = self.folder().map(Arc::clone) else { return none };
        let cache = Arc::clone(self);
        let read = move || keys.into_iter().map(|key| cache.entry(&folder, key)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or(none)
    }

    fn entry(&self, folder: &Folder, key: Key) -> Option<Bytes> {
        match folder.read(key) {
            Ok(found) => {
                if found.is_some() {
                    self.entries().touch(key);
                }
                found
            }
            Err(error) => {
                let dir = self.at.dir.display();
                tracing::warn!(%dir, entry = %key, %error, "dropped a damaged entry of the cache");
                self.damaged(key);
                None
            }
        }
    }

    fn damaged(&self, key: Key) {
        self.counts.damaged();
        self.drop_entry(key);
    }

    fn drop_entry(&self, key: Key) {
        if let Some(folder) = self.folder.get() {
            folder.remove(key);
            self.entries().remove(key);
        }
    }

    /// Writes an entry, after removing the least recently used ones in its way. `at` is the value
    /// of `forgotten` before the bytes were read.
    fn write(&self, key: Key, bytes: &[u8], at: u64) {
        let Some(folder) = self.folder.get() else { return };
        let space = files::space_of(bytes.len());
        if !self.is_counted.load(Ordering::SeqCst) || space > self.at.space_max || self.is_paused()
        {
            return;
        }
        let evicted = {
            let mut entries = self.entries();
            let evicted = entries.make_room(space, self.at.space_max);
            entries.add(key, space);
            evicted
        };
        self.counts.evicted(evicted.len() as u64);
        evicted.into_iter().for_each(|key| folder.remove(key));
        if let Err(error) = folder.write(key, bytes) {
            self.drop_entry(key);
            self.pause(&error);
        } else if self.forgotten.load(Ordering::SeqCst) != at {
            self.drop_entry(key);
        }
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Stops writing for a while.
    fn pause(&self, error: &std::io::Error) {
        let mut until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_none_or(|until| Instant::now() >= until) {
            let (dir, secs) = (self.at.dir.display(), FAILURE_PAUSE.as_secs());
            tracing::warn!(
                %dir, %error,
                "the cache cannot be written: nothing is added to it for {secs} s; reads go on"
            );
            *until = Some(Instant::now() + FAILURE_PAUSE);
        }
    }
}

/// An opened pack, read through a cache.
struct Cached {
    cache: Arc<ReadCache>,
    pack: PackDigest,
    object: Arc<dyn OpenObject>,
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl OpenObject for Cached {
    fn len(&self) -> u64 {
        self.object.len()
    }

    fn piece_len(&self) -> u64 {
        self.object.piece_len()
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        self.object.link().await
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let is_inside = range.start < range.end && range.end <= self.object.len();
        if !is_inside || self.cache.folder().is_none() {
            return self.object.read(range).await;
        }
        let (cache, object) = (Arc::clone(&self.cache), Arc::clone(&self.object));
        let (pack, wanted) = (self.pack, range.clone());
        // A task of its own: others may wait for the segments after this reader has gone.
        let gather = async move { segments::gather(&cache, &*object, pack, wanted).await };
        match tokio::spawn(gather).await {
            Ok(Some(read)) => read,
            // Another reader's fetch failed, or the task did: this reader learns the cause itself.
            Ok(None) | Err(_) => self.object.read(range).await,
        }
    }
}
