//! All rows of a catalog, read from one file and written to another.

use std::path::Path;

use rusqlite::Connection;

use super::connection::{Durability, connect};
use super::copy::verify;
use super::error::{SqlResult, failed};
use crate::catalog::engine::{Intake, Rows};
use crate::catalog::error::CatalogError;
use crate::catalog::schema::TABLES;
use crate::catalog::tx::{Columns, TxResult, Value};

const ACTION: &str = "be copied";

/// Sends the rows of all tables of the catalog at `path`, at one moment.
pub(super) fn export(path: &Path, rows: &dyn Rows) -> Result<(), CatalogError> {
    let fail = |error| failed(ACTION, error);
    let connection = connect(path, Durability::EveryCommit).map_err(fail)?;
    connection.execute_batch("BEGIN").map_err(fail)?;
    for table in TABLES {
        let columns = rows.columns(table)?;
        send(&connection, rows, table, &columns).map_err(|error| failed(ACTION, error))?;
    }
    connection.execute_batch("COMMIT").map_err(fail)
}

fn send(
    connection: &Connection,
    rows: &dyn Rows,
    table: &'static str,
    columns: &[String],
) -> TxResult<()> {
    // In the order of the key, which every receiver appends.
    let sql = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let values: Vec<Value<'_>> =
            (0..columns.len()).map(|at| row.column(at)).collect::<TxResult<_>>()?;
        rows.add(table, &values)?;
    }
    Ok(())
}

/// The rows of a file under construction, in one transaction.
pub(super) struct SqliteRows {
    connection: Connection,
}

impl SqliteRows {
    /// Begins to fill a file with the tables of a catalog.
    pub(super) fn begin(connection: Connection) -> Result<Self, CatalogError> {
        let begun = connection.execute_batch("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE");
        begun.map_err(|error| failed(ACTION, error))?;
        Ok(Self { connection })
    }

    /// Commits the rows, and verifies them.
    pub(super) fn finish(self) -> Result<(), CatalogError> {
        self.connection.execute_batch("COMMIT").map_err(|error| failed(ACTION, error))?;
        verify(&self.connection)
    }
}

impl Rows for SqliteRows {
    fn columns(&self, table: &'static str) -> Result<Vec<String>, CatalogError> {
        let read = || -> SqlResult<Vec<String>> {
            // A migration wrote some rows.
            self.connection.execute(&format!("DELETE FROM {table}"), [])?;
            let sql = "SELECT name FROM pragma_table_info($1) ORDER BY cid";
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([table], |row| row.get(0))?.collect()
        };
        read().map_err(|error| failed(ACTION, error))
    }

    fn add(&self, table: &'static str, row: &[Value<'_>]) -> TxResult<()> {
        let places = vec!["?"; row.len()].join(", ");
        let sql = format!("INSERT INTO {table} VALUES ({places})");
        self.connection.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(row))?;
        Ok(())
    }
}

impl Intake for SqliteRows {
    fn commit(self: Box<Self>) -> Result<(), CatalogError> {
        self.finish()
    }
}
