//! Connections to the catalog: one writer and a few readers, each lent to one call at a time on the
//! blocking pool.
//!
//! A catalog that cannot be written ([`Barrier`]) is still read. If another process has the file
//! open, this process reads as any other reader does. Otherwise the file is opened as immutable
//! (`immutable=1`), and each transaction checks at its end that the file did not change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use seawall_store::error::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{SqlResult, failed, fault, refused};
use super::migrate;
use super::reserve::Reserve;
use super::tx::SqliteTx;
use crate::catalog::engine::{Access, Work};
use crate::catalog::error::{Barrier, CatalogError};
use crate::catalog::model::relocation::check_gate;
use crate::catalog::tx::{TxError, TxResult};

/// The maximum number of concurrent reads.
const READERS: usize = 4;
/// The time a write waits for the write of another process.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// Pause between retries where SQLite does not wait itself.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// Page cache of one connection, in KiB.
const CACHE_KIB: i32 = 8 * 1024;
/// The number of prepared statements cached per connection.
const STATEMENTS: usize = 64;

/// The durability of commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Durability {
    /// Every commit is durable when it returns.
    EveryCommit,
    /// No commit is durable: for a file that gets its name only after a sync of the whole.
    Never,
}

#[derive(Debug)]
pub(super) struct Connections {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
    reserve: Arc<Reserve>,
    /// The barrier to writing, if any.
    barrier: Arc<Mutex<Option<Barrier>>>,
    /// The epoch of the catalog when it was opened.
    epoch: i64,
}

/// The kind of a transaction.
#[derive(Clone, Copy, Debug)]
enum Transacting {
    Read,
    /// Writes, unless the gate of a relocation is closed, or the catalog has left this epoch.
    Write(i64),
    /// Writes through the gate.
    Gate,
}

/// A pool of interchangeable connections.
#[derive(Debug)]
struct Lane {
    path: PathBuf,
    durability: Durability,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    /// The state of the file when it was opened as immutable.
    immutable: Mutex<Option<Stamp>>,
    /// Counts the renewals of the lane. A connection lent before a renewal is dropped, not
    /// returned.
    epoch: AtomicU64,
    barrier: Arc<Mutex<Option<Barrier>>>,
}

/// The state of a file, to detect changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
    log_len: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        let log_len = std::fs::metadata(log_of(path)).map_or(0, |meta| meta.len());
        let modified = (meta.mtime(), meta.mtime_nsec());
        Ok(Self { inode: meta.ino(), len: meta.len(), modified, log_len })
    }
}

/// Returns the path of a database's write-ahead log.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection on loan, returned to its lane when the call ends, even by a panic.
struct Lent {
    lane: Arc<Lane>,
    connection: Option<Connection>,
    epoch: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut idle = locked(&self.lane.idle);
        if let Some(connection) = self.connection.take()
            && self.epoch == self.lane.epoch.load(Ordering::Relaxed)
        {
            idle.push(connection);
        }
    }
}

impl Connections {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, CatalogError> {
        let writer = open_with(path, durability, OpenFlags::SQLITE_OPEN_CREATE);
        let mut writer = writer.map_err(|error| failed("be opened", error))?;
        migrate::migrate(&mut writer)?;
        migrate::check(&writer)?;
        let epoch = gate(&writer).map_err(|error| failed("be opened", error))?.0;
        let barrier = Arc::default();
        Ok(Self {
            epoch,
            writer: Lane::new(path, (durability, &barrier), 1, vec![writer]),
            readers: Lane::new(path, (durability, &barrier), READERS, vec![]),
            reserve: Arc::new(Reserve::beside(path)),
            barrier,
        })
    }

    /// Opens a catalog that cannot be written.
    pub(super) fn open_to_read(path: &Path, why: Barrier) -> Result<Self, CatalogError> {
        let barrier = Arc::new(Mutex::new(Some(why)));
        let lane = |width| Lane::new(path, (Durability::EveryCommit, &barrier), width, vec![]);
        let (writer, readers) = (lane(1), lane(READERS));
        let connection = readers.connect().map_err(|error| failed("be opened", error))?;
        migrate::check_version(&connection)?;
        migrate::check(&connection)?;
        let epoch = gate(&connection).map_err(|error| failed("be opened", error))?.0;
        locked(&readers.idle).push(connection);
        Ok(Self { writer, readers, reserve: Arc::new(Reserve::beside(path)), barrier, epoch })
    }

