//! The tables, and migrations from earlier versions of the schema.
//!
//! A released migration is never edited; a change is a new migration. Placeholders stand for the
//! words in which SQLite and PostgreSQL differ.

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use seawall_store::error::ErrorKind;

use super::error::{failed, fault};
use crate::catalog::error::CatalogError;

mod versions;

use versions::{TABLES, V1, V2, V3, V4, V5, V6, V7, V8, V9, V10};

/// The placeholders, and their replacements in SQLite and in PostgreSQL.
const DIALECT: [(&str, &str, &str); 5] = [
    ("{IDENTITY}", "INTEGER PRIMARY KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("{BYTES}", "BLOB", "BYTEA"),
    // PostgreSQL has no clustered primary key.
    ("{CLUSTERED}", "WITHOUT ROWID", ""),
    // In PostgreSQL, the registry's user has only INSERT and SELECT on the table, too.
    (
        "{AUDIT_ONLY_GROWS}",
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
         CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;",
        "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
             $f$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $f$;
         CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
             FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();",
    ),
    // PostgreSQL has no INSERT that replaces.
    (
        "{AUDIT_IS_NOT_REPLACED}",
        "CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
             WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence OR rowid = NEW.rowid)
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;",
        "",
    ),
];

/// The migrations. Each takes the schema from the version of its position to the next version.
const MIGRATIONS: [&str; 10] = [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10];

/// The schema version of this program.
const VERSION: u32 = 10;
const _: () = assert!(VERSION as usize == MIGRATIONS.len());

fn in_dialect(sql: &str) -> String {
    let replace =
        |sql: String, (placeholder, word, _): &(&str, &str, &str)| sql.replace(placeholder, word);
    DIALECT.iter().fold(sql.to_owned(), replace)
}

/// Returns the migrations as PostgreSQL takes them.
#[cfg(test)]
pub(in crate::catalog) fn tables_in_postgresql() -> Vec<String> {
    let replace =
        |sql: String, (placeholder, _, word): &(&str, &str, &str)| sql.replace(placeholder, word);
    let migrations = MIGRATIONS.iter();
    migrations.map(|sql| DIALECT.iter().fold((*sql).to_owned(), replace)).collect()
}

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
    let Some(pending) = MIGRATIONS.get(found as usize..) else {
        let why =
            format!("its schema has version {found}, but this program supports at most {VERSION}");
        return Err(fault(ErrorKind::Conflict, ACTION, why));
    };
    for sql in pending {
        tx.execute_batch(&in_dialect(sql)).map_err(fail)?;
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
