//! A catalog being rebuilt from the store, in a database whose tables were just made.
//!
//! # At the same time
//!
//! Registries that find no complete catalog wait for each other at a lock of its own. The first
//! one fills the catalog, and the others find it.
//!
//! # After a crash
//!
//! The mark `is_complete` is missing. The next start makes the tables anew, and fills them.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use super::connection::{Connector, Session};
use super::error::failed;
use super::migrate;
use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::tx::{TxError, TxResult};

/// Drops the tables of a rebuild that a crash ended, of any version of the schema.
pub(super) const CLEAR: &str = "
DO $$ DECLARE found regclass; BEGIN
    FOR found IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind = 'r'
            AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid
                            AND d.classid = CAST('pg_class' AS regclass) AND d.deptype = 'e')
    LOOP EXECUTE 'DROP TABLE ' || found || ' CASCADE'; END LOOP;
    DROP FUNCTION audit_only_grows();
END $$";
/// The pause between attempts to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The result of looking for a catalog.
#[derive(Debug)]
pub enum Found {
    /// A catalog.
    Catalog(Catalog),
    /// No catalog, or one that a crash left incomplete.
    Nothing(Scratch),
}

/// A catalog under construction, which no other registry serves. Has no effect if dropped before
/// [`Scratch::finish`].
pub struct Scratch {
    pub(super) catalog: Catalog,
    /// The connection that holds the lock.
    pub(super) lock: Box<Session>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Scratch {
    /// Returns the catalog to fill.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Marks the catalog as complete. Blocks.
    ///
    /// # Errors
    /// If the database fails, or another registry took the lock after a lost connection.
    pub fn finish(self) -> Result<Catalog, CatalogError> {
        let Self { catalog, lock } = self;
        let marked = super::on_a_thread(&lock.runtime(), move || {
            lock.batch("UPDATE schema_version SET is_complete = 1")
        });
        let ended = TxError::damaged("its thread ended");
        marked.unwrap_or(Err(ended)).map_err(|error| failed("be completed", error))?;
        Ok(catalog)
    }
}

/// The contents of a database.
pub(super) enum State {
    /// A catalog, which can be written.
    Ready,
    /// A catalog, which can only be read.
    ReadOnly,
    /// Tables to fill, under the lock of this connection.
    ToFill(Box<Session>),
}

/// Looks for a catalog, and makes and migrates its tables where necessary. Blocks.
pub(super) fn prepare(connector: &Connector) -> Result<State, CatalogError> {
    let fail = |error| failed("be opened", error);
    let mut session = connector.connect().map_err(fail)?;
    migrate::check_server(&session)?;
    migrate::check_own_connection(&session, &connector.connect().map_err(fail)?)?;
    if !migrate::can_write(&session).map_err(fail)? {
        return migrate::check_readable(&session).map(|()| State::ReadOnly);
    }
    if migrate::is_current(&session).map_err(fail)? {
        return Ok(State::Ready);
    }
    session.take_time().map_err(fail)?;
    lock(&session).map_err(fail)?;
    if migrate::is_begun(&session).map_err(fail)? {
        session.batch(CLEAR).map_err(fail)?;
    }
    migrate::migrate(&session)?;
    Ok(match migrate::is_complete(&session).map_err(fail)? {
        true => State::Ready,
        false => State::ToFill(Box::new(session)),
    })
}

/// Returns whether a database has a complete catalog. Makes nothing. Blocks.
pub(super) fn is_there(connector: &Connector) -> Result<bool, CatalogError> {
    let fail = |error| failed("be opened", error);
    let session = connector.connect().map_err(fail)?;
    migrate::check_server(&session)?;
    match migrate::version(&session).map_err(fail)? {
        Some(_) => migrate::is_complete(&session).map_err(fail),
        None => migrate::check_no_others(&session).map(|()| false),
    }
}

/// Takes the lock of the start. The lock ends with the connection.
pub(super) fn lock(session: &Session) -> TxResult<()> {
    let sql = "SELECT pg_try_advisory_lock(hashtextextended(
                   'seawall start ' || current_schema(), 0))";
    let mut is_told = false;
    loop {
        let rows = session.query(sql, &[])?;
        let row = rows.first().ok_or_else(|| TxError::damaged("a row is missing"))?;
        if row.try_get(0)? {
            return Ok(());
        }
        if !is_told {
            tracing::warn!("another registry is making the catalog: waiting");
            is_told = true;
        }
        sleep(LOCK_PAUSE);
    }
}
