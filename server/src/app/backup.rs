//! Backup: a consistent copy of the catalog, made while the catalog is in use.
//!
//! # Concurrency
//!
//! There is one copy at a time among all processes that serve a directory, guarded by a lock file.
//! A copy reserves disk space like an upload, until its last byte is sent.
//!
//! # After a crash
//!
//! An unfinished copy lies beside the catalog with a name ending in `.copy`. Nothing ever reads
//! such a file, and the next start removes it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::room::Reserved;
use super::{AppError, Registry};
use crate::own_file::open_own;

/// The suffix of a copy's name.
const COPY: &str = ".copy";
/// The file beside the catalog that is locked while a copy exists.
const LOCK: &str = "backup.lock";
/// The time to wait for the end of another copy.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);
/// The delay between attempts to take the lock.
const TURN_PAUSE: Duration = Duration::from_millis(20);
/// Readable by the owner alone, because a catalog holds the secrets of webhooks.
const PRIVATE: u32 = 0o600;

/// A copy open for reading. Its file is already unlinked, and its space is freed on drop.
#[derive(Clone, Debug)]
pub struct CatalogCopy {
    file: Arc<File>,
    len: u64,
    _held: Arc<Held>,
}

/// The lock and the disk space held by a copy.
#[derive(Debug)]
struct Held {
    _lock: File,
    _room: Option<Reserved>,
}

impl CatalogCopy {
    /// Returns the length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // none is
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads a range of bytes.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, AppError> {
        let file = Arc::clone(&self.file);
        let read = move || {
            let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        };
        blocking(read).await
    }
}

impl Registry {
    /// Copies the catalog and verifies the copy.
    ///
    /// # Errors
    /// [`AppError::Busy`] while another copy exists, [`AppError::NoRoom`] without enough disk
    /// space; also fails if the catalog is damaged.
    pub async fn back_up(&self) -> Result<CatalogCopy, AppError> {
        let id = self.host.random().ok_or_else(|| AppError::Internal {
            action: ACTION,
            source: "the system provides no random bytes".into(),
        })?;
        let own = self.catalog.beside("");
        let path = self.catalog.beside(&format!(".{}{COPY}", hex::encode(id)));
        let lock = self.turn_to_copy(&own).await?;
        let made = path.clone();
        let begun = blocking(move || {
            OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&made)?;
            Ok(len_of(&own))
        });
        let len = begun.await?;
        let room = self.reserve(len).inspect_err(|_| remove(&path))?;
        let held = Held { _lock: lock, _room: room };
        let catalog = Arc::clone(&self.catalog);
        // The copy continues after its client disconnects, and holds the lock until it ends.
        let copy = tokio::spawn(async move {
            catalog.back_up(path.clone()).await.inspect_err(|_| remove(&path))?;
            blocking(move || open_once(&path, held)).await
        });
        copy.await.map_err(|error| AppError::Internal { action: ACTION, source: error.into() })?
    }

    /// Takes the lock of the one copy. Waits briefly, because a client that has read the last byte
    /// of a copy may return before the copy is dropped.
    async fn turn_to_copy(&self, catalog: &Path) -> Result<File, AppError> {
        let deadline = Instant::now() + TURN_WAIT_MAX;
        loop {
            let catalog = catalog.to_owned();
            if let Some(lock) = blocking(move || lock_beside(&catalog)).await? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(AppError::Busy { what: "another backup is in progress" });
            }
            tokio::time::sleep(TURN_PAUSE).await;
        }
    }
}

/// Removes an unfinished copy, if any.
fn remove(copy: &Path) {
    let _ = fs::remove_file(copy);
}

