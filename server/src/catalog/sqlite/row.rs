//! Conversion between columns and values. A column that does not parse was not written by this
//! program: the catalog is damaged.

use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Error, Row};

use super::connection::SqlResult;

/// Converts a quantity for SQL. Quantities are lengths and times, far below 2^63.
pub(super) fn integer(value: u64) -> SqlResult<i64> {
    i64::try_from(value).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

/// Reads a quantity from column `at`.
pub(super) fn quantity<T: TryFrom<i64>>(row: &Row<'_>, at: usize) -> SqlResult<T> {
    let value: i64 = row.get(at)?;
    T::try_from(value).map_err(|_| Error::IntegralValueOutOfRange(at, value))
}

/// Reads a name from column `at`.
pub(super) fn name<T>(row: &Row<'_>, at: usize) -> SqlResult<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    parse(&row.get::<_, String>(at)?, at)
}

/// Parses the text of column `at`.
pub(super) fn parse<T>(text: &str, at: usize) -> SqlResult<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

/// Reads the 32 bytes of a digest from column `at`.
pub(super) fn digest(row: &Row<'_>, at: usize) -> SqlResult<[u8; 32]> {
    row.get(at)
}

/// Returns the error for an integer of column `at` refused by its type.
pub(super) fn refused(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(at, Type::Integer, Box::new(error))
}
