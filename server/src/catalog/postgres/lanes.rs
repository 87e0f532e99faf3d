//! Lanes of connections, and the transactions that run on them.
//!
//! # Retries
//!
//! Work that failed for a passing reason runs again, up to a deadline: the server restarts, another
//! one takes its place, a deadlock is broken.
//!
//! The deadline of work that waits behind failing work does not begin anew when its turn comes:
//! while the server is gone, no queue makes a request wait for long.
//!
//! # Unanswered commits
//!
//! A connection that is lost while a commit is on its way leaves its outcome open. Each write adds
//! to the count of its lane, in a row of the table `writers` (ADR 0011). The next write of the lane
//! finds a higher count if the commit took effect: the row waits for the lost transaction, follows
//! a failover, and tells a transaction from a later one with the same number. The commit of that
//! next write makes the answer as durable as any other.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use seawall_store::error::ErrorKind;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Connector, Session};
use super::error::{Passing, Silent, is_read_only, passing};
use super::migrate::{self, check_servable};
use super::tx::PostgresTx;
use crate::catalog::engine::Work;
use crate::catalog::model::relocation::check_gate;
use crate::catalog::tx::{TxError, TxResult};

/// The maximum time of work with its retries, counted from its first failure.
const RETRY_TIME_MAX: Duration = Duration::from_secs(15);
/// The pauses between retries double from the first to the last of these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Interchangeable connections of one purpose.
pub(super) struct Lane {
    connector: Connector,
    mode: Mode,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    /// The time of the first failure since the server last answered.
    silent_since: Mutex<Option<Instant>>,
    /// The name of the lane in the table `writers`, from the first write on.
    name: OnceLock<String>,
}

/// The kind of a lane's transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Reads of one state.
    Read,
    /// Writes, one after the other in all processes, unless the gate of a relocation is closed, or
    /// the catalog has left this epoch.
    Write(i64),
    /// Writes through the gate.
    Gate,
}

/// The outcome of a transaction.
enum Attempt {
    Done,
    Failed(TxError),
    /// The connection was lost while the write with this count was being committed.
    Open(TxError, i64),
}

