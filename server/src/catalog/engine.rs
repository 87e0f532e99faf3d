//! The port to a database: transactions, claims and copies.
//!
//! The contract of transactions is that of [`tx`](super::tx).

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Barrier, CatalogError};
use super::tx::{Tx, TxResult, Value};

/// The purpose of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Writes that free space. On a full disk, the engine releases the space it reserved for them
    /// first, and reserves it again once there is enough.
    Free,
    /// Opens or closes the gate of a relocation. Alone passes a closed one.
    Gate,
}

/// The statements and rules of a transaction.
pub type Work = Box<dyn FnMut(&mut dyn Tx) -> TxResult<()> + Send>;

/// A task that one process at a time performs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Sweeping condemned content.
    Collect,
    /// Copying the catalog.
    Copy,
}

/// The keeper of a claim: a lock of a file, or a connection to a database.
#[async_trait::async_trait]
pub trait Hold: Send + Sync {
    /// Returns false once the claim is lost. Asks the keeper, because a process that stood still
    /// does not know what it lost meanwhile.
    async fn is_held(&self) -> bool;
}

#[async_trait::async_trait]
impl Hold for File {
    /// A lock of an open file is not lost.
    async fn is_held(&self) -> bool {
        true
    }
}

/// The exclusive right to a task, released when dropped and with the process at the latest.
pub struct Claim {
    hold: Box<dyn Hold>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}

impl Claim {
    /// Makes a claim that lasts until `hold` is dropped.
    pub fn new(hold: impl Hold + 'static) -> Self {
        Self { hold: Box::new(hold) }
    }

    /// Returns false once the claim is lost, and another process may have it.
    pub async fn is_held(&self) -> bool {
        self.hold.is_held().await
    }
}

/// A copy of the catalog about to be made.
pub struct CopyPlan {
    /// The maximum length of the copy, in bytes.
    pub len_max: u64,
    /// Makes and verifies the copy, of one moment of the catalog in use, and returns it as a file
    /// without a name. Blocks.
    pub make: Box<dyn FnOnce() -> Result<File, CatalogError> + Send>,
}

/// A receiver of the rows of a catalog, table by table.
pub trait Rows {
    /// Begins a table, and returns the columns to send, in order. The table is empty then.
    ///
    /// # Errors
    /// If the receiver fails.
    fn columns(&self, table: &'static str) -> Result<Vec<String>, CatalogError>;
    /// Adds a row to the table that was begun.
    ///
    /// # Errors
    /// If the receiver fails, or has such a row.
    fn add(&self, table: &'static str, row: &[Value<'_>]) -> TxResult<()>;
}

/// Sends the rows of all tables, at one moment of a catalog in use. Blocks.
pub type Export = Box<dyn FnOnce(&dyn Rows) -> Result<(), CatalogError> + Send>;

/// The rows of a catalog under construction. They have no effect unless committed.
pub trait Intake: Rows {
    /// Commits the rows. Blocks.
    ///
    /// # Errors
    /// If the rows contradict each other, or the engine fails.
    fn commit(self: Box<Self>) -> Result<(), CatalogError>;
}

/// A catalog file under construction, of the form in which every engine copies its catalog.
pub trait Blank: Rows {
    /// Verifies the copy, and returns it as a file without a name.
    ///
    /// # Errors
    /// If the copy is not sound, or cannot be synced.
    fn finish(self: Box<Self>) -> Result<File, CatalogError>;
}

/// Makes a file to copy a catalog into.
pub type NewBlank = Arc<dyn Fn() -> Result<Box<dyn Blank>, CatalogError> + Send + Sync>;

/// A database with the tables of the catalog.
#[async_trait::async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Runs `work` in a transaction. `action` names the purpose in errors. The transaction goes on
    /// when the caller is dropped, so that a client that disconnects leaves no commit in doubt.
    async fn run(
        &self,
        access: Access,
        action: &'static str,
        work: Work,
    ) -> Result<(), CatalogError>;
    /// Claims a task among all processes that use the database; `None` if it is taken.
    async fn claim(&self, task: Task) -> Result<Option<Claim>, CatalogError>;
    /// Plans a copy of the catalog.
    fn copy(&self) -> Result<CopyPlan, CatalogError>;
    /// Returns a reader of all rows.
    fn export(&self) -> Result<Export, CatalogError>;
    /// Returns the faults the database finds in its own files and references.
    async fn check(&self) -> Result<Vec<String>, CatalogError>;
    /// Returns the time since 1970-01-01 UTC by the clock that all registries over the database
    /// share; `None` if that is the clock of this machine.
    fn now(&self) -> Option<Duration>;
    /// Returns the barrier that keeps the catalog from being written, if any.
    fn barrier(&self) -> Option<Barrier>;
}
