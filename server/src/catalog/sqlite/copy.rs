//! A copy of the catalog at one moment, while others use it.
//!
//! # After a crash
//!
//! An unfinished copy lies beside the catalog with a name ending in `.copy`. Nothing ever reads
//! such a file, and the next start removes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use seawall_store::error::ErrorKind;

use super::connection::{Durability, connect, log_of};
use super::error::{failed, fault};
use super::rows::SqliteRows;
use super::{COPYING_FILE, beside, claim, migrate};
use crate::catalog::engine::{Blank, CopyPlan, Rows};
use crate::catalog::error::CatalogError;
use crate::catalog::schema::FORGET_COPYING;
use crate::catalog::tx::{TxResult, Value};

const ACTION: &str = "be copied";
/// The name of a copy of another engine's catalog, without its suffix.
const COPIED: &str = "catalog";
/// The suffix of a copy's name.
const COPY: &str = ".copy";
/// The settings for writing a copy: its file is synced as a whole, and is nothing before.
const UNJOURNALED: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF";
/// Readable by the owner alone, because a catalog holds the secrets of webhooks.
const PRIVATE: u32 = 0o600;

/// Plans a copy of the catalog at `path`.
pub(super) fn plan(path: &Path) -> Result<CopyPlan, CatalogError> {
    let copy = unused_name(path)?;
    let own = path.to_owned();
    // The catalog and its write-ahead log.
    let len = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let len_max = len(path).saturating_add(len(&log_of(path)));
    Ok(CopyPlan { len_max, make: Box::new(move || make(&own, &Unfinished(copy))) })
}

fn unused_name(catalog: &Path) -> Result<PathBuf, CatalogError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|_| fault(ErrorKind::Internal, ACTION, "the system provides no random bytes"))?;
    Ok(beside(catalog, &format!(".{}{COPY}", hex::encode(id))))
}

/// The path of an unfinished copy, which is removed when dropped.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Copies the catalog, verifies the copy, and opens it.
fn make(own: &Path, Unfinished(copy): &Unfinished) -> Result<File, CatalogError> {
    let io = |error: io::Error| fault(ErrorKind::of_io(&error), ACTION, error);
    let fail = |error| failed(ACTION, error);
    let Some(text) = copy.to_str() else {
        let why = "the copy's path is not UTF-8";
        return Err(fault(ErrorKind::InvalidInput, ACTION, why));
    };
    let file = create(copy).map_err(io)?;
    let connection = connect(own, Durability::EveryCommit).map_err(fail)?;
    connection.execute("VACUUM INTO $1", [text]).map_err(fail)?;
    let made = Connection::open(copy).map_err(fail)?;
    made.execute_batch(UNJOURNALED).map_err(fail)?;
    verify(&made)?;
    drop(made);
    file.sync_all().map_err(io)?;
    Ok(file)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(path)
}

/// A catalog file that another engine's rows are copied into.
struct SqliteCopy {
    rows: SqliteRows,
    file: File,
    path: Unfinished,
}

/// Makes an empty catalog in a folder, for the rows of another engine.
///
/// # Errors
/// If the file cannot be made.
pub fn blank(folder: &Path) -> Result<Box<dyn Blank>, CatalogError> {
    Ok(Box::new(SqliteCopy::create(folder)?))
}

impl SqliteCopy {
    fn create(folder: &Path) -> Result<Self, CatalogError> {
        let io = |error: io::Error| fault(ErrorKind::of_io(&error), ACTION, error);
        let fail = |error| failed(ACTION, error);
        let path = Unfinished(unused_name(&folder.join(COPIED))?);
        let file = create(&path.0).map_err(io)?;
        let mut connection = Connection::open(&path.0).map_err(fail)?;
        connection.execute_batch(UNJOURNALED).map_err(fail)?;
        migrate::migrate(&mut connection)?;
        Ok(Self { rows: SqliteRows::begin(connection)?, file, path })
    }
}

impl Rows for SqliteCopy {
    fn columns(&self, table: &'static str) -> Result<Vec<String>, CatalogError> {
        self.rows.columns(table)
    }

    fn add(&self, table: &'static str, row: &[Value<'_>]) -> TxResult<()> {
        self.rows.add(table, row)
    }
}

impl Blank for SqliteCopy {
    fn finish(self: Box<Self>) -> Result<File, CatalogError> {
        let Self { rows, file, path } = *self;
        rows.finish()?;
        file.sync_all().map_err(|error| fault(ErrorKind::of_io(&error), ACTION, error))?;
        drop(path);
        Ok(file)
    }
}

pub(super) fn verify(made: &Connection) -> Result<(), CatalogError> {
    migrate::check(made)?;
    made.execute(FORGET_COPYING, []).map_err(|error| failed(ACTION, error))?;
    let said: String = made
        .query_row("PRAGMA integrity_check(1)", [], |found| found.get(0))
        .map_err(|error| failed(ACTION, error))?;
    if said != "ok" {
        return Err(fault(ErrorKind::Damaged, ACTION, said));
    }
    Ok(())
}

/// Removes copies that a crash left beside a catalog, unless another process is making one. Returns
/// the number of removed copies.
pub(super) fn remove_left(catalog: &Path) -> io::Result<usize> {
    let (Some(folder), Some(name)) = (catalog.parent(), catalog.file_name()) else { return Ok(0) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
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
    let Some(_claim) = claim(&catalog.with_file_name(COPYING_FILE))? else { return Ok(0) };
    for path in &left {
        fs::remove_file(path)?;
    }
    Ok(left.len())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::catalog::engine::Task;
    use crate::catalog::sqlite::open;

    #[tokio::test]
    async fn copies_that_a_crash_left_are_removed_unless_one_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        let catalog = open(&path).unwrap();
        let left = dir.path().join(format!("catalog.sqlite.{}{COPY}", "0f".repeat(16)));
        let other = dir.path().join("catalog.sqlite.mine.copy");
        fs::write(&left, "x").unwrap();
        fs::write(&other, "x").unwrap();
        let claim = catalog.engine().claim(Task::Copy).await.unwrap().unwrap();
        assert_eq!(remove_left(&path).unwrap(), 0);
        drop(claim);
        assert_eq!(remove_left(&path).unwrap(), 1);
        assert!(!left.exists() && other.exists());
    }

    #[tokio::test]
    async fn a_copy_has_no_name_and_is_read_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        let catalog = open(&path).unwrap();
        let copy = (catalog.engine().copy().unwrap().make)().unwrap();
        let found = copy.metadata().unwrap();
        assert_eq!(found.permissions().mode() & 0o777, PRIVATE);
        assert!(found.len() > 0);
        let names = fs::read_dir(dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.ends_with(COPY)).count(), 0);
    }
}