impl Lane {
    pub(super) fn new(connector: Connector, mode: Mode, width: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(width));
        let (idle, silent_since, name) = <_>::default();
        Arc::new(Self { connector, mode, permits, idle, silent_since, name })
    }

    /// Runs `work` in a transaction, on a thread of `runtime` that may block. The work goes on when
    /// the caller is dropped.
    pub(super) async fn run(self: &Arc<Self>, runtime: &Handle, mut work: Work) -> TxResult<()> {
        let lane = Arc::clone(self);
        let blocking = runtime.clone();
        let begun = Instant::now();
        let done = runtime.spawn(async move {
            let permit = Arc::clone(&lane.permits).acquire_owned().await;
            let permit = permit.map_err(|error| TxError::new(ErrorKind::Unavailable, error))?;
            let done =
                blocking.spawn_blocking(move || lane.run_here(permit, begun, &mut work)).await;
            done.map_err(|error| TxError::new(ErrorKind::Internal, error))?
        });
        done.await.map_err(|error| TxError::new(ErrorKind::Internal, error))?
    }

    /// Runs work that was begun at `begun`.
    fn run_here(
        &self,
        _permit: OwnedSemaphorePermit,
        begun: Instant,
        work: &mut Work,
    ) -> TxResult<()> {
        let (mut retry, mut open) = (Retry::default(), None);
        if let Some(since) = *self.silent_since() {
            retry.deadline = Some(since.max(begun) + RETRY_TIME_MAX);
            retry.check(|| TxError::new(ErrorKind::Unavailable, Silent))?;
        }
        loop {
            let attempt = self.attempt(work, open);
            match &attempt {
                Attempt::Failed(error) if passing(error) != Passing::Lost => {
                    *self.silent_since() = None;
                }
                Attempt::Failed(_) | Attempt::Open(..) => {
                    self.silent_since().get_or_insert_with(Instant::now);
                }
                Attempt::Done => *self.silent_since() = None,
            }
            let error = match attempt {
                Attempt::Done => return Ok(()),
                Attempt::Failed(error) if passing(&error) == Passing::No => return Err(error),
                Attempt::Failed(error) => error,
                Attempt::Open(error, count) => {
                    open = Some(open.unwrap_or(count));
                    error
                }
            };
            retry.pause(error)?;
        }
    }

    /// Runs `work` once; not if the write with the count `open` took effect.
    fn attempt(&self, work: &mut Work, open: Option<i64>) -> Attempt {
        let mut session = match self.session() {
            Ok(session) => session,
            Err(error) => return Attempt::Failed(error),
        };
        let count = match self.begin(&mut session) {
            Ok(count) => count,
            Err(error) => return self.failed(session, error),
        };
        let is_done = open.zip(count).is_some_and(|(open, count)| count > open);
        if !is_done {
            let mut tx = PostgresTx::new(&mut session);
            if let Err(error) = work(&mut tx) {
                return self.failed(session, error);
            }
            if tx.has_failed {
                let why = "the work went on after a statement had failed";
                return self.failed(session, TxError::new(ErrorKind::Internal, why));
            }
        }
        if self.mode == Mode::Gate
            && let Err(error) = session.batch(&migrate::set_gate())
        {
            return self.failed(session, error);
        }
        match (session.batch("COMMIT"), count) {
            (Ok(()), _) => {
                self.idle().push(session);
                Attempt::Done
            }
            (Err(error), Some(count)) if passing(&error) == Passing::Lost => {
                Attempt::Open(error, count)
            }
            (Err(error), _) => self.failed(session, error),
        }
    }

    /// Begins a transaction. Returns the count of the lane's writes if it writes.
    fn begin(&self, session: &mut Session) -> TxResult<Option<i64>> {
        if self.mode == Mode::Read {
            session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            return Ok(None);
        }
        // The lock of the row makes writes serial. Its version tells whether this program may still
        // write.
        const LOCK: &str = "
            WITH own AS (
                INSERT INTO writers AS w (name, count) VALUES ($1, 1)
                ON CONFLICT (name) DO UPDATE SET count = w.count + 1, written_at = now()
                RETURNING w.count)
            SELECT v.servable_from, (SELECT own.count FROM own), v.epoch, v.state
            FROM schema_version v
            FOR UPDATE OF v";
        let name = self.name(session)?;
        session.begin("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        let statement = session.prepare(LOCK)?;
        let found = session.wait(session.client().query_one(&statement, &[&name]))?;
        check_servable(found.try_get(0)?)?;
        if let Mode::Write(epoch) = self.mode {
            check_gate((found.try_get(2)?, found.try_get(3)?), epoch)?;
        }
        Ok(Some(found.try_get(1)?))
    }

    /// Returns the name of the lane among all lanes of all registries. Forgets those of registries
    /// that are long gone.
    fn name(&self, session: &Session) -> TxResult<&str> {
        if let Some(name) = self.name.get() {
            return Ok(name);
        }
        let sql = "WITH gone AS (DELETE FROM writers WHERE written_at < now() - interval '30 days')
                   SELECT CAST(gen_random_uuid() AS TEXT)";
        let rows = session.query(sql, &[])?;
        let row = rows.first().ok_or_else(|| TxError::damaged("a row is missing"))?;
        let name = row.try_get(0)?;
        Ok(self.name.get_or_init(|| name))
    }

    /// Ends a failed transaction. Keeps its connection if it is usable.
    fn failed(&self, session: Session, error: TxError) -> Attempt {
        let is_usable = passing(&error) != Passing::Lost && session.batch("ROLLBACK").is_ok();
        // A standby that is promoted, or a primary behind a name that moves, is found by a new
        // connection.
        if is_usable && !is_read_only(&error) {
            self.idle().push(session);
        } else {
            self.idle().clear();
        }
        Attempt::Failed(error)
    }

    fn session(&self) -> TxResult<Session> {
        loop {
            let idle = self.idle().pop();
            match idle {
                Some(session) if session.is_closed() => {}
                Some(session) => return Ok(session),
                None => {
                    let session = self.connector.connect()?;
                    session.batch(match self.mode {
                        Mode::Read => "SET application_name = 'seawall reader'",
                        Mode::Write(_) | Mode::Gate => "SET application_name = 'seawall writer'",
                    })?;
                    return Ok(session);
                }
            }
        }
    }

    fn silent_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time left for retries.
#[derive(Default)]
struct Retry {
    deadline: Option<Instant>,
    pause: Option<Duration>,
}

impl Retry {
    /// Fails past the deadline.
    fn check(&self, reason: impl FnOnce() -> TxError) -> TxResult<()> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(reason()),
            _ => Ok(()),
        }
    }

    /// Waits before the next attempt. Fails with `reason` past the deadline.
    fn pause(&mut self, reason: TxError) -> TxResult<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + RETRY_TIME_MAX);
        let pause = self.pause.unwrap_or(PAUSE.0);
        if Instant::now() + pause >= deadline {
            let kind = ErrorKind::Unavailable;
            return Err(TxError { kind, ..reason });
        }
        tracing::debug!(error = %reason.source, "the catalog's database failed: trying again");
        std::thread::sleep(pause);
        self.pause = Some((2 * pause).min(PAUSE.1));
        Ok(())
    }
}
