//! All rows of another catalog, written to new tables in one transaction.
//!
//! The rows are sent as `COPY … (FORMAT binary)`, which writes given ids also where the database
//! numbers rows itself.

use std::cell::RefCell;
use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use seawall_store::error::ErrorKind;
use tokio_postgres::CopyInSink;

use super::connection::Session;
use super::error::failed;
use super::tx::plain;
use crate::catalog::engine::{Intake, Rows};
use crate::catalog::error::CatalogError;
use crate::catalog::tx::{TxError, TxResult, Value};

const ACTION: &str = "be filled";
/// The beginning of rows in the binary format.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The end of rows in the binary format.
const END: i16 = -1;
/// The length of one message, in bytes.
const MESSAGE_LEN: usize = 256 << 10;
/// Sets the counters of rows behind the rows.
const COUNT: &str = "
DO $$ DECLARE found record; BEGIN
    FOR found IN
        SELECT c.relname AS t, a.attname AS n, pg_get_serial_sequence(quote_ident(c.relname),
            a.attname) AS s
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = CAST(current_schema() AS regnamespace)
            AND c.relkind = 'r' AND a.attidentity <> ''
    LOOP
        EXECUTE format('SELECT setval(%L, MAX(%I)) FROM %I HAVING MAX(%I) IS NOT NULL',
            found.s, found.n, found.t, found.n);
    END LOOP;
END $$";

/// The rows of a catalog under construction.
pub(super) struct PostgresRows {
    session: Session,
    table: RefCell<Option<Table>>,
}

/// The table whose rows are being sent.
struct Table {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    message: BytesMut,
}

impl PostgresRows {
    /// Begins to fill the tables of a connection's schema. Blocks.
    pub(super) fn begin(mut session: Session) -> TxResult<Self> {
        session.take_time()?;
        session.batch("SET idle_in_transaction_session_timeout = 0; BEGIN")?;
        Ok(Self { session, table: RefCell::new(None) })
    }

    fn begin_table(&self, table: &'static str) -> TxResult<Vec<String>> {
        self.end_table()?;
        // A migration wrote some rows. The audit log, which only grows, has none.
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        let rows = self.session.query(&sql, &[])?;
        let is_filled: bool = match rows.first() {
            Some(row) => row.try_get(0)?,
            None => false,
        };
        if is_filled {
            self.session.batch(&format!("DELETE FROM {table}"))?;
        }
        let sql = format!(
            "SELECT CAST(attname AS TEXT) FROM pg_attribute
             WHERE attrelid = CAST('{table}' AS regclass) AND attnum > 0 AND NOT attisdropped
             ORDER BY attnum"
        );
        let columns = self.session.query(&sql, &[])?;
        let columns: Vec<String> =
            columns.iter().map(|row| Ok(row.try_get(0)?)).collect::<TxResult<_>>()?;
        let sql = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", columns.join(", "));
        let sink = self.session.wait(self.session.client().copy_in(&sql))?;
        let table = Table { sink: Box::pin(sink), message: BytesMut::from(HEAD) };
        *self.table.borrow_mut() = Some(table);
        Ok(columns)
    }

    fn end_table(&self) -> TxResult<()> {
        let Some(mut table) = self.table.borrow_mut().take() else { return Ok(()) };
        table.message.put_i16(END);
        self.session.wait(async {
            table.sink.send(table.message.split().freeze()).await?;
            table.sink.as_mut().finish().await
        })?;
        Ok(())
    }

    fn commit_here(&self) -> TxResult<()> {
        self.end_table()?;
        self.session.batch(COUNT)?;
        self.session.batch("COMMIT")
    }
}

impl Rows for PostgresRows {
    fn columns(&self, table: &'static str) -> Result<Vec<String>, CatalogError> {
        self.begin_table(table).map_err(|error| failed(ACTION, error))
    }

    fn add(&self, _: &'static str, row: &[Value<'_>]) -> TxResult<()> {
        let mut table = self.table.borrow_mut();
        let no_table = || TxError::new(ErrorKind::Internal, "a row is sent before its table");
        let table = table.as_mut().ok_or_else(no_table)?;
        let message = &mut table.message;
        message.put_i16(i16::try_from(row.len()).map_err(TxError::damaged)?);
        for value in row {
            match *value {
                Value::Null => message.put_i32(-1),
                Value::Int(value) => put(message, &value.to_be_bytes())?,
                Value::Count(value) => {
                    let value = i64::try_from(value).map_err(TxError::damaged)?;
                    put(message, &value.to_be_bytes())?;
                }
                Value::Text(text) => put(message, plain(text).as_bytes())?,
                Value::Bytes(bytes) => put(message, bytes)?,
            }
        }
        if message.len() < MESSAGE_LEN {
            return Ok(());
        }
        let full = message.split().freeze();
        self.session.wait(table.sink.send(full))
    }
}

impl Intake for PostgresRows {
    fn commit(self: Box<Self>) -> Result<(), CatalogError> {
        self.commit_here().map_err(|error| failed(ACTION, error))
    }
}

fn put(message: &mut BytesMut, value: &[u8]) -> TxResult<()> {
    message.put_i32(i32::try_from(value.len()).map_err(TxError::damaged)?);
    message.put_slice(value);
    Ok(())
}
