//! The catalog in a PostgreSQL database, shared by any number of registries.
//!
//! # Invariants
//!
//! 1. Writes are serial in all registries: each begins by locking the row of `schema_version`
//!    (`FOR UPDATE`), and reads what was committed before. A lock of a row ends with its
//!    transaction, whatever becomes of the process.
//! 2. A read is a transaction of one state (`REPEATABLE READ READ ONLY`).
//! 3. A transaction that returned is durable as the server is configured: on its disk at least.
//! 4. No work is done twice: the outcome of a commit that was not answered is asked for (`lanes`).
//! 5. No statement costs a round trip per row (`sets`).
//!
//! # Concurrency
//!
//! | running ↓ / starting → | read | write | migration |
//! |---|---|---|---|
//! | read | free, `READERS` at once | free: readers see the last commit | waits for the reader |
//! | write | free | waits, at most 10 s a try | waits |
//! | migration | waits | waits | waits, then finds it done |
//!
//! # After a crash
//!
//! The server rolls the transaction of a lost connection back. Claims end with their connection.

mod anew;
mod check;
mod connection;
mod copy;
mod error;
mod intake;
mod lanes;
mod migrate;
mod scratch;
mod sets;
mod tx;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use seawall_store::error::ErrorKind;
use tokio::runtime::{Handle, Runtime};
use tokio_postgres::Client;

use super::Catalog;
use super::engine::{Access, Claim, CopyPlan, Engine, Export, Hold, NewBlank, Task, Work};
use super::error::{Barrier, CatalogError};
use super::tx::{TxError, TxResult};
pub use anew::{Anew, begin_anew};
pub use connection::{Address, Environment, InvalidAddress};
use connection::{Connector, Session};
use error::{failed, fault, is_read_only};
use lanes::{Lane, Mode};
use scratch::State;
pub use scratch::{Found, Scratch};

/// The maximum number of concurrent reads.
const READERS: usize = 8;
/// The number of threads that drive connections. Statements wait on threads of their own.
const DRIVERS: usize = 1;
/// The maximum time until the server answers on the connection of a claim.
const HELD_TIME_MAX: Duration = Duration::from_secs(5);
/// The time to wait for the end of a claim. Its connection ends it later otherwise.
const UNLOCK_TIME_MAX: Duration = Duration::from_secs(1);

/// The engine of a catalog in a PostgreSQL database.
struct Postgres {
    connector: Connector,
    writer: Arc<Lane>,
    /// For transactions that open and close the gate of a relocation.
    gate: Arc<Lane>,
    readers: Arc<Lane>,
    /// Makes the files of copies.
    new_copy: NewBlank,
    /// The barrier to writing, if any.
    barrier: Mutex<Option<Barrier>>,
    /// Drives the connections, whichever runtime a caller uses.
    runtime: Drivers,
}

/// A runtime that is dropped in any context.
struct Drivers {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Drivers {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Drivers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the catalog in a database, or begins one if there is none. A catalog that cannot be
/// written is opened read-only. A copy of the catalog is a file of `new_copy`. Blocks.
///
/// # Errors
/// If the database cannot be reached or used, contains other tables, or was migrated by a later
/// version that excludes this one.
pub fn find(address: &Address, new_copy: NewBlank) -> Result<Found, CatalogError> {
    const ACTION: &str = "be opened";
    let runtime = drivers()?;
    let handle = runtime.handle().clone();
    let connector =
        Connector::new(address, handle.clone()).map_err(|error| fault_of_io(ACTION, error))?;
    let state = {
        let connector = connector.clone();
        on_a_thread(&handle, move || {
            let state = scratch::prepare(&connector)?;
            let epoch = connector.connect().and_then(|session| migrate::epoch(&session));
            Ok::<_, CatalogError>((state, epoch.map_err(|error| failed(ACTION, error))?))
        })
    };
    let (state, epoch) = state.ok_or_else(|| ended(ACTION))??;
    let barrier = matches!(state, State::ReadOnly).then_some(Barrier::Standby);
    let engine = Postgres::new(connector, new_copy, runtime, barrier, epoch);
    let catalog = Catalog::new(Arc::new(engine));
    Ok(match state {
        State::ToFill(lock) => Found::Nothing(Scratch { catalog, lock }),
        State::Ready | State::ReadOnly => Found::Catalog(catalog),
    })
}

/// Opens the catalog in a database if there is one. Makes nothing. Blocks.
///
/// # Errors
/// As [`find`].
pub fn peek(address: &Address, new_copy: NewBlank) -> Result<Option<Catalog>, CatalogError> {
    const ACTION: &str = "be opened";
    let drivers = drivers()?;
    let connector = Connector::new(address, drivers.handle().clone());
    let connector = connector.map_err(|error| fault_of_io(ACTION, error))?;
    let is_there = on_a_thread(drivers.handle(), move || scratch::is_there(&connector));
    if !is_there.ok_or_else(|| ended(ACTION))?? {
        return Ok(None);
    }
    match find(address, new_copy)? {
        Found::Catalog(catalog) => Ok(Some(catalog)),
        Found::Nothing(_) => Ok(None),
    }
}

/// Makes the runtime that drives connections.
fn drivers() -> Result<Drivers, CatalogError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(DRIVERS)
        .thread_name("seawall-postgres")
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| fault_of_io("be opened", error))?;
    let handle = runtime.handle().clone();
    Ok(Drivers { runtime: Some(runtime), handle })
}

