//! Migrations of PostgreSQL databases.
//!
//! The version of the schema is a row of `schema_version`, with the oldest version of programs that
//! may still serve it. Each write locks this row, which is the writer's lock, too. A migration is
//! one transaction under the same lock: other registries wait for it, and then go on if their
//! version may still serve.

use seawall_store::error::ErrorKind;
use tokio_postgres::{Row, SimpleQueryMessage};

use super::connection::Session;
use super::error::{failed, fault};
use crate::catalog::error::CatalogError;
use crate::catalog::schema::{self, Dialect, HEEDS_GATE_FROM, SERVABLE_FROM, VERSION};
use crate::catalog::tx::{TxError, TxResult};

/// The oldest server with all that the statements use.
const SERVER_VERSION_MIN: i32 = 150_000;
/// The remedy for a schema that this program does not know.
const UPGRADE: &str = "run a version of seawall as new as the one that migrated the database";
/// The remedy for a schema with foreign tables.
const ELSEWHERE: &str = "name an empty database, or an empty schema of it: \
                         postgres://…?options=-csearch_path%3DSCHEMA";
/// The remedy for a database that is too old or has another encoding.
const OTHER_SERVER: &str = "use PostgreSQL 15 or newer, and a database in UTF-8: \
                            createdb --encoding=UTF8 --template=template0 NAME";

/// The remedy for a pool that shares connections.
const DIRECTLY: &str = "connect to the server itself, or to a pool in session mode \
                        (pool_mode = session in PgBouncer)";
/// The number of times that two connections are compared.
const POOL_LOOKS: u32 = 3;

const ACTION: &str = "be migrated";