    /// Returns the barrier to writing, if any.
    pub(super) fn barrier(&self) -> Option<Barrier> {
        *locked(&self.barrier)
    }

    /// Releases the reserve if the disk is full. A catalog read-only for lack of space becomes
    /// writable again.
    async fn make_room(&self) -> Result<(), CatalogError> {
        const ACTION: &str = "delete or collect";
        let (lane, readers) = (Arc::clone(&self.writer), Arc::clone(&self.readers));
        let (reserve, barrier) = (Arc::clone(&self.reserve), Arc::clone(&self.barrier));
        let work = move || {
            let why = *locked(&barrier);
            match why {
                Some(
                    barrier @ (Barrier::Denied
                    | Barrier::Standby
                    | Barrier::Moving
                    | Barrier::Moved),
                ) => {
                    return Err(refused(ACTION, barrier));
                }
                Some(Barrier::Full) => {
                    reserve.release();
                    let refused = |_| refused(ACTION, Barrier::Full);
                    let writer = connect(&lane.path, lane.durability).map_err(refused)?;
                    migrate::check_version(&writer)?;
                    *locked(&barrier) = None;
                    locked(&lane.idle).push(writer);
                    readers.renew();
                }
                None if reserve.is_needed() => drop(reserve.release()),
                None => {}
            }
            Ok(())
        };
        let internal = |error: tokio::task::JoinError| fault(ErrorKind::Internal, ACTION, error);
        tokio::task::spawn_blocking(work).await.map_err(internal)?
    }

    /// Makes the reserve again if the disk has enough room.
    async fn keep_room(&self) {
        if self.barrier().is_none() {
            let reserve = Arc::clone(&self.reserve);
            let _ = tokio::task::spawn_blocking(move || reserve.keep()).await;
        }
    }

    /// Returns the path of the catalog.
    pub(super) fn path(&self) -> &Path {
        &self.writer.path
    }

    /// Runs `work` with a connection of its own, beside the transactions.
    pub(super) async fn inspect<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let lane = Arc::clone(&self.readers);
        let work = move || work(&lane.connect()?);
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| fault(ErrorKind::Internal, action, error))?;
        done.map_err(|error| failed(action, error))
    }

    /// Runs `work` in a transaction. Changes are durable when this returns, and have no effect when
    /// this fails.
    pub(super) async fn run(
        &self,
        access: Access,
        action: &'static str,
        work: Work,
    ) -> Result<(), CatalogError> {
        if access == Access::Read {
            return self.readers.run(action, Transacting::Read, work).await;
        }
        if access == Access::Free {
            self.make_room().await?;
        }
        if let Some(barrier) = self.barrier() {
            return Err(refused(action, barrier));
        }
        let how = match access {
            Access::Gate => Transacting::Gate,
            _ => Transacting::Write(self.epoch),
        };
        self.writer.run(action, how, work).await?;
        if access == Access::Free {
            self.keep_room().await;
        }
        Ok(())
    }
}

