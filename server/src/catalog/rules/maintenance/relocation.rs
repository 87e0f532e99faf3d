//! The gate that a relocation closes.

use crate::catalog::id::RegistryId;
use crate::catalog::model::relocation::{Closing, Places, Relocation, RelocationState};
use crate::catalog::tx::{Tx, TxResult, args};

use super::identity;

/// The failure of jobs that a relocation ended.
const MOVED: &str = "the registry was moved";

/// Returns the last relocation, if there was one.
pub(in crate::catalog) fn get(tx: &mut dyn Tx) -> TxResult<Option<Relocation>> {
    tx.find("SELECT epoch, state, store, catalog, at_secs FROM relocation", args![], |row| {
        Ok(Relocation {
            epoch: row.int(0)?,
            state: RelocationState::of(row.int(1)?)?,
            to: Places { store: row.text(2)?.to_owned(), catalog: row.text(3)?.to_owned() },
            at_secs: row.count(4)?,
        })
    })
}

/// Closes the registry, and ends its jobs. Gives it the id `random` if it has none.
pub(in crate::catalog) fn close(
    tx: &mut dyn Tx,
    to: &Places,
    random: RegistryId,
    now_secs: u64,
) -> TxResult<Closing> {
    let identity = identity::give(tx, random)?;
    match get(tx)? {
        Some(found) if found.state != RelocationState::Open => {
            return Ok(match found.to == *to {
                true => Closing::Closed(identity.registry),
                false => Closing::Other(found),
            });
        }
        _ => {}
    }
    let sql = "UPDATE jobs SET ended_at_secs = $1, failure = $2, request = ''
               WHERE ended_at_secs IS NULL";
    tx.run(sql, args![now_secs, MOVED])?;
    let sql = "INSERT INTO relocation (id, epoch, state, store, catalog, at_secs)
               VALUES (1, 0, $1, $2, $3, $4)
               ON CONFLICT (id) DO UPDATE SET state = excluded.state, store = excluded.store,
                   catalog = excluded.catalog, at_secs = excluded.at_secs";
    tx.run(sql, args![RelocationState::Moving.number(), to.store, to.catalog, now_secs])?;
    Ok(Closing::Closed(identity.registry))
}

/// Ends a relocation in `state`. Returns false unless one was going on.
pub(in crate::catalog) fn end(
    tx: &mut dyn Tx,
    state: RelocationState,
    now_secs: u64,
) -> TxResult<bool> {
    let sql = "UPDATE relocation SET state = $1, at_secs = $2 WHERE state = $3";
    let moving = RelocationState::Moving.number();
    Ok(tx.run(sql, args![state.number(), now_secs, moving])? == 1)
}

/// Binds the registry to another store and opens it again, in a new epoch. Returns false unless a
/// relocation was going on.
pub(in crate::catalog) fn rebind(
    tx: &mut dyn Tx,
    store: Option<&str>,
    now_secs: u64,
) -> TxResult<bool> {
    if !end(tx, RelocationState::Open, now_secs)? {
        return Ok(false);
    }
    tx.run("UPDATE relocation SET epoch = epoch + 1", args![])?;
    tx.run("UPDATE identity SET store = $1", args![store])?;
    Ok(true)
}