/// Migrates the schema to this version in one transaction.
pub(super) fn migrate(session: &Session) -> Result<(), CatalogError> {
    let fail = |error| failed(ACTION, error);
    session.batch("BEGIN").map_err(fail)?;
    match migrate_here(session) {
        Ok(()) => session.batch("COMMIT").map_err(fail),
        Err(error) => {
            // The connection is dropped with the caller, which ends the transaction in any case.
            let _ = session.batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Fails if the server is too old, or the database has no schema to use.
pub(super) fn check_server(session: &Session) -> Result<(), CatalogError> {
    let sql = "SELECT CAST(current_setting('server_version_num') AS INTEGER),
                   current_setting('server_encoding'), current_schema() IS NOT NULL";
    let found = one(session, sql).map_err(|error| failed(ACTION, error))?;
    let read = || -> TxResult<(i32, String, bool)> {
        Ok((found.try_get(0)?, found.try_get(1)?, found.try_get(2)?))
    };
    let (number, encoding, has_schema) = read().map_err(|error| failed(ACTION, error))?;
    if number < SERVER_VERSION_MIN || encoding != "UTF8" {
        let why = format!("its server has version {number} and the encoding {encoding}");
        return Err(fault(ErrorKind::Conflict, ACTION, why).with_remedy(OTHER_SERVER));
    }
    if !has_schema {
        let why = "the search path of this user names no schema that exists";
        return Err(fault(ErrorKind::NotFound, ACTION, why).with_remedy(ELSEWHERE));
    }
    Ok(())
}

/// Fails behind a pool that gives each transaction any of its connections: the settings, the
/// prepared statements and the claims of a connection belong to one registry.
pub(super) fn check_own_connection(own: &Session, other: &Session) -> Result<(), CatalogError> {
    let is_shared = || -> TxResult<bool> {
        let first = [process(own)?, process(other)?];
        let mut is_shared = first[0] == first[1];
        for _ in 0..POOL_LOOKS {
            is_shared |= [process(own)?, process(other)?] != first;
        }
        Ok(is_shared)
    };
    if !is_shared().map_err(|error| failed(ACTION, error))? {
        return Ok(());
    }
    let why = "a pool in front of the server gives each transaction another connection";
    Err(fault(ErrorKind::Conflict, ACTION, why).with_remedy(DIRECTLY))
}

/// Returns the process that serves a connection. Prepares no statement, which a pool might lose.
fn process(session: &Session) -> TxResult<String> {
    let said = session.wait(session.client().simple_query("SELECT pg_backend_pid()"))?;
    let process = said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(process.ok_or_else(|| TxError::damaged("a row is missing"))?.to_owned())
}

fn migrate_here(session: &Session) -> Result<(), CatalogError> {
    let fail = |error| failed(ACTION, error);
    // Before the table exists, its row cannot be locked.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('seawall ' || current_schema(), 0))";
    session.batch(lock).map_err(fail)?;
    let found = version(session).map_err(fail)?;
    if found.is_some() {
        session.batch("SELECT FROM schema_version FOR UPDATE").map_err(fail)?;
    } else {
        check_no_others(session)?;
    }
    let Some(pending) = schema::pending(found.unwrap_or(0), Dialect::Postgres) else {
        return check_readable(session);
    };
    if pending.is_empty() {
        return Ok(());
    }
    if found.is_none() {
        let sql = "CREATE TABLE schema_version (
                       id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
                       version BIGINT NOT NULL, servable_from BIGINT NOT NULL,
                       is_complete BIGINT NOT NULL);
                   INSERT INTO schema_version VALUES (1, 0, 0, 0)";
        session.batch(sql).map_err(fail)?;
    }
    // The gate of relocations. Each write reads it with the lock, in one question.
    let sql = "ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS epoch BIGINT NOT NULL DEFAULT 0;
               ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS state BIGINT NOT NULL DEFAULT 0";
    session.batch(sql).map_err(fail)?;
    for sql in pending {
        session.batch(&sql).map_err(fail)?;
    }
    // The engine's own: the number of writes of each lane (`lanes`).
    let sql = "CREATE TABLE IF NOT EXISTS writers (
                   name TEXT NOT NULL PRIMARY KEY, count BIGINT NOT NULL,
                   written_at TIMESTAMPTZ NOT NULL DEFAULT now())";
    session.batch(sql).map_err(fail)?;
    let (version, from) = (i64::from(VERSION), i64::from(SERVABLE_FROM));
    let sql = "UPDATE schema_version SET version = $1, servable_from = GREATEST(servable_from, $2)";
    session.query(sql, &[&version, &from]).map_err(fail)?;
    tracing::info!(from = found, to = VERSION, "migrated the catalog");
    Ok(())
}

/// Returns whether transactions may write: not on a standby.
pub(super) fn can_write(session: &Session) -> TxResult<bool> {
    let sql = "SELECT NOT pg_is_in_recovery()
                   AND NOT CAST(current_setting('default_transaction_read_only') AS BOOLEAN)";
    Ok(one(session, sql)?.try_get(0)?)
}

/// Returns the version of the schema; `None` if there is none.
pub(super) fn version(session: &Session) -> TxResult<Option<u32>> {
    let exists: bool =
        one(session, "SELECT to_regclass('schema_version') IS NOT NULL")?.try_get(0)?;
    if !exists {
        return Ok(None);
    }
    let version: i64 = one(session, "SELECT version FROM schema_version")?.try_get(0)?;
    Ok(Some(u32::try_from(version).map_err(TxError::damaged)?))
}

/// Returns the statement that sets the gate as the row of the relocation has it.
pub(super) fn set_gate() -> String {
    format!(
        "UPDATE schema_version SET
             epoch = COALESCE((SELECT epoch FROM relocation), 0),
             state = COALESCE((SELECT state FROM relocation), 0),
             servable_from = GREATEST(servable_from, {HEEDS_GATE_FROM})"
    )
}

/// Returns the epoch of the catalog.
pub(super) fn epoch(session: &Session) -> TxResult<i64> {
    Ok(one(session, "SELECT epoch FROM schema_version")?.try_get(0)?)
}

/// Returns whether the tables exist, in this version, and were filled.
pub(super) fn is_current(session: &Session) -> TxResult<bool> {
    Ok(version(session)? == Some(VERSION) && is_complete(session)?)
}

/// Returns whether the tables exist and were not filled.
pub(super) fn is_begun(session: &Session) -> TxResult<bool> {
    Ok(version(session)?.is_some() && !is_complete(session)?)
}

/// Returns whether the tables were filled.
pub(super) fn is_complete(session: &Session) -> TxResult<bool> {
    let complete: i64 = one(session, "SELECT is_complete FROM schema_version")?.try_get(0)?;
    Ok(complete != 0)
}

/// Fails if the schema has another program's tables.
pub(super) fn check_no_others(session: &Session) -> Result<(), CatalogError> {
    let found = foreign_table(session).map_err(|error| failed(ACTION, error))?;
    let Some(table) = found else { return Ok(()) };
    let why = format!("it contains another program's tables, for instance `{table}`");
    Err(fault(ErrorKind::Conflict, ACTION, why).with_remedy(ELSEWHERE))
}

/// Returns a table of the schema that belongs to no extension.
fn foreign_table(session: &Session) -> TxResult<Option<String>> {
    let sql = "SELECT CAST(c.relname AS TEXT) FROM pg_class c
               WHERE c.relnamespace = CAST(current_schema() AS regnamespace)
                   AND c.relkind IN ('r', 'p', 'f')
                   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid
                                   AND d.classid = CAST('pg_class' AS regclass) AND d.deptype = 'e')
               ORDER BY 1 LIMIT 1";
    let found = session.query(sql, &[])?;
    found.first().map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Fails if the schema is older than this program, or too new for it.
pub(super) fn check_readable(session: &Session) -> Result<(), CatalogError> {
    let fail = |error| failed(ACTION, error);
    let Some(found) = version(session).map_err(fail)? else {
        let why = "it has no tables of a registry, and cannot be written";
        return Err(fault(ErrorKind::NotFound, ACTION, why));
    };
    if found < VERSION {
        let why = format!(
            "its schema has version {found}, but this program needs {VERSION} and cannot write it"
        );
        let remedy = "start this version of the registry once where the database can be written";
        return Err(fault(ErrorKind::Conflict, ACTION, why).with_remedy(remedy));
    }
    if !is_complete(session).map_err(fail)? {
        let why = "another registry is making it";
        return Err(fault(ErrorKind::Unavailable, ACTION, why));
    }
    let from = one(session, "SELECT servable_from FROM schema_version");
    let from = from.and_then(|row| Ok(row.try_get(0)?)).map_err(fail)?;
    check_servable(from).map_err(fail_to_serve)
}

fn fail_to_serve(error: TxError) -> CatalogError {
    fault(error.kind, ACTION, error.source).with_remedy(UPGRADE)
}

/// Fails if programs must be newer than this one to serve the schema.
pub(super) fn check_servable(from: i64) -> TxResult<()> {
    if from <= i64::from(VERSION) {
        return Ok(());
    }
    let why = format!("its schema needs version {from}, but this program supports {VERSION}");
    Err(TxError::new(ErrorKind::Conflict, why))
}

fn one(session: &Session, sql: &str) -> TxResult<Row> {
    let rows = session.query(sql, &[])?;
    rows.into_iter().next().ok_or_else(|| TxError::damaged("a row is missing"))
}
