//! A catalog that is made anew: from the store, in a file of its own, until it is whole.
//!
//! # At the same time
//!
//! A lock in a file of its own, which stays when the catalog is moved away:
//!
//! | running ↓ / starting → | with a catalog | without |
//! |---|---|---|
//! | serves (shared) | free | refused: the catalog was moved away under it |
//! | makes the catalog (exclusive) | — | waits, says so, and finds it |
//!
//! # After a crash
//!
//! There is still no catalog: the next start begins again. What was written is thrown away.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use seawall_store::error::ErrorKind;

use super::connection::{Connections, Durability, connect, failed};
use super::reserve::Reserve;
use super::{SqliteCatalog, schema};
use crate::catalog::error::{Barrier, CatalogError};
use crate::startup::make_private;

/// The file of a catalog that is not whole yet ends so.
const SCRATCH: &str = ".rebuild";
/// The file beside the catalog that is locked. Its name does not begin as the catalog's: whoever
/// moves `catalog.sqlite*` aside leaves it.
const LOCK: &str = "registry.lock";
/// The file of a catalog that was replaced ends so, and with a number.
const ASIDE: &str = ".old-";
/// More are not kept in one directory.
const ASIDE_MAX: u32 = 1000;
/// How long a lock is waited for that others hold only to look for the catalog.
const LOOK_TIME_MAX: Duration = Duration::from_secs(3);
/// Between two tries to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// What lies where a catalog belongs.
#[derive(Debug)]
pub enum Found {
    /// A catalog.
    Catalog(SqliteCatalog),
    /// Nothing, or a file that a crash left before it got its tables.
    Nothing(Scratch),
}

/// A catalog that no other process sees yet. Dropped, it never was.
#[derive(Debug)]
pub struct Scratch {
    catalog: SqliteCatalog,
    path: PathBuf,
    lock: File,
}

impl SqliteCatalog {
    /// Opens the catalog at `path`, or begins one where there is none. A catalog that cannot be
    /// written is opened to be read.
    ///
    /// # Errors
    /// When the file cannot be used, is no catalog, or was written by a later version.
    pub fn find(path: &Path) -> Result<Found, CatalogError> {
        if is_denied(path) && fs::metadata(path).is_ok_and(|meta| meta.len() > 0) {
            return Self::find_to_read(path, Barrier::Denied).map(Found::Catalog);
        }
        match Self::find_to_write(path) {
            Err(error) if is_for_room(&error, path) && path.exists() => {
                match Self::find_to_read(path, Barrier::Full) {
                    Ok(found) => Ok(Found::Catalog(found)),
                    // A log that a crash left takes room to be read.
                    Err(_) if Reserve::beside(path).release() => Self::find_to_write(path),
                    Err(_) => Err(error),
                }
            }
            found => found,
        }
    }

    fn find_to_read(path: &Path, barrier: Barrier) -> Result<Self, CatalogError> {
        let lock = match File::open(path.with_file_name(LOCK)) {
            Ok(lock) => {
                lock.lock_shared().map_err(unlocked)?;
                Some(lock)
            }
            // It was never written by a version that locks, or the file is another user's alone.
            Err(_) => None,
        };
        tracing::warn!(path = %path.display(), why = barrier.as_str(), "the catalog is only read");
        Ok(Self { connections: Connections::open_to_read(path, barrier)?, _lock: lock })
    }

    fn find_to_write(path: &Path) -> Result<Found, CatalogError> {
        let lock = lock_file(path).map_err(unlocked)?;
        let deadline = Instant::now() + LOOK_TIME_MAX;
        loop {
            if share(&lock, path)? {
                let found = Self { _lock: Some(lock), ..Self::open(path)? };
                Reserve::beside(path).keep();
                return Ok(Found::Catalog(found));
            }
            lock.unlock().map_err(unlocked)?;
            match lock.try_lock() {
                // Whoever had the lock may have made it.
                Ok(()) if exists(path)? => lock.unlock().map_err(unlocked)?,
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(unlocked(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let why = "a registry of this directory still runs, and its catalog was \
                               moved away: stop it first";
                    return Err(CatalogError::new(ErrorKind::Unavailable, "be made", why));
                }
            }
        }
        Ok(Found::Nothing(Scratch::begin(path, lock)?))
    }

    /// Begins a catalog that will take the place of the one at `path`, sound or not.
    ///
    /// # Errors
    /// When a registry serves that one, or the file cannot be made.
    pub fn begin_anew(path: &Path) -> Result<Scratch, CatalogError> {
        let lock = lock_file(path).map_err(unlocked)?;
        match lock.try_lock() {
            Ok(()) => Scratch::begin(path, lock),
            Err(TryLockError::Error(error)) => Err(unlocked(error)),
            Err(TryLockError::WouldBlock) => {
                let why = "a registry of this directory runs: stop it first";
                Err(CatalogError::new(ErrorKind::Unavailable, "be made anew", why))
            }
        }
    }
}

impl Scratch {
    fn begin(path: &Path, lock: File) -> Result<Self, CatalogError> {
        let scratch = beside(path, SCRATCH);
        remove(&scratch).map_err(|error| unusable("be begun", error))?;
        make_private(&scratch).map_err(|error| unusable("be begun", error))?;
        let connections = Connections::open(&scratch, Durability::Never)?;
        let catalog = SqliteCatalog { connections, _lock: None };
        Ok(Self { catalog, path: path.to_owned(), lock })
    }