fn fault_of_io(action: &'static str, error: std::io::Error) -> CatalogError {
    fault(ErrorKind::Unavailable, action, error)
}

/// Returns the failure of work whose thread panicked.
fn ended(action: &'static str) -> CatalogError {
    fault(ErrorKind::Internal, action, "its thread ended")
}

/// Opens the catalog in a database, which begins empty. Otherwise as [`find`].
///
/// # Errors
/// As [`find`].
pub fn open(address: &Address, new_copy: NewBlank) -> Result<Catalog, CatalogError> {
    match find(address, new_copy)? {
        Found::Catalog(catalog) => Ok(catalog),
        Found::Nothing(scratch) => scratch.finish(),
    }
}

/// Runs statements in a database, past any catalog. Blocks.
#[cfg(test)]
pub(crate) fn run_sql(address: &Address, sql: &str) -> TxResult<()> {
    static RUNTIME: std::sync::LazyLock<Runtime> = std::sync::LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    });
    let connector = Connector::new(address, RUNTIME.handle().clone()).unwrap();
    let sql = sql.to_owned();
    on_a_thread(RUNTIME.handle(), move || connector.connect()?.batch(&sql)).unwrap()
}

/// Runs `work` on a thread of `runtime`, which may wait for the database, and waits for it in any
/// context. `None` if the work panicked.
fn on_a_thread<T: Send + 'static>(
    runtime: &Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (send, done) = mpsc::channel();
    runtime.spawn_blocking(move || send.send(work()));
    done.recv().ok()
}

impl Postgres {
    /// Makes the engine of a catalog that was opened in `epoch`.
    fn new(
        connector: Connector,
        new_copy: NewBlank,
        runtime: Drivers,
        barrier: Option<Barrier>,
        epoch: i64,
    ) -> Self {
        let lane = |mode, width| Lane::new(connector.clone(), mode, width);
        Self {
            writer: lane(Mode::Write(epoch), 1),
            gate: lane(Mode::Gate, 1),
            readers: lane(Mode::Read, READERS),
            connector,
            new_copy,
            barrier: Mutex::new(barrier),
            runtime,
        }
    }

    fn handle(&self) -> TxResult<&Handle> {
        Ok(self.runtime.handle())
    }

    /// Runs `work` with a connection of its own, beside the transactions.
    async fn inspect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> TxResult<T> + Send + 'static,
    ) -> TxResult<T> {
        let connector = self.connector.clone();
        let work = move || work(&mut connector.connect()?);
        let done = self.handle()?.spawn_blocking(work).await;
        done.map_err(|error| TxError::new(ErrorKind::Internal, error))?
    }

    fn set_barrier(&self, barrier: Option<Barrier>) {
        let mut own = self.barrier.lock().unwrap_or_else(PoisonError::into_inner);
        match (*own, barrier) {
            (None, Some(why)) => {
                tracing::warn!(why = why.as_str(), "the catalog is read-only");
            }
            (Some(_), None) => tracing::info!("the catalog can be written again"),
            _ => {}
        }
        *own = barrier;
    }
}

