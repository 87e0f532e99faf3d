//! Transactions of PostgreSQL.

use std::collections::HashSet;
use std::error::Error;

use bytes::BytesMut;
use futures::StreamExt;
use seawall_store::error::ErrorKind;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row as PostgresRow, Statement};

use super::connection::Session;
use super::sets::SetStatement;
use crate::catalog::tx::{Batch, Columns, Row, Take, TakeEach, Tx, TxError, TxResult, Value};

/// The maximum number of rows of parameters in one request. Bounds its memory on both sides.
const SET_LEN_MAX: usize = 1 << 16;
/// The number of requests on their way at once, for statements that run row by row.
const PIPELINE_LEN: usize = 256;

/// A transaction of one connection.
pub(super) struct PostgresTx<'a> {
    session: &'a mut Session,
    /// True if a statement failed. The server has then aborted the transaction.
    pub(super) has_failed: bool,
}

impl<'a> PostgresTx<'a> {
    pub(super) fn new(session: &'a mut Session) -> Self {
        Self { session, has_failed: false }
    }

    /// Returns a result, and records if it is a failure.
    fn noted<T>(&mut self, result: TxResult<T>) -> TxResult<T> {
        self.has_failed |= result.is_err();
        result
    }

    fn query(&mut self, sql: &'static str, args: &[Value<'_>]) -> TxResult<Vec<PostgresRow>> {
        let statement = self.session.prepare(sql)?;
        check_count(&statement, args.len())?;
        let params: Vec<Param<'_>> = args.iter().copied().map(Param).collect();
        let session = &self.session;
        session.wait(session.client().query(&statement, &refs(&params)))
    }

    /// Runs a statement over a set of rows. Returns the answers, each with the position of its row.
    fn set(
        &mut self,
        (statement, set): &(Statement, SetStatement),
        rows: &[&[Value<'_>]],
    ) -> TxResult<Vec<(usize, PostgresRow)>> {
        let arrays = arrays(statement.params(), rows)?;
        let params: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(Array::param).collect();
        let session = &self.session;
        if !set.answers {
            session.wait(session.client().execute(statement, &params))?;
            return Ok(Vec::new());
        }
        let answers = session.wait(session.client().query(statement, &params))?;
        let answers = answers.into_iter().map(|row| {
            let number: i64 = row.try_get(0)?;
            let position = usize::try_from(number - 1).map_err(TxError::damaged)?;
            Ok((position, row))
        });
        let mut answers = answers.collect::<TxResult<Vec<_>>>()?;
        // The rows of a change come in any order.
        answers.sort_by_key(|(position, _)| *position);
        Ok(answers)
    }

    /// Runs a statement for each row, with many requests on their way at once. Returns the answers,
    /// each with the position of its row.
    fn pipelined(
        &mut self,
        sql: &'static str,
        rows: &[&[Value<'_>]],
    ) -> TxResult<Vec<(usize, PostgresRow)>> {
        let statement = self.session.prepare(sql)?;
        let client = self.session.client();
        let requests = rows.iter().map(|args| {
            let params: Vec<Param<'_>> = args.iter().copied().map(Param).collect();
            let statement = &statement;
            async move { client.query(statement, &refs(&params)).await }
        });
        let answers = async {
            let mut list = Vec::new();
            let mut answers = futures::stream::iter(requests).buffered(PIPELINE_LEN).enumerate();
            while let Some((position, answer)) = answers.next().await {
                list.extend(answer?.into_iter().map(|row| (position, row)));
            }
            Ok(list)
        };
        self.session.wait(answers)
    }

    fn answers(
        &mut self,
        sql: &'static str,
        rows: &[&[Value<'_>]],
    ) -> TxResult<(Vec<(usize, PostgresRow)>, usize)> {
        if rows.len() > 1
            && let Some(set) = self.session.prepare_set(sql)?
            && are_distinct(rows, &set.1.keys)
        {
            return Ok((self.set(&set, rows)?, 1));
        }
        Ok((self.pipelined(sql, rows)?, 0))
    }
}

/// Returns whether the values of these parameters differ between any two rows.
fn are_distinct(rows: &[&[Value<'_>]], keys: &[usize]) -> bool {
    if keys.is_empty() {
        return true;
    }
    let mut seen = HashSet::with_capacity(rows.len());
    rows.iter().all(|row| seen.insert(keys.iter().map(|at| row.get(*at)).collect::<Vec<_>>()))
}

/// Fails if a statement takes another number of parameters: a defect.
fn check_count(statement: &Statement, count: usize) -> TxResult<()> {
    let takes = statement.params().len();
    if takes == count {
        return Ok(());
    }
    Err(TxError::new(ErrorKind::Internal, format!("a statement takes {takes} parameters")))
}

impl Tx for PostgresTx<'_> {
    fn run(&mut self, sql: &'static str, args: &[Value<'_>]) -> TxResult<u64> {
        let run = |own: &mut Self| {
            let statement = own.session.prepare(sql)?;
            check_count(&statement, args.len())?;
            let params: Vec<Param<'_>> = args.iter().copied().map(Param).collect();
            let session = &own.session;
            session.wait(session.client().execute(&statement, &refs(&params)))
        };
        let count = run(self);
        self.noted(count)
    }

    fn rows(&mut self, sql: &'static str, args: &[Value<'_>], take: Take<'_>) -> TxResult<()> {
        let rows = self.query(sql, args);
        for row in &self.noted(rows)? {
            take(Row(&Answer { row, skipped: 0 }))?;
        }
        Ok(())
    }

    fn each(&mut self, sql: &'static str, batch: &Batch<'_>, take: TakeEach<'_>) -> TxResult<()> {
        let rows: Vec<&[Value<'_>]> = batch.rows().collect();
        for (set, begin) in rows.chunks(SET_LEN_MAX).zip((0..).step_by(SET_LEN_MAX)) {
            let answers = self.answers(sql, set);
            let (answers, skipped) = self.noted(answers)?;
            for (position, row) in &answers {
                take(begin + position, Row(&Answer { row, skipped }))?;
            }
        }
        Ok(())
    }
}

/// A row of an answer, without its first columns.
pub(super) struct Answer<'a> {
    pub(super) row: &'a PostgresRow,
    pub(super) skipped: usize,
}

impl Columns for Answer<'_> {
    fn column(&self, at: usize) -> TxResult<Value<'_>> {
        let at = at + self.skipped;
        let Some(column) = self.row.columns().get(at) else {
            return Err(TxError::damaged(format!("a row has no column {at}")));
        };
        let int = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
        Ok(match *column.type_() {
            Type::INT8 => int(self.row.try_get(at)?),
            Type::INT4 => int(self.row.try_get::<_, Option<i32>>(at)?.map(i64::from)),
            Type::BOOL => int(self.row.try_get::<_, Option<bool>>(at)?.map(i64::from)),
            Type::BYTEA => {
                self.row.try_get::<_, Option<&[u8]>>(at)?.map_or(Value::Null, Value::Bytes)
            }
            Type::TEXT | Type::VARCHAR | Type::NAME => {
                self.row.try_get::<_, Option<&str>>(at)?.map_or(Value::Null, Value::Text)
            }
            ref other => return Err(TxError::damaged(format!("column {at} of a row is {other}"))),
        })
    }
}

/// A parameter of one statement.
#[derive(Debug)]
struct Param<'a>(Value<'a>);

fn refs<'a>(params: &'a [Param<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

type Encoded = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Encoded {
        match (self.0, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(value), &Type::INT8) => value.to_sql(kind, out),
            (Value::Int(value), &Type::INT4) => i32::try_from(value)?.to_sql(kind, out),
            (Value::Int(value), &Type::INT2) => i16::try_from(value)?.to_sql(kind, out),
            (Value::Count(value), _) => Param(Value::Int(i64::try_from(value)?)).to_sql(kind, out),
            (Value::Text(value), &Type::TEXT) => plain(value).to_sql(kind, out),
            (Value::Bytes(value), &Type::BYTEA) => value.to_sql(kind, out),
            (value, kind) => Err(format!("{value:?} is given for a column of {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Checked with the value.
        true
    }

    to_sql_checked!();
}

/// Returns a text that PostgreSQL stores: NUL, which it does not, becomes the character for what
/// cannot be shown.
pub(super) fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

/// The values of one parameter in all rows of a set.
enum Array<'a> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<std::borrow::Cow<'a, str>>>),
    Bytes(Vec<Option<&'a [u8]>>),
}

impl Array<'_> {
    fn param(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Ints(list) => list,
            Self::Texts(list) => list,
            Self::Bytes(list) => list,
        }
    }
}

