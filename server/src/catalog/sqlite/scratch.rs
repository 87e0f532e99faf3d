//! A catalog that is made anew: from the store, in a file of its own, until it is whole.
//!
//! # At the same time
//!
//! One process makes it, under a lock beside it; others that start meanwhile wait and find it.
//!
//! # After a crash
//!
//! There is still no catalog: the next start begins again. What was written is thrown away.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use seawall_store::error::ErrorKind;

use super::connection::{Connections, Sync, connect, failed};
use super::{SqliteCatalog, schema};
use crate::catalog::error::CatalogError;

/// The file of a catalog that is not whole yet ends so.
const SCRATCH: &str = ".rebuild";
/// The file that is locked meanwhile ends so.
const LOCK: &str = ".lock";
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
    _lock: File,
}

impl SqliteCatalog {
    /// Opens the catalog at `path`, or begins one where there is none.
    ///
    /// # Errors
    /// When the file cannot be used, is no catalog, or was written by a later version.
    pub fn find(path: &Path) -> Result<Found, CatalogError> {
        if exists(path)? {
            return Ok(Found::Catalog(Self::open(path)?));
        }
        let unlocked = |error| unusable("be locked", error);
        let lock = File::create(beside(path, LOCK)).map_err(unlocked)?;
        lock.lock().map_err(unlocked)?;
        // Whoever had the lock may have made it.
        if exists(path)? {
            return Ok(Found::Catalog(Self::open(path)?));
        }
        let scratch = beside(path, SCRATCH);
        remove(&scratch).map_err(|error| unusable("be begun", error))?;
        let connections = Connections::open(&scratch, Sync::Never)?;
        Ok(Found::Nothing(Scratch {
            catalog: Self { connections },
            path: path.to_owned(),
            _lock: lock,
        }))
    }
}

impl Scratch {
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
        let Self { catalog, path, _lock } = self;
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
        SqliteCatalog::open(&path)
    }
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
    let connection = connect(path, Sync::EveryCommit).map_err(|error| failed(ACTION, error))?;
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
        io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    CatalogError::new(kind, action, error)
}
