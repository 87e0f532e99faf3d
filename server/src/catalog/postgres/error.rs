//! Errors of PostgreSQL.

use seawall_store::error::ErrorKind;
use tokio_postgres::error::SqlState;

use crate::catalog::error::{Barrier, CatalogError, Closed};
use crate::catalog::tx::TxError;

/// The remedy for a database that refuses this user.
const DENIED: &str = "check the user, the password (PGPASSWORD or the file ~/.pgpass) and \
                      pg_hba.conf of the server; the user must own the schema of the registry";
/// The remedy for a database without space.
const FULL: &str = "free some space on the database server and try again: no change was left \
                    incomplete";
/// The remedy for a damaged database.
const DAMAGED: &str = "stop the registries, then restore the database from its backup, or rebuild \
                       the catalog from the store: `seawall recover DATA` with the --store and \
                       --catalog of `seawall serve`";

/// A database that took too long to answer.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer in time")]
pub(super) struct Silent;

impl From<tokio_postgres::Error> for TxError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::new(kind_of(&error), error)
    }
}

/// The state of a transaction, and of its connection, after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passing {
    /// The failure will be the same next time.
    No,
    /// The work may be run again.
    Yes,
    /// The work may be run again, on another connection.
    Lost,
}

/// Returns whether work that failed so may be run again.
pub(super) fn passing(error: &TxError) -> Passing {
    if error.source.is::<Silent>() {
        return Passing::Lost;
    }
    let Some(error) = error.source.downcast_ref::<tokio_postgres::Error>() else {
        return Passing::No;
    };
    let Some(code) = error.code() else {
        // Without an answer of the server, the connection is lost; but not for a value that cannot
        // be converted.
        let is_of_io = error.is_closed() || source_is_io(error);
        return if is_of_io { Passing::Lost } else { Passing::No };
    };
    let is_lost = code.code().starts_with("08")
        || [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::TOO_MANY_CONNECTIONS,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(&code);
    let is_passing = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
    ]
    .contains(&code);
    match (is_lost, is_passing) {
        (true, _) => Passing::Lost,
        (false, true) => Passing::Yes,
        (false, false) => Passing::No,
    }
}

fn source_is_io(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<std::io::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Returns whether the database refused to write: a standby, or one set to be read-only.
pub(super) fn is_read_only(error: &TxError) -> bool {
    code_of(error) == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

fn code_of(error: &TxError) -> Option<&SqlState> {
    error.source.downcast_ref::<tokio_postgres::Error>()?.code()
}

/// Returns the kind of an error.
fn kind_of(error: &tokio_postgres::Error) -> ErrorKind {
    let Some(code) = error.code() else {
        let is_of_io = error.is_closed() || source_is_io(error);
        return if is_of_io { ErrorKind::Unavailable } else { ErrorKind::Internal };
    };
    match &code.code()[..2] {
        // Connection, transaction rollback, resources, operator's intervention, system errors.
        "08" | "40" | "57" | "58" => ErrorKind::Unavailable,
        "53" if *code == SqlState::DISK_FULL => ErrorKind::StorageFull,
        "53" | "55" => ErrorKind::Unavailable,
        "28" | "3D" | "3F" => ErrorKind::Denied,
        "25" if *code == SqlState::READ_ONLY_SQL_TRANSACTION => ErrorKind::Denied,
        "42" if *code == SqlState::INSUFFICIENT_PRIVILEGE => ErrorKind::Denied,
        "XX" if *code != SqlState::INTERNAL_ERROR => ErrorKind::Damaged,
        _ => ErrorKind::Internal,
    }
}

/// Returns a failure to do `action`.
pub(super) fn failed(action: &'static str, error: impl Into<TxError>) -> CatalogError {
    let error = error.into();
    if is_read_only(&error) {
        return CatalogError::read_only(action, Barrier::Standby);
    }
    let TxError { kind, source } = error;
    if let Some(Closed(barrier)) = source.downcast_ref() {
        return CatalogError::read_only(action, *barrier);
    }
    fault(kind, action, Told(source))
}

/// Returns a failure to do `action`, with the remedy for a catalog in a database server.
pub(super) fn fault(
    kind: ErrorKind,
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> CatalogError {
    let error = CatalogError::new(kind, action, source);
    match kind {
        ErrorKind::Damaged => error.with_remedy(DAMAGED),
        ErrorKind::Denied => error.with_remedy(DENIED),
        ErrorKind::StorageFull => error.with_remedy(FULL),
        _ => error,
    }
}

/// A failure with the server's own words first: the client library says only `db error`.
#[derive(Debug)]
struct Told(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let own = self.0.downcast_ref::<tokio_postgres::Error>();
        match own.and_then(tokio_postgres::Error::as_db_error) {
            Some(said) => write!(f, "{} (SQLSTATE {})", said.message(), said.code().code()),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let own = self.0.downcast_ref::<tokio_postgres::Error>();
        match own.and_then(tokio_postgres::Error::as_db_error) {
            Some(_) => None,
            None => self.0.source(),
        }
    }
}
