//! Columns to values and back. A column that does not parse was not written by us: damage.

use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Error, Row};

use super::connection::SqlResult;

/// A quantity as SQL has it. Ours are lengths and times, far below 2^63.
pub(super) fn integer(value: u64) -> SqlResult<i64> {
    i64::try_from(value).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

/// A quantity in column `at`.
pub(super) fn quantity<T: TryFrom<i64>>(row: &Row<'_>, at: usize) -> SqlResult<T> {
    let value: i64 = row.get(at)?;
    T::try_from(value).map_err(|_| Error::IntegralValueOutOfRange(at, value))
}

/// A name in column `at`.
pub(super) fn name<T>(row: &Row<'_>, at: usize) -> SqlResult<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    parse(&row.get::<_, String>(at)?, at)
}

/// A name that stands in column `at`.
pub(super) fn parse<T>(text: &str, at: usize) -> SqlResult<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

/// The 32 bytes of a digest in column `at`.
pub(super) fn digest(row: &Row<'_>, at: usize) -> SqlResult<[u8; 32]> {
    row.get(at)
}

/// A value that its own constructor refuses.
pub(super) fn refused(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(at, Type::Integer, Box::new(error))
}
