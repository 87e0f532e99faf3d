//! Connections: one that writes, a few that read, lent to the blocking pool one call at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use seawall_store::error::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::schema;
use crate::catalog::error::CatalogError;

/// How many calls read at once.
const READERS: usize = 4;
/// How long a write waits for another process to finish its own.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// Between tries where SQLite does not wait itself.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// Page cache of one connection, in KiB.
const CACHE_KIB: i32 = 8 * 1024;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// What the functions that hold the SQL return.
pub(super) type SqlResult<T> = Result<T, rusqlite::Error>;

/// What a commit waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Durability {
    /// Each is durable when it returns.
    EveryCommit,
    /// None is: for a file that has its place only once it was synced whole.
    Never,
}

#[derive(Debug)]
pub(super) struct Connections {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
}

/// Connections that stand in for each other.
#[derive(Debug)]
struct Lane {
    path: PathBuf,
    durability: Durability,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// A connection that goes back to its lane when the call ends, however it ends.
struct Lent {
    lane: Arc<Lane>,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.lane.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

impl Connections {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, CatalogError> {
        let mut writer = connect(path, durability).map_err(|error| failed("be opened", error))?;
        schema::migrate(&mut writer)?;
        schema::check(&writer)?;
        Ok(Self {
            writer: Lane::new(path, durability, 1, vec![writer]),
            readers: Lane::new(path, durability, READERS, vec![]),
        })
    }

    /// Where the catalog lies.
    pub(super) fn path(&self) -> &Path {
        &self.writer.path
    }

    /// Runs `work` in a transaction that sees one state of the catalog and changes nothing.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> SqlResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.readers.run(action, TransactionBehavior::Deferred, work).await
    }

    /// Runs `work` in a transaction that is durable when this returns, and did not happen when
    /// this fails.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> SqlResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.writer.run(action, TransactionBehavior::Immediate, work).await
    }
}

impl Lane {
    fn new(path: &Path, durability: Durability, width: usize, idle: Vec<Connection>) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(width));
        Arc::new(Self { path: path.to_owned(), durability, permits, idle: Mutex::new(idle) })
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> SqlResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let internal =
            |error: tokio::task::JoinError| CatalogError::new(ErrorKind::Internal, action, error);
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(CatalogError::new(ErrorKind::Unavailable, action, "it is closing"));
        };
        let lane = Arc::clone(self);
        // The work goes on when the caller is dropped: a commit is never left in doubt by a
        // client that hangs up.
        tokio::task::spawn_blocking(move || {
            let idle = lane.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&lane.path, lane.durability)?,
            };
            let mut lent = Lent { lane, connection: Some(connection), _permit: permit };
            let Some(connection) = lent.connection.as_mut() else {
                return Err(rusqlite::Error::InvalidQuery);
            };
            let tx = connection.transaction_with_behavior(behavior)?;
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        })
        .await
        .map_err(internal)?
        .map_err(|error| failed(action, error))
    }
}

pub(super) fn connect(path: &Path, durability: Durability) -> SqlResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    use_write_ahead_log(&connection)?;
    let synchronous = match durability {
        Durability::EveryCommit => "FULL",
        Durability::Never => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// Turns the log on. Of processes that open a new file at once one does it; SQLite tells the
/// others at once that it is busy, without waiting as it does for a lock, so they try again.
fn use_write_ahead_log(connection: &Connection) -> SqlResult<()> {
    let deadline = Instant::now() + BUSY_WAIT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

pub(super) fn failed(action: &'static str, error: rusqlite::Error) -> CatalogError {
    use rusqlite::Error;
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Damaged,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            ErrorKind::Denied
        }
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory,
        ) => ErrorKind::Unavailable,
        Some(_) => ErrorKind::Internal,
        None => match error {
            // A value that does not parse, a row that is not there or one too many: none of our
            // statements left it so.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
            | Error::StatementChangedRows(..)
            | Error::QueryReturnedNoRows => ErrorKind::Damaged,
            _ => ErrorKind::Internal,
        },
    };
    CatalogError::new(kind, action, error)
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Type;

    use super::*;

    /// Only what was read can be damaged: a value that we cannot write is a defect of ours, and a
    /// file that we may not write is for the operator. Neither is mended by another catalog.
    #[test]
    fn only_what_was_read_is_said_to_be_damaged() {
        let coded = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let sequence = i64::try_from(u64::MAX).unwrap_err();
        let cases = [
            (rusqlite::Error::ToSqlConversionFailure(sequence.into()), ErrorKind::Internal),
            (rusqlite::Error::InvalidQuery, ErrorKind::Internal),
            (rusqlite::Error::IntegralValueOutOfRange(0, -1), ErrorKind::Damaged),
            (rusqlite::Error::StatementChangedRows(0), ErrorKind::Damaged),
            (rusqlite::Error::InvalidColumnType(0, "x".to_owned(), Type::Null), ErrorKind::Damaged),
            (coded(rusqlite::ffi::SQLITE_CORRUPT), ErrorKind::Damaged),
            (coded(rusqlite::ffi::SQLITE_READONLY), ErrorKind::Denied),
            (coded(rusqlite::ffi::SQLITE_CANTOPEN), ErrorKind::Denied),
            (coded(rusqlite::ffi::SQLITE_BUSY), ErrorKind::Unavailable),
            (coded(rusqlite::ffi::SQLITE_FULL), ErrorKind::StorageFull),
        ];
        for (error, want) in cases {
            let text = error.to_string();
            let error = failed("serve", error);
            assert_eq!(error.kind(), want, "{text}");
            let remedy = error.remedy().unwrap_or_default();
            assert_eq!(remedy.contains("aside"), want == ErrorKind::Damaged, "{text}");
            assert_eq!(remedy.contains("owner"), want == ErrorKind::Denied, "{text}");
        }
    }
}
