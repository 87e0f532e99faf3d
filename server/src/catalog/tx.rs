//! Statements in a transaction: the half of the port to a database that rules use.
//!
//! [`Engine`](super::engine::Engine) opens transactions, and [`Tx`] runs statements in one. An
//! adapter of a database implements both and nothing else: `rules` decide what a statement means.
//!
//! # Contract
//!
//! 1. *Reads* see one state of the catalog, of the time the transaction began.
//! 2. *Writes are serial*: each one sees the effects of all before it, and none of any other.
//!    The rules rely on this instead of on locks of rows. A write takes effect in full or not at
//!    all, and is durable when [`Engine::run`](super::engine::Engine::run) returns.
//! 3. An engine may run the work of a transaction again after it failed for a passing reason.
//!    Therefore work changes nothing but the catalog.
//! 4. Statements are written for SQLite 3.40 and PostgreSQL 15 alike. Parameters are `$1`, `$2`, …,
//!    and appear in this order for the first time. Flags are the integers 0 and 1.

use std::fmt;
use std::str::FromStr;

use seawall_store::error::ErrorKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The result of a rule or a statement.
pub type TxResult<T> = Result<T, TxError>;

/// A failed statement, or a row that no statement of this program wrote.
#[derive(Debug)]
pub struct TxError {
    /// The kind of the failure, which tells the caller how to react.
    pub kind: ErrorKind,
    /// The failure as the engine reports it.
    pub source: Source,
}

impl TxError {
    /// Returns a failure of this kind.
    pub fn new(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self { kind, source: source.into() }
    }

    /// Returns the error for rows that no statement of this program leaves behind.
    pub fn damaged(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Damaged, source)
    }
}

/// A value of a column or a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A signed integer of 64 bits.
    Int(i64),
    /// A quantity. Engines store quantities as [`Self::Int`] and refuse those above `i64::MAX`.
    Count(u64),
    /// A text in UTF-8.
    Text(&'a str),
    /// A byte string.
    Bytes(&'a [u8]),
}

/// Conversion to a parameter.
pub trait Bind {
    /// Returns the parameter.
    fn bind(&self) -> Value<'_>;
}

/// Collects the parameters of a statement: `args![lease.id, now_secs]`.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::catalog::tx::Bind::bind(&$value)),*] };
}
pub(super) use args;

/// Implements [`Bind`] for types with a common conversion.
macro_rules! binds {
    ($($kind:ty),* => |$value:ident| $bound:expr) => {
        $(impl Bind for $kind { fn bind(&self) -> Value<'_> { let $value = self; $bound } })*
    };
}

binds! { i64 => |value| Value::Int(*value) }
binds! { crate::catalog::model::collect::PackKey => |key| Value::Int(key.0) }
binds! { u8, u32, bool => |value| Value::Int(i64::from(*value)) }
binds! { u64 => |value| Value::Count(*value) }
binds! { str, String => |value| Value::Text(value) }
binds! { [u8], Vec<u8>, [u8; 16], [u8; 32] => |value| Value::Bytes(value) }

mod names {
    use seawall_api::audit::Action;
    use seawall_api::digest::{
        ChunkDigest, ContentDigest, DescriptorDigest, EntryDigest, IndexDigest, LeafDigest,
        PackDigest, ReleaseDigest,
    };
    use seawall_api::names::{
        ApplicationName, ChannelName, HostName, MirrorName, PinName, TokenName, Version,
    };
    use seawall_api::units::{ChunkLen, DiskLen};

    use super::{Bind, Value};
    use crate::catalog::id::{LeaseId, RegistryId, WebhookId};
    use crate::catalog::model::audit::DeliveryState;

    binds! {
        ChunkDigest, ContentDigest, DescriptorDigest, EntryDigest, IndexDigest, LeafDigest,
        PackDigest, ReleaseDigest, LeaseId, RegistryId, WebhookId => |id| Value::Bytes(id.as_bytes())
    }
    binds! {
        ApplicationName, ChannelName, HostName, MirrorName, PinName, TokenName, Version, Action,
        DeliveryState
        => |name| Value::Text(name.as_str())
    }
    binds! { DiskLen => |len| Value::Count(len.get()) }
    binds! { ChunkLen => |len| Value::Int(len.get().into()) }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn bind(&self) -> Value<'_> {
        (*self).bind()
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Bind::bind)
    }
}

