//! Leases.

use rusqlite::{OptionalExtension, Transaction, params};

use super::connection::SqlResult;
use super::row;
use crate::catalog::model::{Lease, LeaseId};

pub(super) fn open(tx: &Transaction<'_>, lease: &Lease, now_secs: u64) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE deadline_secs <= $1")?
        .execute([row::integer(now_secs)?])?;
    let sql = "INSERT INTO leases (id, application, deadline_secs) VALUES ($1, $2, $3)";
    tx.prepare_cached(sql)?.execute(params![
        lease.id.as_bytes(),
        lease.application.as_str(),
        row::integer(lease.deadline_secs)?
    ])?;
    Ok(())
}

pub(super) fn alive(tx: &Transaction<'_>, id: LeaseId, now_secs: u64) -> SqlResult<Option<Lease>> {
    let sql = "SELECT application, deadline_secs FROM leases WHERE id = $1 AND deadline_secs > $2";
    tx.prepare_cached(sql)?
        .query_row(params![id.as_bytes(), row::integer(now_secs)?], |found| {
            let application = row::name(found, 0)?;
            Ok(Lease { id, application, deadline_secs: row::quantity(found, 1)? })
        })
        .optional()
}

pub(super) fn renew(
    tx: &Transaction<'_>,
    id: LeaseId,
    now_secs: u64,
    deadline_secs: u64,
) -> SqlResult<bool> {
    let sql = "UPDATE leases SET deadline_secs = $1 WHERE id = $2 AND deadline_secs > $3";
    let (deadline, now) = (row::integer(deadline_secs)?, row::integer(now_secs)?);
    let count = tx.prepare_cached(sql)?.execute(params![deadline, id.as_bytes(), now])?;
    Ok(count == 1)
}

pub(super) fn end(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE id = $1")?.execute([id.as_bytes()])?;
    Ok(())
}

/// A statement that needs the write lock and changes nothing.
pub(super) fn probe(tx: &Transaction<'_>) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE deadline_secs < 0")?.execute([])?;
    Ok(())
}