/// Takes the lock beside the catalog; `None` while another copy holds the lock.
fn lock_beside(catalog: &Path) -> io::Result<Option<File>> {
    let path = catalog.with_file_name(LOCK);
    let file = open_own(&path, OpenOptions::new().write(true).create(true).truncate(false))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns the maximum length of a copy: the catalog and its write-ahead log.
fn len_of(catalog: &Path) -> u64 {
    let mut log = catalog.as_os_str().to_owned();
    log.push("-wal");
    let len = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    len(catalog).saturating_add(len(Path::new(&log)))
}

/// Removes copies that a crash left beside a catalog, unless another process is making one. Returns
/// the number of removed copies.
///
/// # Errors
/// Fails if the folder cannot be read or written.
pub fn remove_left(catalog: &Path) -> io::Result<usize> {
    let (Some(folder), Some(name)) = (catalog.parent(), catalog.file_name()) else { return Ok(0) };
    let (mut left, begin) = (Vec::new(), format!("{}.", name.to_string_lossy()));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(&begin)?.strip_suffix(COPY));
        if id.is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())) {
            left.push(entry.path());
        }
    }
    if left.is_empty() {
        return Ok(0);
    }
    let Some(_lock) = lock_beside(catalog)? else { return Ok(0) };
    for path in &left {
        fs::remove_file(path)?;
    }
    Ok(left.len())
}

const ACTION: &str = "read the copy of the catalog";

/// Opens and unlinks a finished copy.
fn open_once(path: &Path, held: Held) -> io::Result<CatalogCopy> {
    let file = File::open(path)?;
    fs::remove_file(path)?;
    let len = file.metadata()?.len();
    Ok(CatalogCopy { file: Arc::new(file), len, _held: Arc::new(held) })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, AppError> {
    let internal = |source: Box<dyn std::error::Error + Send + Sync>| AppError::Internal {
        action: ACTION,
        source,
    };
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| internal(error.into()))?;
    done.map_err(|error| internal(error.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::app::room::{MinFree, Room};
    use crate::app::tests::Site;
    use crate::host::{Space, Volume};

    struct Full;

    impl Volume for Full {
        fn space(&self) -> io::Result<Space> {
            Ok(Space { size: 1 << 30, free: 1 << 20 })
        }
    }

    fn copies(site: &Site) -> usize {
        let entries = fs::read_dir(site.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(COPY)).count()
    }

    #[tokio::test]
    async fn there_is_one_copy_at_a_time_and_none_but_the_owner_reads_it() {
        let site = Site::new();
        let [one, other] = [site.sound(), site.sound()];
        let copy = one.back_up().await.unwrap();
        assert_eq!(copy.file.metadata().unwrap().permissions().mode() & 0o777, PRIVATE);
        for registry in [&one, &other] {
            assert!(matches!(registry.back_up().await, Err(AppError::Busy { .. })));
        }
        drop(copy);
        other.back_up().await.unwrap();
        assert_eq!(copies(&site), 0);
    }

    #[tokio::test]
    async fn a_full_disk_takes_no_copy() {
        let site = Site::new();
        let registry = site.sound().with_room(Room::new(Arc::new(Full), MinFree::Bytes(1 << 20)));
        assert!(matches!(registry.back_up().await, Err(AppError::NoRoom { .. })));
        assert_eq!(copies(&site), 0);
        site.sound().back_up().await.unwrap();
    }

    #[tokio::test]
    async fn copies_that_a_crash_left_are_removed_unless_one_is_made() {
        let site = Site::new();
        let registry = site.sound();
        let path = site.dir.path().join("catalog.sqlite");
        let left = site.dir.path().join(format!("catalog.sqlite.{}{COPY}", "0f".repeat(16)));
        let other = site.dir.path().join("catalog.sqlite.mine.copy");
        fs::write(&left, "x").unwrap();
        fs::write(&other, "x").unwrap();
        let copy = registry.back_up().await.unwrap();
        assert_eq!(remove_left(&path).unwrap(), 0);
        drop(copy);
        assert_eq!(remove_left(&path).unwrap(), 1);
        assert!(!left.exists() && other.exists());
    }
}
