//! A copy of the catalog at one moment, as a catalog of the embedded engine.
//!
//! The rows of all tables are read in one transaction of the server, and written to a file with
//! the same tables. A backup therefore has the same form whatever the engine, and a registry
//! of one machine can serve it.
//!
//! # After a crash
//!
//! The unfinished file is left to its own engine to remove.

use std::fs::File;
use std::pin::pin;

use futures::StreamExt;
use tokio_postgres::types::ToSql;

use super::connection::{Connector, Session};
use super::error::failed;
use super::tx::Answer;
use crate::catalog::engine::{NewBlank, Rows};
use crate::catalog::error::CatalogError;
use crate::catalog::schema::TABLES;
use crate::catalog::tx::{Columns, TxError, TxResult, Value};

const ACTION: &str = "be copied";
/// The number of rows handed over at once.
const ROWS_AT_ONCE: usize = 1024;

/// Returns the maximum length of a copy, in bytes: what tables and indexes take here. Blocks.
pub(super) fn len_max(session: &Session) -> TxResult<u64> {
    let sql = "SELECT CAST(COALESCE(SUM(pg_total_relation_size(oid)), 0) AS BIGINT) FROM pg_class
               WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r'";
    let rows = session.query(sql, &[])?;
    let row = rows.first().ok_or_else(|| TxError::damaged("a row is missing"))?;
    u64::try_from(row.try_get::<_, i64>(0)?).map_err(TxError::damaged)
}

/// Makes a copy in a file of `new`. Blocks.
pub(super) fn make(connector: &Connector, new: &NewBlank) -> Result<File, CatalogError> {
    let blank = new()?;
    export(connector, &*blank)?;
    blank.finish()
}

/// Sends the rows of all tables at one moment. Blocks.
pub(super) fn export(connector: &Connector, rows: &dyn Rows) -> Result<(), CatalogError> {
    let fail = |error| failed(ACTION, error);
    let mut session = connector.connect().map_err(fail)?;
    session.take_time().map_err(fail)?;
    session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").map_err(fail)?;
    for table in TABLES {
        let columns = rows.columns(table)?;
        send(&session, rows, table, &columns).map_err(fail)?;
    }
    session.batch("COMMIT").map_err(fail)
}

fn send(session: &Session, to: &dyn Rows, table: &'static str, columns: &[String]) -> TxResult<()> {
    // In the order of the key, which every receiver appends.
    let sql = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(", "));
    let none: [&(dyn ToSql + Sync); 0] = [];
    let rows = session.wait(session.client().query_raw(&sql, none))?;
    let mut rows = pin!(rows.ready_chunks(ROWS_AT_ONCE));
    loop {
        let next = session.wait(async { Ok(rows.next().await) })?;
        let Some(chunk) = next else { return Ok(()) };
        for row in chunk {
            let row = row?;
            let answer = Answer { row: &row, skipped: 0 };
            let values: Vec<Value<'_>> =
                (0..columns.len()).map(|at| answer.column(at)).collect::<TxResult<_>>()?;
            to.add(table, &values)?;
        }
    }
}