#[async_trait::async_trait]
impl Engine for Postgres {
    async fn run(
        &self,
        access: Access,
        action: &'static str,
        work: Work,
    ) -> Result<(), CatalogError> {
        let fail = |error| failed(action, error);
        let handle = self.handle().map_err(fail)?;
        if access == Access::Read {
            // A standby may have been promoted.
            if self.barrier().is_some()
                && self.inspect(|session| migrate::can_write(session)).await.map_err(fail)?
            {
                self.set_barrier(None);
            }
            return self.readers.run(handle, work).await.map_err(fail);
        }
        let lane = if access == Access::Gate { &self.gate } else { &self.writer };
        let done = lane.run(handle, work).await;
        match &done {
            Ok(()) => self.set_barrier(None),
            Err(error) if is_read_only(error) => self.set_barrier(Some(Barrier::Standby)),
            Err(_) => {}
        }
        done.map_err(fail)
    }

    async fn claim(&self, task: Task) -> Result<Option<Claim>, CatalogError> {
        let (name, action) = match task {
            Task::Collect => ("collect", "claim the sweep"),
            Task::Copy => ("copy", "claim the copy"),
        };
        let connector = self.connector.clone();
        let claiming = async move {
            let session = connector.connected().await?;
            let sql = "SELECT pg_try_advisory_lock(hashtextextended(
                           'seawall ' || current_schema() || ' ' || CAST($1 AS TEXT), 0))";
            let found = session.client().query_one(sql, &[&name]).await?;
            Ok::<_, TxError>(found.try_get::<_, bool>(0)?.then_some(session))
        };
        let handle = self.handle().map_err(|error| failed(action, error))?;
        let claimed = handle.spawn(claiming).await;
        let claimed = claimed.map_err(|error| fault(ErrorKind::Internal, action, error))?;
        let session = claimed.map_err(|error| failed(action, error))?;
        Ok(session.map(|session| Claim::new(Held::new(session, handle.clone()))))
    }

    fn copy(&self) -> Result<CopyPlan, CatalogError> {
        const ACTION: &str = "be copied";
        let handle = self.handle().map_err(|error| failed(ACTION, error))?.clone();
        let connector = self.connector.clone();
        let len_max = on_a_thread(&handle, move || copy::len_max(&connector.connect()?));
        let len_max =
            len_max.ok_or_else(|| ended(ACTION))?.map_err(|error| failed(ACTION, error))?;
        let (connector, new) = (self.connector.clone(), Arc::clone(&self.new_copy));
        let make = move || {
            let made = on_a_thread(&handle, move || copy::make(&connector, &new));
            made.ok_or_else(|| ended(ACTION))?
        };
        Ok(CopyPlan { len_max, make: Box::new(make) })
    }

    fn export(&self) -> Result<Export, CatalogError> {
        let connector = self.connector.clone();
        Ok(Box::new(move |rows| copy::export(&connector, rows)))
    }

    async fn check(&self) -> Result<Vec<String>, CatalogError> {
        let found = self.inspect(check::faults).await;
        found.map_err(|error| failed("check its rows", error))
    }

    fn now(&self) -> Option<Duration> {
        self.connector.clock().now()
    }

    fn barrier(&self) -> Option<Barrier> {
        *self.barrier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection of a claim. The claim ends with it.
struct Held {
    session: Option<Session>,
    runtime: Handle,
}

impl Held {
    fn new(session: Session, runtime: Handle) -> Self {
        Self { session: Some(session), runtime }
    }
}

#[async_trait::async_trait]
impl Hold for Held {
    async fn is_held(&self) -> bool {
        let Some(session) = &self.session else { return false };
        // The server answers on this connection only as long as it keeps the connection's locks.
        let answer = session.client().batch_execute("SELECT 1");
        tokio::time::timeout(HELD_TIME_MAX, answer).await.is_ok_and(|answer| answer.is_ok())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        // The next claim may follow at once, and the server takes a moment to notice the end of a
        // connection.
        let (send, unlocked) = mpsc::channel();
        self.runtime.spawn(async move {
            let _ = unlock(session.client()).await;
            let _ = send.send(());
        });
        let _ = unlocked.recv_timeout(UNLOCK_TIME_MAX);
    }
}

fn unlock(client: &Client) -> impl Future<Output = Result<(), tokio_postgres::Error>> + '_ {
    client.batch_execute("SELECT pg_advisory_unlock_all()")
}
