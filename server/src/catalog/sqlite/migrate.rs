//! Migrations of SQLite files. The version of the schema is the file's `user_version`.

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use seawall_store::error::ErrorKind;

use super::error::{failed, fault};
use crate::catalog::error::CatalogError;
use crate::catalog::schema::{self, Dialect, TABLES, VERSION};

/// Migrates the schema to this version in one transaction. If two processes open a new directory at
/// once, one migrates and the other finds it done.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), CatalogError> {
    const ACTION: &str = "be migrated";
    let fail = |error| failed(ACTION, error);
    let version = |connection: &Connection| {
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
    };
    if version(connection).map_err(fail)? == VERSION {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let found = version(&tx).map_err(fail)?;
    if found == 0 && has_tables(&tx).map_err(fail)? {
        let why = "it contains another program's tables";
        return Err(fault(ErrorKind::Damaged, ACTION, why));
    }
    let Some(pending) = schema::pending(found, Dialect::Sqlite) else {
        let why =
            format!("its schema has version {found}, but this program supports at most {VERSION}");
        return Err(fault(ErrorKind::Conflict, ACTION, why));
    };
    for sql in pending {
        tx.execute_batch(&sql).map_err(fail)?;
    }
    tx.pragma_update(None, "user_version", VERSION).map_err(fail)?;
    tx.commit().map_err(fail)
}

/// Fails if a read-only catalog has another schema version, because it cannot be migrated.
pub(super) fn check_version(connection: &Connection) -> Result<(), CatalogError> {
    const ACTION: &str = "be read";
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    let found = found.map_err(|error| failed(ACTION, error))?;
    if found == VERSION {
        return Ok(());
    }
    let why = format!(
        "its schema has version {found}, but this program needs {VERSION} and cannot write it: \
         open the registry once with write access"
    );
    Err(fault(ErrorKind::Conflict, ACTION, why))
}

/// Returns whether there are any tables.
pub(super) fn has_tables(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection
        .query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))
        .map(|count| count > 0)
}

/// Reads the root of every table. A file damaged by accident seldom passes, and the check takes
/// less than a millisecond at any length of the catalog. Damage further down is found when read.
pub(super) fn check(connection: &Connection) -> Result<(), CatalogError> {
    const ACTION: &str = "be read";
    for table in TABLES {
        let found = connection.query_row(&format!("SELECT 1 FROM {table} LIMIT 1"), [], |_| Ok(()));
        match found {
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
                return Err(fault(ErrorKind::Damaged, ACTION, error));
            }
            Err(error) => return Err(failed(ACTION, error)),
        }
    }
    Ok(())
}