/// The columns of a row, as an engine offers them.
pub trait Columns {
    /// Returns the value of a column, counted from 0.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for a value of another type than the five of [`Value`].
    fn column(&self, at: usize) -> TxResult<Value<'_>>;
}

/// A row of an answer. A value that does not convert was not written by this program: the catalog
/// is damaged.
#[derive(Clone, Copy)]
pub struct Row<'a>(pub &'a dyn Columns);

impl<'a> Row<'a> {
    /// Returns the text of a column.
    ///
    /// # Errors
    /// If the column has no text.
    pub fn text(self, at: usize) -> TxResult<&'a str> {
        self.text_or_none(at)?.ok_or_else(|| wrong(at, "is NULL"))
    }

    /// Returns the text of a column, or `None`.
    ///
    /// # Errors
    /// If the column has another type.
    pub fn text_or_none(self, at: usize) -> TxResult<Option<&'a str>> {
        match self.0.column(at)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(wrong(at, "is not text")),
        }
    }

    /// Returns the integer of a column.
    ///
    /// # Errors
    /// If the column has no integer.
    pub fn int(self, at: usize) -> TxResult<i64> {
        self.int_or_none(at)?.ok_or_else(|| wrong(at, "is NULL"))
    }

    fn int_or_none(self, at: usize) -> TxResult<Option<i64>> {
        match self.0.column(at)? {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(value)),
            _ => Err(wrong(at, "is not an integer")),
        }
    }

    /// Returns the quantity of a column, in the range of `T`.
    ///
    /// # Errors
    /// If the column has no integer, or one out of range.
    pub fn count<T: TryFrom<i64>>(self, at: usize) -> TxResult<T> {
        self.count_or_none(at)?.ok_or_else(|| wrong(at, "is NULL"))
    }

    /// Returns the quantity of a column, or `None`.
    ///
    /// # Errors
    /// If the column has another type, or an integer out of range.
    pub fn count_or_none<T: TryFrom<i64>>(self, at: usize) -> TxResult<Option<T>> {
        let Some(value) = self.int_or_none(at)? else { return Ok(None) };
        T::try_from(value).map(Some).map_err(|_| wrong(at, format_args!("is {value}")))
    }

    /// Returns the flag of a column.
    ///
    /// # Errors
    /// If the column has no integer.
    pub fn flag(self, at: usize) -> TxResult<bool> {
        Ok(self.int(at)? != 0)
    }

    /// Returns the bytes of a column.
    ///
    /// # Errors
    /// If the column has no bytes.
    pub fn bytes(self, at: usize) -> TxResult<&'a [u8]> {
        match self.0.column(at)? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong(at, "has no bytes")),
        }
    }

    /// Returns the id or digest of a column, of exactly `N` bytes.
    ///
    /// # Errors
    /// If the column has no bytes, or another number of them.
    pub fn id<const N: usize>(self, at: usize) -> TxResult<[u8; N]> {
        self.bytes(at)?.try_into().map_err(|_| wrong(at, "has another length"))
    }

    /// Returns the name in a column.
    ///
    /// # Errors
    /// If the column has no text, or one that does not parse.
    pub fn name<T: FromStr<Err: Into<Source>>>(self, at: usize) -> TxResult<T> {
        self.text(at)?.parse().map_err(|error: T::Err| TxError::damaged(error))
    }

    /// Returns the name in a column, or `None`.
    ///
    /// # Errors
    /// If the column has another type, or a text that does not parse.
    pub fn name_or_none<T: FromStr<Err: Into<Source>>>(self, at: usize) -> TxResult<Option<T>> {
        let text = self.text_or_none(at)?;
        text.map(str::parse).transpose().map_err(|error: T::Err| TxError::damaged(error))
    }
}

fn wrong(at: usize, what: impl fmt::Display) -> TxError {
    TxError::damaged(format!("column {at} of a row {what}"))
}

