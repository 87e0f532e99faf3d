//! A catalog being rebuilt from the store, in a separate file until it is complete.
//!
//! # At the same time
//!
//! The lock is a separate file, which stays in place when the catalog is moved away:
//!
//! | running ↓ / starting → | with a catalog | without |
//! |---|---|---|
//! | serves (shared) | free | refused: the catalog was moved away under it |
//! | rebuilds (exclusive) | — | waits with a warning, then finds the catalog |
//!
//! # After a crash
//!
//! There is still no catalog, and the next start begins again. The rows written so far are
//! discarded.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use seawall_store::error::ErrorKind;

use super::connection::{Connections, Durability, connect};
use super::error::{failed, fault};
use super::reserve::Reserve;
use super::rows::SqliteRows;
use super::{Sqlite, beside, copy, migrate, opened};
use crate::catalog::Catalog;
use crate::catalog::engine::Intake;
use crate::catalog::error::{Barrier, CatalogError};
use crate::own_file::open_own;
use crate::startup::make_private;

/// File name suffix of an incomplete catalog.
const SCRATCH: &str = ".rebuild";
/// The lock file beside the catalog. Its name does not begin as the catalog's does, so that moving
/// `catalog.sqlite*` aside leaves it in place.
const LOCK: &str = "registry.lock";
/// File name suffix of a replaced catalog, followed by a number.
const ASIDE: &str = ".old-";
/// The maximum number of replaced catalogs in one directory.
const ASIDE_MAX: u32 = 1000;
/// The time to wait for processes that hold the lock only to look for the catalog.
const LOOK_TIME_MAX: Duration = Duration::from_secs(3);
/// Pause between attempts to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Suffixes of the files SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// The result of looking for a catalog.
#[derive(Debug)]
pub enum Found {
    /// A catalog.
    Catalog(Catalog),
    /// No catalog, or a file left by a crash before its tables were made.
    Nothing(Scratch),
}

/// A catalog under construction, not visible to other processes. Has no effect if dropped before
/// [`Scratch::finish`].
#[derive(Debug)]
pub struct Scratch {
    catalog: Catalog,
    path: PathBuf,
    lock: File,
}

/// Opens the catalog at `path`, or begins one if there is none. A catalog that cannot be
/// written is opened read-only.
///
/// # Errors
/// If the file cannot be used, is not a catalog, or was written by a later version.
pub fn find(path: &Path) -> Result<Found, CatalogError> {
    if is_denied(path) && fs::metadata(path).is_ok_and(|meta| meta.len() > 0) {
        return find_to_read(path, Barrier::Denied).map(Found::Catalog);
    }
    match find_to_write(path) {
        Err(error) if is_for_room(&error, path) && path.exists() => {
            match find_to_read(path, Barrier::Full) {
                Ok(found) => Ok(Found::Catalog(found)),
                // Reading the log left by a crash takes space.
                Err(_) if Reserve::beside(path).release() => find_to_write(path),
                Err(_) => Err(error),
            }
        }
        found => found,
    }
}

fn find_to_read(path: &Path, barrier: Barrier) -> Result<Catalog, CatalogError> {
    let lock = match open_own(&path.with_file_name(LOCK), File::options().read(true)) {
        Ok(lock) => {
            lock.lock_shared().map_err(unlocked)?;
            Some(lock)
        }
        // The catalog was never written by a version that locks, or the lock file is private to
        // another user.
        Err(_) => None,
    };
    tracing::warn!(path = %path.display(), why = barrier.as_str(), "the catalog is read-only");
    let connections = Connections::open_to_read(path, barrier)?;
    Ok(Catalog::new(Arc::new(Sqlite { connections, _lock: lock })))
}

