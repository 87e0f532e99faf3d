//! The catalog in one SQLite file.
//!
//! # Invariants
//!
//! 1. The file uses a write-ahead log and `synchronous = FULL`: a transaction that returned
//!    survives loss of power.
//! 2. Write transactions begin as `IMMEDIATE`, so that none fails half-way because another process
//!    wrote first.
//! 3. A connection is lent to one call at a time. A call that panics leaves no transaction open.
//!
//! # Concurrency
//!
//! | running ↓ / starting → | read | write | another process |
//! |---|---|---|---|
//! | read | free, `READERS` at once | free: readers see the last commit | free |
//! | write | free | waits for the one writer | waits, at most `BUSY_WAIT` |
//!
//! # After a crash
//!
//! SQLite rolls the log back or forward when the file is next opened; no transaction is half done.
//! A catalog being rebuilt is a separate file until it is complete (`scratch`).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seawall_store::error::ErrorKind;

use super::Catalog;
use super::engine::{Access, Claim, CopyPlan, Engine, Export, Task, Work};
use super::error::{Barrier, CatalogError};
use crate::own_file::open_own;

mod check;
mod connection;
mod copy;
mod error;
mod migrate;
mod reserve;
mod rows;
mod scratch;
mod tx;

use connection::{Connections, Durability};
pub use copy::blank;
use error::fault;
pub use scratch::{Found, Scratch, begin_anew, find, peek};

/// Suffix of the file that is locked by the collection with the right to sweep.
const COLLECTING_SUFFIX: &str = "-collecting";
/// The file beside the catalog that is locked while a copy exists.
const COPYING_FILE: &str = "backup.lock";

/// The engine of a catalog in one SQLite file.
#[derive(Debug)]
struct Sqlite {
    connections: Connections,
    /// Held while the catalog is in use, so that no process replaces the file meanwhile.
    _lock: Option<File>,
}

/// Opens the catalog at `path`, creating and migrating the file where necessary.
///
/// # Errors
/// If the file cannot be used, is not a catalog, or was written by a later version.
pub fn open(path: &Path) -> Result<Catalog, CatalogError> {
    opened(path, Durability::EveryCommit, None)
}

/// Opens the catalog with commits that need not survive loss of power.
#[cfg(test)]
pub(crate) fn open_unsynced(path: &Path) -> Result<Catalog, CatalogError> {
    opened(path, Durability::Never, None)
}

fn opened(
    path: &Path,
    durability: Durability,
    lock: Option<File>,
) -> Result<Catalog, CatalogError> {
    let connections = Connections::open(path, durability)?;
    Ok(Catalog::new(Arc::new(Sqlite { connections, _lock: lock })))
}

#[async_trait::async_trait]
impl Engine for Sqlite {
    async fn run(
        &self,
        access: Access,
        action: &'static str,
        work: Work,
    ) -> Result<(), CatalogError> {
        self.connections.run(access, action, work).await
    }

    async fn claim(&self, task: Task) -> Result<Option<Claim>, CatalogError> {
        let (path, action) = match task {
            Task::Collect => {
                (beside(self.connections.path(), COLLECTING_SUFFIX), "claim the sweep")
            }
            Task::Copy => (self.connections.path().with_file_name(COPYING_FILE), "claim the copy"),
        };
        let claimed = tokio::task::spawn_blocking(move || claim(&path));
        let internal = |error| fault(ErrorKind::Internal, action, error);
        let claimed = claimed.await.map_err(internal)?;
        claimed.map_err(|error| fault(ErrorKind::of_io(&error), action, error))
    }

    fn copy(&self) -> Result<CopyPlan, CatalogError> {
        copy::plan(self.connections.path())
    }

    fn export(&self) -> Result<Export, CatalogError> {
        let path = self.connections.path().to_owned();
        Ok(Box::new(move |rows| rows::export(&path, rows)))
    }

    async fn check(&self) -> Result<Vec<String>, CatalogError> {
        self.connections.inspect("check its rows", check::faults).await
    }

    /// Every process that opens the file runs on this machine.
    fn now(&self) -> Option<Duration> {
        None
    }

    fn barrier(&self) -> Option<Barrier> {
        self.connections.barrier()
    }
}

/// Locks a file for this process; `None` while another one holds the lock.
fn claim(path: &Path) -> std::io::Result<Option<Claim>> {
    let mut options = File::options();
    let file = open_own(path, options.create(true).truncate(false).write(true))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Claim::new(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns the path of a file beside the catalog: the catalog's own path with `suffix` appended.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
