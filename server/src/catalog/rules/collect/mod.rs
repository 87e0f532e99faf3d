//! Deletion of unreachable content, by generations and grips (docs/adr/0008).

pub(in crate::catalog) mod condemn;
pub(in crate::catalog) mod roots;
pub(in crate::catalog) mod sweep;

use crate::catalog::model::collect::{CollectState, Collectable};
use crate::catalog::rules::releases::leases;
use crate::catalog::tx::{Row, Tx, TxError, TxResult, args};

/// A counter of collection, by its name in the table `counters`.
#[derive(Clone, Copy)]
pub(in crate::catalog) enum Counter {
    /// The newest generation.
    Generation,
    /// Moves when a sweep begins and when one ends.
    Sweeps,
    /// Moves with each event that may leave something to collect.
    Litter,
    /// The value of `Litter` up to which everything has been collected.
    Collected,
    /// Moves with each publication.
    Published,
}

impl Counter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Sweeps => "sweeps",
            Self::Litter => "litter",
            Self::Collected => "collected",
            Self::Published => "published",
        }
    }
}

/// Returns the value of a counter.
pub(in crate::catalog) fn count(tx: &mut dyn Tx, counter: Counter) -> TxResult<u64> {
    let sql = "SELECT value FROM counters WHERE name = $1";
    tx.get(sql, args![*counter.as_str()], |row| row.count(0))
}

/// Increments a counter.
pub(in crate::catalog) fn count_up(tx: &mut dyn Tx, counter: Counter) -> TxResult<()> {
    let sql = "UPDATE counters SET value = value + 1 WHERE name = $1";
    tx.run(sql, args![*counter.as_str()])?;
    Ok(())
}

/// Returns the counters of collection.
pub(in crate::catalog) fn state(tx: &mut dyn Tx, now_secs: u64) -> TxResult<CollectState> {
    leases::delete_ended(tx, now_secs)?;
    let sql = "SELECT (SELECT COUNT(*) FROM condemned_packs WHERE is_swept = $1)
                    + (SELECT COUNT(*) FROM condemned_objects WHERE is_swept = $1)";
    let condemned = tx.get(sql, args![false], |row| row.count(0))?;
    let swept: u64 = tx.get(sql, args![true], |row| row.count(0))?;
    Ok(CollectState {
        generation: count(tx, Counter::Generation)?,
        litter: count(tx, Counter::Litter)?,
        collected: count(tx, Counter::Collected)?,
        published: count(tx, Counter::Published)?,
        sweeps: count(tx, Counter::Sweeps)?,
        condemned,
        is_sweeping: swept > 0,
    })
}

/// Records that everything up to `litter` has been collected.
pub(in crate::catalog) fn end(tx: &mut dyn Tx, litter: u64) -> TxResult<()> {
    let sql = "UPDATE counters SET value = $1 WHERE name = $2";
    tx.run(sql, args![litter, *Counter::Collected.as_str()])?;
    Ok(())
}

/// Reads a row of `kind, digest`.
fn read_object(row: Row<'_>) -> TxResult<Collectable> {
    let kind = row.text(0)?;
    let unknown = || TxError::damaged(format!("an object has the kind `{kind}`"));
    Collectable::of_parts(kind, row.id(1)?).ok_or_else(unknown)
}