    /// Moves what lies in its place aside, under a name that is new; `None` where nothing does.
    /// A crash after it leaves no catalog: the next start makes one.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self) -> Result<Option<PathBuf>, CatalogError> {
        const ACTION: &str = "be set aside";
        if !self.path.exists() {
            return Ok(None);
        }
        // Closing it moves its log into the file, where both can be read.
        drop(connect(&self.path, Durability::EveryCommit));
        let free = (1..=ASIDE_MAX).map(|n| beside(&self.path, &format!("{ASIDE}{n}")));
        let Some(aside) = free.into_iter().find(|aside| !aside.exists()) else {
            let why = format!("there are {ASIDE_MAX} older ones: remove some");
            return Err(CatalogError::new(ErrorKind::Conflict, ACTION, why));
        };
        let move_away = || {
            fs::rename(&self.path, &aside)?;
            for suffix in COMPANIONS {
                match fs::rename(beside(&self.path, suffix), beside(&aside, suffix)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        };
        move_away().map_err(|error| unusable(ACTION, error))?;
        Ok(Some(aside))
    }

    /// The catalog to fill.
    #[must_use]
    pub fn catalog(&self) -> &SqliteCatalog {
        &self.catalog
    }

    /// Gives it its place, whole and durable.
    ///
    /// # Errors
    /// When its file cannot be synced or moved; then there is no catalog still.
    pub fn finish(self) -> Result<SqliteCatalog, CatalogError> {
        const ACTION: &str = "be given its place";
        let Self { catalog, path, lock } = self;
        let scratch = beside(&path, SCRATCH);
        // The last connection that closes moves the log into the file and removes the log.
        drop(catalog);
        let settle = || {
            if beside(&scratch, COMPANIONS[0]).exists() {
                return Err(io::Error::other("its log is still in use"));
            }
            File::open(&scratch)?.sync_all()?;
            // A log that lost its database would be played into the new one.
            remove(&path)?;
            fs::rename(&scratch, &path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        settle().map_err(|error| unusable(ACTION, error))?;
        lock.unlock().and_then(|()| lock.lock_shared()).map_err(unlocked)?;
        Reserve::beside(&path).keep();
        Ok(SqliteCatalog { _lock: Some(lock), ..SqliteCatalog::open(&path)? })
    }
}

/// Whether a catalog was not opened for want of room: a log that cannot be made is also said to be
/// one that cannot be opened.
fn is_for_room(error: &CatalogError, path: &Path) -> bool {
    match error.kind() {
        ErrorKind::StorageFull => true,
        ErrorKind::Denied | ErrorKind::Unavailable => Reserve::beside(path).is_needed(),
        _ => false,
    }
}

/// Whether this user may not write a catalog, or not what lies beside it.
fn is_denied(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let may_write = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
    [folder.unwrap_or(Path::new(".")), path]
        .into_iter()
        .any(|path| matches!(may_write(path), Err(Errno::ACCESS | Errno::ROFS | Errno::PERM)))
}

fn lock_file(path: &Path) -> io::Result<File> {
    let lock = path.with_file_name(LOCK);
    File::options().create(true).truncate(false).write(true).open(lock)
}

/// Takes the lock as those do who serve a catalog; whether there is one.
fn share(lock: &File, path: &Path) -> Result<bool, CatalogError> {
    match lock.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(unlocked(error)),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!("another process makes the catalog: waiting until it has");
            lock.lock_shared().map_err(unlocked)?;
        }
    }
    exists(path)
}

fn unlocked(error: io::Error) -> CatalogError {
    unusable("be locked", error)
}

/// Whether there is a catalog, sound or not.
fn exists(path: &Path) -> Result<bool, CatalogError> {
    const ACTION: &str = "be opened";
    match fs::metadata(path) {
        Ok(meta) if meta.len() > 0 => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable(ACTION, error)),
    }
    let connection =
        connect(path, Durability::EveryCommit).map_err(|error| failed(ACTION, error))?;
    schema::has_tables(&connection).map_err(|error| failed(ACTION, error))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Removes a database and what SQLite keeps beside it.
fn remove(path: &Path) -> io::Result<()> {
    let companions = COMPANIONS.map(|suffix| beside(path, suffix));
    for path in companions.iter().map(PathBuf::as_path).chain([path]) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn unusable(action: &'static str, error: io::Error) -> CatalogError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    CatalogError::new(kind, action, error)
}