/// Turns rows of values into an array for each parameter.
fn arrays<'a>(kinds: &[Type], rows: &[&[Value<'a>]]) -> TxResult<Vec<Array<'a>>> {
    let wrong = |value: Value<'_>, kind: &Type| {
        TxError::new(ErrorKind::Internal, format!("{value:?} is given for an array {kind}"))
    };
    if rows.iter().any(|row| row.len() != kinds.len()) {
        let why = format!("a statement takes {} parameters", kinds.len());
        return Err(TxError::new(ErrorKind::Internal, why));
    }
    let column = |at: usize| rows.iter().map(move |row| row[at]);
    let array = |(at, kind): (usize, &Type)| {
        Ok(match *kind {
            Type::INT8_ARRAY => Array::Ints(
                column(at)
                    .map(|value| match value {
                        Value::Null => Ok(None),
                        Value::Int(value) => Ok(Some(value)),
                        Value::Count(count) => {
                            i64::try_from(count).map(Some).map_err(|_| wrong(value, kind))
                        }
                        other => Err(wrong(other, kind)),
                    })
                    .collect::<TxResult<_>>()?,
            ),
            Type::TEXT_ARRAY => Array::Texts(
                column(at)
                    .map(|value| match value {
                        Value::Null => Ok(None),
                        Value::Text(text) => Ok(Some(plain(text))),
                        other => Err(wrong(other, kind)),
                    })
                    .collect::<TxResult<_>>()?,
            ),
            Type::BYTEA_ARRAY => Array::Bytes(
                column(at)
                    .map(|value| match value {
                        Value::Null => Ok(None),
                        Value::Bytes(bytes) => Ok(Some(bytes)),
                        other => Err(wrong(other, kind)),
                    })
                    .collect::<TxResult<_>>()?,
            ),
            ref other => return Err(wrong(Value::Null, other)),
        })
    };
    kinds.iter().enumerate().map(array).collect()
}
