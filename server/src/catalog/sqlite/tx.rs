//! Transactions of SQLite.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row as SqliteRow, Statement, ToSql, Transaction};
use seawall_store::error::ErrorKind;

use super::error::{SqlResult, kind_of};
use crate::catalog::tx::{Batch, Columns, Row, Take, TakeEach, Tx, TxError, TxResult, Value};

/// A transaction of one connection.
pub(super) struct SqliteTx<'a>(pub(super) &'a Transaction<'a>);

impl From<rusqlite::Error> for TxError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(kind_of(&error), error)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> SqlResult<ToSqlOutput<'_>> {
        let value = match *self {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(value),
            Value::Count(value) => {
                let value = i64::try_from(value);
                let refused = |error: std::num::TryFromIntError| {
                    rusqlite::Error::ToSqlConversionFailure(error.into())
                };
                ValueRef::Integer(value.map_err(refused)?)
            }
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

impl Columns for SqliteRow<'_> {
    fn column(&self, at: usize) -> TxResult<Value<'_>> {
        Ok(match self.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(value) => Value::Int(value),
            ValueRef::Blob(bytes) => Value::Bytes(bytes),
            ValueRef::Text(text) => Value::Text(str::from_utf8(text).map_err(TxError::damaged)?),
            ValueRef::Real(value) => {
                return Err(TxError::damaged(format!("column {at} of a row is {value}")));
            }
        })
    }
}

/// Binds the parameters of a statement. A statement with other parameters than given is a defect.
fn bind(statement: &mut Statement<'_>, args: &[Value<'_>]) -> TxResult<()> {
    if statement.parameter_count() != args.len() {
        let why = format!("a statement takes {} parameters", statement.parameter_count());
        return Err(TxError::new(ErrorKind::Internal, why));
    }
    for (at, value) in (1..).zip(args) {
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(())
}

impl Tx for SqliteTx<'_> {
    fn run(&mut self, sql: &'static str, args: &[Value<'_>]) -> TxResult<u64> {
        let mut statement = self.0.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        Ok(statement.raw_execute()? as u64)
    }

    fn rows(&mut self, sql: &'static str, args: &[Value<'_>], take: Take<'_>) -> TxResult<()> {
        let mut statement = self.0.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            take(Row(row))?;
        }
        Ok(())
    }

    fn each(&mut self, sql: &'static str, batch: &Batch<'_>, take: TakeEach<'_>) -> TxResult<()> {
        let mut statement = self.0.prepare_cached(sql)?;
        for (position, args) in batch.rows().enumerate() {
            bind(&mut statement, args)?;
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                take(position, Row(row))?;
            }
        }
        Ok(())
    }
}