/// The parameters of a statement that runs once for each row of them.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    width: usize,
    values: Vec<Value<'a>>,
}

impl<'a> Batch<'a> {
    /// Collects rows of `N` parameters.
    pub fn new<const N: usize>(rows: impl IntoIterator<Item = [Value<'a>; N]>) -> Self {
        Self { width: N, values: rows.into_iter().flatten().collect() }
    }

    /// Collects rows of one parameter.
    pub fn of<T: Bind + 'a>(keys: impl IntoIterator<Item = &'a T>) -> Self {
        Self { width: 1, values: keys.into_iter().map(Bind::bind).collect() }
    }

    /// Returns the rows of parameters in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Value<'a>]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

/// The receiver of the rows of an answer.
pub type Take<'a> = &'a mut dyn FnMut(Row<'_>) -> TxResult<()>;
/// The receiver of rows, each with the position of its parameters in the batch.
pub type TakeEach<'a> = &'a mut dyn FnMut(usize, Row<'_>) -> TxResult<()>;

/// A transaction.
pub trait Tx {
    /// Runs a statement without an answer. Returns the number of rows inserted, changed or deleted.
    ///
    /// # Errors
    /// If the statement fails. The transaction then has no effect.
    fn run(&mut self, sql: &'static str, args: &[Value<'_>]) -> TxResult<u64>;

    /// Runs a statement and passes the rows of its answer to `take`, in order.
    ///
    /// # Errors
    /// If the statement or `take` fails.
    fn rows(&mut self, sql: &'static str, args: &[Value<'_>], take: Take<'_>) -> TxResult<()>;

    /// Runs a statement once for each row of parameters, and passes all answers to `take`, in
    /// order. The cost is that of a few round trips, whatever the number of rows.
    ///
    /// # Errors
    /// If the statement or `take` fails.
    fn each(&mut self, sql: &'static str, batch: &Batch<'_>, take: TakeEach<'_>) -> TxResult<()>;
}

impl dyn Tx + '_ {
    /// Returns all rows of an answer.
    pub(super) fn list<T>(
        &mut self,
        sql: &'static str,
        args: &[Value<'_>],
        mut read: impl FnMut(Row<'_>) -> TxResult<T>,
    ) -> TxResult<Vec<T>> {
        let mut list = Vec::new();
        self.rows(sql, args, &mut |row| {
            list.push(read(row)?);
            Ok(())
        })?;
        Ok(list)
    }

    /// Returns the one row of an answer, if there is one.
    pub(super) fn find<T>(
        &mut self,
        sql: &'static str,
        args: &[Value<'_>],
        read: impl FnMut(Row<'_>) -> TxResult<T>,
    ) -> TxResult<Option<T>> {
        Ok(self.list(sql, args, read)?.into_iter().next())
    }

    /// Returns the one row of an answer, which must exist.
    pub(super) fn get<T>(
        &mut self,
        sql: &'static str,
        args: &[Value<'_>],
        read: impl FnMut(Row<'_>) -> TxResult<T>,
    ) -> TxResult<T> {
        self.find(sql, args, read)?.ok_or_else(|| TxError::damaged("a row is missing"))
    }

    /// Returns whether the answer has a row.
    pub(super) fn exists(&mut self, sql: &'static str, args: &[Value<'_>]) -> TxResult<bool> {
        Ok(self.find(sql, args, |_| Ok(()))?.is_some())
    }

    /// Runs a statement without an answer once for each row of parameters.
    pub(super) fn run_each(&mut self, sql: &'static str, batch: &Batch<'_>) -> TxResult<()> {
        self.each(sql, batch, &mut |_, _| Ok(()))
    }

    /// Returns the answer for each row of parameters, in order; `None` where there is no row.
    pub(super) fn find_each<T>(
        &mut self,
        sql: &'static str,
        batch: &Batch<'_>,
        mut read: impl FnMut(Row<'_>) -> TxResult<T>,
    ) -> TxResult<Vec<Option<T>>> {
        let mut found: Vec<Option<T>> = batch.rows().map(|_| None).collect();
        self.each(sql, batch, &mut |position, row| {
            found[position] = Some(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }
}
