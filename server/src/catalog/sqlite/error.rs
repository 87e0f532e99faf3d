//! Errors of SQLite.

use rusqlite::ErrorCode;
use seawall_store::error::ErrorKind;

use crate::catalog::error::{Barrier, CatalogError, Closed, REBUILD};
use crate::catalog::tx::TxError;

/// The remedy for a catalog that this user may not write.
const DENIED: &str = "check that catalog.sqlite* and the data directory exist, that the registry's \
                      user is their owner and may write there, and that the disk is not mounted \
                      read-only";

/// The result of a function that runs SQL.
pub(super) type SqlResult<T> = Result<T, rusqlite::Error>;

/// Returns a failure to do `action`.
pub(super) fn failed(action: &'static str, error: impl Into<TxError>) -> CatalogError {
    let TxError { kind, source } = error.into();
    if let Some(Closed(barrier)) = source.downcast_ref() {
        return CatalogError::read_only(action, *barrier);
    }
    fault(kind, action, source)
}

/// Returns the refusal to do `action` in a read-only catalog.
pub(super) fn refused(action: &'static str, barrier: Barrier) -> CatalogError {
    let error = CatalogError::read_only(action, barrier);
    match barrier {
        Barrier::Denied => error.with_remedy(DENIED),
        Barrier::Full | Barrier::Standby | Barrier::Moving | Barrier::Moved => error,
    }
}

/// Returns a failure to do `action`, with the remedy for a catalog in a file.
pub(super) fn fault(
    kind: ErrorKind,
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> CatalogError {
    let error = CatalogError::new(kind, action, source);
    match kind {
        ErrorKind::Damaged => error.with_remedy(REBUILD),
        ErrorKind::Denied => error.with_remedy(DENIED),
        _ => error,
    }
}

/// Returns the kind of an error.
pub(super) fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    use rusqlite::Error;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        // SQLite allocates the index of the log in full before mapping it.
        Some(ErrorCode::SystemIoFailure)
            if error.sqlite_error().is_some_and(|error| {
                error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
            }) =>
        {
            ErrorKind::StorageFull
        }
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
            // A value of another type or a missing row. No statement of this program leaves the
            // file in such a state.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
            | Error::StatementChangedRows(..)
            | Error::QueryReturnedNoRows => ErrorKind::Damaged,
            _ => ErrorKind::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Type;

    use super::*;

    /// A rebuild of the catalog repairs damage in the file, and nothing else. It does not help
    /// against a value that cannot be stored (a bug) or a file that may not be written (a matter of
    /// permissions).
    #[test]
    fn only_errors_of_reads_are_damage() {
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
            assert_eq!(remedy.contains("seawall recover"), want == ErrorKind::Damaged, "{text}");
            assert_eq!(remedy.contains("owner"), want == ErrorKind::Denied, "{text}");
        }
    }
}