fn find_to_write(path: &Path) -> Result<Found, CatalogError> {
    let lock = lock_file(path).map_err(unlocked)?;
    let deadline = Instant::now() + LOOK_TIME_MAX;
    loop {
        if share(&lock, path)? {
            let found = opened(path, Durability::EveryCommit, Some(lock))?;
            Reserve::beside(path).keep();
            remove_left(path);
            return Ok(Found::Catalog(found));
        }
        lock.unlock().map_err(unlocked)?;
        match lock.try_lock() {
            // The previous holder of the lock may have made the catalog.
            Ok(()) if exists(path)? => lock.unlock().map_err(unlocked)?,
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(unlocked(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let why = "a registry in this directory is still running, and its catalog was \
                           moved away: stop it first";
                return Err(fault(ErrorKind::Unavailable, "be made", why));
            }
        }
    }
    Ok(Found::Nothing(Scratch::begin(path, lock)?))
}

/// Opens the catalog at `path` if there is one. Makes nothing.
///
/// # Errors
/// If the file cannot be used, is not a catalog, or was written by a later version.
pub fn peek(path: &Path) -> Result<Option<Catalog>, CatalogError> {
    if !fs::metadata(path).is_ok_and(|meta| meta.len() > 0) {
        return Ok(None);
    }
    match find(path)? {
        Found::Catalog(catalog) => Ok(Some(catalog)),
        Found::Nothing(_) => Ok(None),
    }
}

/// Begins a catalog to replace the one at `path`, sound or not.
///
/// # Errors
/// If a registry serves the present catalog, or the file cannot be made.
pub fn begin_anew(path: &Path) -> Result<Scratch, CatalogError> {
    let lock = lock_file(path).map_err(unlocked)?;
    match lock.try_lock() {
        Ok(()) => Scratch::begin(path, lock),
        Err(TryLockError::Error(error)) => Err(unlocked(error)),
        Err(TryLockError::WouldBlock) => {
            let why = "a registry in this directory is running: stop it first";
            Err(fault(ErrorKind::Unavailable, "be rebuilt", why))
        }
    }
}

impl Scratch {
    fn begin(path: &Path, lock: File) -> Result<Self, CatalogError> {
        let scratch = beside(path, SCRATCH);
        remove(&scratch).map_err(|error| unusable("be begun", error))?;
        make_private(&scratch).map_err(|error| unusable("be begun", error))?;
        let connections = Connections::open(&scratch, Durability::Never)?;
        let catalog = Catalog::new(Arc::new(Sqlite { connections, _lock: None }));
        Ok(Self { catalog, path: path.to_owned(), lock })
    }

    /// Moves the present catalog aside, under an unused name. Returns `None` if there is none.
    /// After a crash there is no catalog, and the next start makes one.
    ///
    /// # Errors
    /// If the catalog cannot be moved.
    pub fn set_aside(&self) -> Result<Option<PathBuf>, CatalogError> {
        const ACTION: &str = "be set aside";
        if !self.path.exists() {
            return Ok(None);
        }
        // Closing the connection moves the log into the file, if both can be read.
        drop(connect(&self.path, Durability::EveryCommit));
        let free = (1..=ASIDE_MAX).map(|n| beside(&self.path, &format!("{ASIDE}{n}")));
        let Some(aside) = free.into_iter().find(|aside| !aside.exists()) else {
            let why = format!("there are already {ASIDE_MAX} older ones: remove some");
            return Err(fault(ErrorKind::Conflict, ACTION, why));
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

    /// Returns the catalog to fill.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Begins to fill the catalog with all rows of another one. Nothing else may write to it
    /// meanwhile.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn intake(&self) -> Result<Box<dyn Intake>, CatalogError> {
        let connection = connect(&beside(&self.path, SCRATCH), Durability::Never);
        let connection = connection.map_err(|error| failed("be filled", error))?;
        Ok(Box::new(SqliteRows::begin(connection)?))
    }

    /// Puts the catalog in its place, complete and durable.
    ///
    /// # Errors
    /// If the file cannot be synced or moved. Then there is still no catalog.
    pub fn finish(self) -> Result<Catalog, CatalogError> {
        const ACTION: &str = "be given its place";
        let Self { catalog, path, lock } = self;
        let scratch = beside(&path, SCRATCH);
        // Closing the last connection moves the log into the file and removes the log.
        drop(catalog);
        let settle = || {
            if beside(&scratch, COMPANIONS[0]).exists() {
                return Err(io::Error::other("its log is still in use"));
            }
            File::open(&scratch)?.sync_all()?;
            // A log left by another database would be applied to the new one.
            remove(&path)?;
            fs::rename(&scratch, &path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        settle().map_err(|error| unusable(ACTION, error))?;
        lock.unlock().and_then(|()| lock.lock_shared()).map_err(unlocked)?;
        Reserve::beside(&path).keep();
        opened(&path, Durability::EveryCommit, Some(lock))
    }
}

/// Returns whether opening failed for lack of space. SQLite may report a log that cannot be made as
/// one that cannot be opened.
fn is_for_room(error: &CatalogError, path: &Path) -> bool {
    match error.kind() {
        ErrorKind::StorageFull => true,
        ErrorKind::Denied | ErrorKind::Unavailable => Reserve::beside(path).is_needed(),
        _ => false,
    }
}

/// Returns whether this user may not write the catalog or its directory.
fn is_denied(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let may_write = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
    [folder.unwrap_or(Path::new(".")), path]
        .into_iter()
        .any(|path| matches!(may_write(path), Err(Errno::ACCESS | Errno::ROFS | Errno::PERM)))
}

fn lock_file(path: &Path) -> io::Result<File> {
    let lock = path.with_file_name(LOCK);
    open_own(&lock, File::options().create(true).truncate(false).write(true))
}

/// Takes the shared lock of a serving process. Returns whether a catalog exists.
fn share(lock: &File, path: &Path) -> Result<bool, CatalogError> {
    match lock.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(unlocked(error)),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!("another process is creating the catalog: waiting");
            lock.lock_shared().map_err(unlocked)?;
        }
    }
    exists(path)
}

fn unlocked(error: io::Error) -> CatalogError {
    unusable("be locked", error)
}

/// Returns whether a catalog exists, sound or not.
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
    migrate::has_tables(&connection).map_err(|error| failed(ACTION, error))
}

/// Removes copies of the catalog that a crash left. A failure is only logged.
fn remove_left(path: &Path) {
    match copy::remove_left(path) {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "removed copies of the catalog left by a crash"),
        Err(error) => {
            tracing::warn!(%error, "cannot look for copies of the catalog left by a crash");
        }
    }
}

/// Removes a database and the files SQLite keeps beside it.
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
    fault(kind, action, error)
}
