//! All rows of one catalog moved to another, and proven to be the same there.
//!
//! The sum of a table is the sum of the hashes of its rows, so that it does not depend on the order
//! in which an engine reads them.
//!
//! Two tables differ on purpose. `identity` gets the store that the registry will use, and
//! `relocation`, the gate of the former catalog, stays empty.

use std::cell::RefCell;
use std::collections::BTreeMap;

use seawall_store::error::ErrorKind;

use super::engine::{Export, Rows};
use super::error::CatalogError;
use super::tx::{TxResult, Value};

/// The table that names the store of the registry.
const IDENTITY: &str = "identity";
/// The column of that store.
const STORE: &str = "store";
/// The table that is not moved.
const RELOCATION: &str = "relocation";

/// The rows of a table.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct TableSum {
    rows: u64,
    sum: [u64; 4],
}

impl TableSum {
    fn add(&mut self, row: &[Value<'_>], buffer: &mut Vec<u8>) {
        buffer.clear();
        for value in row {
            let number;
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Int(value) => {
                    number = value.to_le_bytes();
                    (1, &number)
                }
                Value::Count(value) => {
                    number = value.to_le_bytes();
                    (1, &number)
                }
                Value::Text(text) => (2, text.as_bytes()),
                Value::Bytes(bytes) => (3, bytes),
            };
            buffer.push(kind);
            buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            buffer.extend_from_slice(bytes);
        }
        let hash = blake3::hash(buffer);
        for (sum, part) in self.sum.iter_mut().zip(hash.as_bytes().as_chunks().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*part));
        }
        self.rows += 1;
    }
}

/// The rows that were moved, by table.
#[derive(Debug, Default)]
pub struct Moved {
    tables: BTreeMap<&'static str, (Vec<String>, TableSum)>,
}

impl Moved {
    /// Returns the number of rows of each table.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.tables.iter().map(|(table, (_, sum))| (*table, sum.rows))
    }

    /// Returns a table whose rows in another catalog are not the same.
    ///
    /// # Errors
    /// If the other catalog cannot be read.
    pub fn differs(&self, other: Export) -> Result<Option<&'static str>, CatalogError> {
        let again = Sender { columns: Some(self), ..Sender::default() };
        other(&again)?;
        let again = again.state.into_inner().moved;
        let of = |moved: &Self, table| moved.tables.get(table).map(|(_, sum)| *sum);
        Ok(self.tables.keys().find(|table| of(self, **table) != of(&again, **table)).copied())
    }
}

/// Counts the rows of a catalog, by table.
///
/// # Errors
/// If the catalog cannot be read.
pub fn count(from: Export) -> Result<Moved, CatalogError> {
    let counter = Sender::default();
    from(&counter)?;
    Ok(counter.state.into_inner().moved)
}

/// Moves all rows to `to`. `store` is the store that the registry will use, `None` for the data
/// directory. Reports the bytes of rows to `watch`.
///
/// # Errors
/// If one of the catalogs fails.
pub fn send(
    from: Export,
    to: &dyn Rows,
    store: Option<&str>,
    watch: &dyn Fn(u64),
) -> Result<Moved, CatalogError> {
    let sender = Sender { to: Some(to), store, watch: Some(watch), ..Sender::default() };
    from(&sender)?;
    Ok(sender.state.into_inner().moved)
}

/// Passes rows on, and sums them up.
#[derive(Default)]
struct Sender<'a> {
    to: Option<&'a dyn Rows>,
    store: Option<&'a str>,
    watch: Option<&'a dyn Fn(u64)>,
    /// The columns to read, where no receiver names them.
    columns: Option<&'a Moved>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    moved: Moved,
    buffer: Vec<u8>,
}

impl Rows for Sender<'_> {
    fn columns(&self, table: &'static str) -> Result<Vec<String>, CatalogError> {
        let columns = match (self.to, self.columns) {
            (Some(to), _) => to.columns(table)?,
            (None, Some(moved)) => match moved.tables.get(table) {
                Some((columns, _)) => columns.clone(),
                None => {
                    let why = format!("the table {table} was not moved");
                    return Err(CatalogError::new(ErrorKind::Internal, "be compared", why));
                }
            },
            // A row counts whatever its columns are.
            (None, None) => vec!["1".to_owned()],
        };
        let entry = (columns.clone(), TableSum::default());
        self.state.borrow_mut().moved.tables.insert(table, entry);
        Ok(columns)
    }

    fn add(&self, table: &'static str, row: &[Value<'_>]) -> TxResult<()> {
        if table == RELOCATION {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        let State { moved, buffer } = &mut *state;
        let Some((columns, sum)) = moved.tables.get_mut(table) else { return Ok(()) };
        let changed;
        let row = match self.to {
            Some(_) if table == IDENTITY => {
                let store = self.store.map_or(Value::Null, Value::Text);
                let values = columns.iter().zip(row);
                changed = values
                    .map(|(name, value)| if name == STORE { store } else { *value })
                    .collect::<Vec<_>>();
                &changed[..]
            }
            _ => row,
        };
        sum.add(row, buffer);
        if let Some(watch) = self.watch {
            watch(buffer.len() as u64);
        }
        match self.to {
            Some(to) => to.add(table, row),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Value<'_>]]) -> TableSum {
        let mut sum = TableSum::default();
        for row in rows {
            sum.add(row, &mut Vec::new());
        }
        sum
    }

    #[test]
    fn a_sum_depends_on_every_value_and_on_no_order() {
        let (one, two) = ([Value::Int(1), Value::Text("a")], [Value::Int(2), Value::Null]);
        assert_eq!(sum(&[&one, &two]), sum(&[&two, &one]));
        assert_eq!(sum(&[&[Value::Count(1), Value::Text("a")]]), sum(&[&one]));
        for other in [
            [Value::Int(1), Value::Text("b")],
            [Value::Int(1), Value::Bytes(b"a")],
            [Value::Int(1), Value::Null],
            [Value::Null, Value::Text("a")],
        ] {
            assert_ne!(sum(&[&one]), sum(&[&other]), "{other:?}");
        }
        assert_ne!(sum(&[&one, &one]), sum(&[&one]), "a row that is there twice counts twice");
        let (ab_c, a_bc) = (["ab", "c"].map(Value::Text), ["a", "bc"].map(Value::Text));
        assert_ne!(sum(&[&ab_c]), sum(&[&a_bc]));
    }
}