impl Lane {
    fn new(
        path: &Path,
        (durability, barrier): (Durability, &Arc<Mutex<Option<Barrier>>>),
        width: usize,
        idle: Vec<Connection>,
    ) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            durability,
            permits: Arc::new(Semaphore::new(width)),
            idle: Mutex::new(idle),
            immutable: Mutex::new(None),
            epoch: AtomicU64::new(0),
            barrier: Arc::clone(barrier),
        })
    }

    fn connect(&self) -> SqlResult<Connection> {
        if locked(&self.barrier).is_none() {
            return connect(&self.path, self.durability);
        }
        let (connection, immutable) = connect_to_read(&self.path)?;
        let before = *locked(&self.immutable);
        if before.is_some() && before != immutable {
            self.renew();
        }
        *locked(&self.immutable) = immutable;
        Ok(connection)
    }

    /// Drops idle connections and retires lent ones, so that later calls open the file again.
    fn renew(&self) {
        let mut idle = locked(&self.idle);
        self.epoch.fetch_add(1, Ordering::Relaxed);
        idle.clear();
        *locked(&self.immutable) = None;
    }

    /// Fails if a file opened as immutable has changed.
    fn check_unchanged(&self) -> SqlResult<()> {
        let Some(stamp) = *locked(&self.immutable) else { return Ok(()) };
        if Stamp::of(&self.path).is_ok_and(|now| now == stamp) {
            return Ok(());
        }
        self.renew();
        let why = "another process is writing the catalog, which this process only reads";
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        Err(rusqlite::Error::SqliteFailure(code, Some(why.to_owned())))
    }

    async fn run(
        self: &Arc<Self>,
        action: &'static str,
        how: Transacting,
        mut work: Work,
    ) -> Result<(), CatalogError> {
        let internal = |error: tokio::task::JoinError| fault(ErrorKind::Internal, action, error);
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(fault(ErrorKind::Unavailable, action, "the catalog is closing"));
        };
        let lane = Arc::clone(self);
        // The work continues when the caller is dropped: a client that hangs up never leaves a
        // commit in doubt.
        let done = tokio::task::spawn_blocking(move || lane.run_here(permit, how, &mut work));
        done.await.map_err(internal)?.map_err(|error| failed(action, error))
    }

    /// Runs `work` in a transaction of a connection of this lane, on this thread.
    fn run_here(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        how: Transacting,
        work: &mut Work,
    ) -> TxResult<()> {
        let (idle, epoch) = {
            let mut idle = locked(&self.idle);
            (idle.pop(), self.epoch.load(Ordering::Relaxed))
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let lane = Arc::clone(self);
        let mut lent = Lent { lane, connection: Some(connection), epoch, _permit: permit };
        let Some(connection) = lent.connection.as_mut() else {
            return Err(TxError::new(ErrorKind::Internal, "a lent connection is gone"));
        };
        let behavior = match how {
            Transacting::Read => TransactionBehavior::Deferred,
            Transacting::Write(_) | Transacting::Gate => TransactionBehavior::Immediate,
        };
        let tx = connection.transaction_with_behavior(behavior)?;
        if let Transacting::Write(epoch) = how {
            check_gate(gate(&tx)?, epoch)?;
        }
        let done = work(&mut SqliteTx(&tx));
        let done = done.and_then(|()| Ok(tx.commit()?));
        if let Err(error) = self.check_unchanged() {
            // The transaction may have seen part of a change.
            lent.connection = None;
            return Err(error.into());
        }
        done
    }
}

/// Returns the epoch and the state of the gate of a relocation.
fn gate(connection: &Connection) -> SqlResult<(i64, i64)> {
    let mut statement = connection.prepare_cached("SELECT epoch, state FROM relocation")?;
    let found = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?.unwrap_or_default())
}

/// Opens a file that is there. In the place of a catalog that was moved away, no empty one is made.
pub(super) fn connect(path: &Path, durability: Durability) -> SqlResult<Connection> {
    open_with(path, durability, OpenFlags::empty())
}

fn open_with(path: &Path, durability: Durability, more: OpenFlags) -> SqlResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
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
    // Without this, a REPLACE deletes rows without firing the triggers that guard them.
    connection.pragma_update(None, "recursive_triggers", "ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// Opens a file that cannot be written. If the file is opened as immutable, also returns its state.
fn connect_to_read(path: &Path) -> SqlResult<(Connection, Option<Stamp>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let settle = |connection: &Connection| {
        connection.busy_timeout(BUSY_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.query_row("SELECT COUNT(*) FROM sqlite_master", [], |_| Ok(()))
    };
    // While another process has the file open, the index of its log exists and can be shared.
    let shared = Connection::open_with_flags(path, flags).and_then(|connection| {
        settle(&connection)?;
        Ok(connection)
    });
    let error = match shared {
        Ok(connection) => return Ok((connection, None)),
        Err(error) => error,
    };
    let Ok(stamp @ Stamp { log_len: 0, .. }) = Stamp::of(path) else { return Err(error) };
    let uri = format!("file:{}?immutable=1", escaped(path));
    let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
    settle(&connection)?;
    Ok((connection, Some(stamp)))
}

/// Escapes a path for use in a URI.
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let escape = |byte: &u8| match *byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.map(escape).collect()
}

/// Enables the write-ahead log. When several processes open a new file at once, one of them does
/// this. SQLite reports busy to the others at once, without waiting as for a lock, so they retry.
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
