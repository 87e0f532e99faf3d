//! Leases.

use rusqlite::{OptionalExtension, Transaction, params};
use seawall_api::names::ApplicationName;

use super::collect::{GENERATION, LITTER, SWEEPS, count_up, counter};
use super::connection::SqlResult;
use super::row;
use crate::catalog::LeaseId;
use crate::catalog::collect::{Grip, Hand};
use crate::catalog::model::{Lease, NewLease, Purpose};

/// Forgets leases that have ended. What was kept under one of them is litter.
pub(super) fn forget_ended(tx: &Transaction<'_>, now_secs: u64) -> SqlResult<()> {
    let now = row::integer(now_secs)?;
    let kept = tx
        .prepare_cached("DELETE FROM leases WHERE deadline_secs <= $1 AND has_kept = 1")?
        .execute([now])?;
    if kept > 0 {
        count_up(tx, LITTER)?;
    }
    tx.prepare_cached("DELETE FROM leases WHERE deadline_secs <= $1")?.execute([now])?;
    Ok(())
}

pub(super) fn open(tx: &Transaction<'_>, lease: &NewLease, now_secs: u64) -> SqlResult<()> {
    forget_ended(tx, now_secs)?;
    let sql = "INSERT INTO leases (id, application, deadline_secs, generation, is_pull, has_kept,
                                   opened_by) VALUES ($1, $2, $3, $4, $5, 0, $6)";
    tx.prepare_cached(sql)?.execute(params![
        lease.id.as_bytes(),
        lease.application.as_str(),
        row::integer(lease.deadline_secs)?,
        row::integer(counter(tx, GENERATION)?)?,
        lease.purpose == Purpose::Pull,
        lease.opened_by
    ])?;
    Ok(())
}

pub(super) fn note_kept(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    tx.prepare_cached("UPDATE leases SET has_kept = 1 WHERE id = $1")?.execute([id.as_bytes()])?;
    Ok(())
}

/// The application of a lease, and who opened it.
pub(super) fn opener(
    tx: &Transaction<'_>,
    id: LeaseId,
) -> SqlResult<Option<(ApplicationName, String)>> {
    tx.prepare_cached("SELECT application, opened_by FROM leases WHERE id = $1")?
        .query_row([id.as_bytes()], |found| Ok((row::name(found, 0)?, found.get(1)?)))
        .optional()
}

pub(super) fn alive(tx: &Transaction<'_>, id: LeaseId, now_secs: u64) -> SqlResult<Option<Lease>> {
    let sql = "SELECT application, deadline_secs, generation, is_pull, has_kept FROM leases
               WHERE id = $1 AND deadline_secs > $2";
    let sweeps = Some(counter(tx, SWEEPS)?);
    let hand = Some(Hand { lease: Some(id), at_secs: now_secs });
    tx.prepare_cached(sql)?
        .query_row(params![id.as_bytes(), row::integer(now_secs)?], |found| {
            let application = row::name(found, 0)?;
            Ok(Lease {
                id,
                application,
                deadline_secs: row::quantity(found, 1)?,
                purpose: if found.get(3)? { Purpose::Pull } else { Purpose::Push },
                grip: Grip { generation: row::quantity(found, 2)?, sweeps, hand },
                has_kept: found.get(4)?,
            })
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

/// Ends a lease without a release to show for it: what was kept under it, if anything, is litter.
pub(super) fn end(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    let sql = "DELETE FROM leases WHERE id = $1 AND has_kept = 1";
    if tx.prepare_cached(sql)?.execute([id.as_bytes()])? > 0 {
        count_up(tx, LITTER)?;
    }
    close(tx, id)
}

/// Ends a lease whose release became visible.
pub(super) fn close(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE id = $1")?.execute([id.as_bytes()])?;
    Ok(())
}

/// A statement that needs the write lock and changes nothing.
pub(super) fn probe(tx: &Transaction<'_>) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE deadline_secs < 0")?.execute([])?;
    Ok(())
}
