//! Leases.

use rusqlite::{OptionalExtension, Transaction, params};
use seawall_api::names::ApplicationName;

use super::collect::{GENERATION, LITTER, SWEEPS, count_up, counter};
use super::connection::SqlResult;
use super::row;
use crate::catalog::LeaseId;
use crate::catalog::collect::{Grip, Hand};
use crate::catalog::model::{
    LEASES_MAX, LEASES_PER_TOKEN_MAX, Lease, LeaseOpened, NewLease, PULL_LEASE_AGE_MAX_SECS,
    Purpose,
};

/// Deletes leases that have ended. Objects stored under them count as litter.
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

pub(super) fn open(
    tx: &Transaction<'_>,
    lease: &NewLease,
    now_secs: u64,
) -> SqlResult<LeaseOpened> {
    forget_ended(tx, now_secs)?;
    let all: u32 =
        tx.prepare_cached("SELECT COUNT(*) FROM leases")?.query_row([], |found| found.get(0))?;
    if all >= LEASES_MAX {
        return Ok(LeaseOpened::TooMany);
    }
    let own: u32 = tx
        .prepare_cached("SELECT COUNT(*) FROM leases WHERE opened_by = $1")?
        .query_row([&lease.opened_by], |found| found.get(0))?;
    if own >= LEASES_PER_TOKEN_MAX && !lease.opened_by.is_empty() {
        return Ok(LeaseOpened::TooManyOfToken);
    }
    let sql = "INSERT INTO leases (id, application, deadline_secs, generation, is_pull, has_kept,
                                   opened_by, opened_at_secs)
               VALUES ($1, $2, $3, $4, $5, 0, $6, $7)";
    tx.prepare_cached(sql)?.execute(params![
        lease.id.as_bytes(),
        lease.application.as_str(),
        row::integer(lease.deadline_secs)?,
        row::integer(counter(tx, GENERATION)?)?,
        lease.purpose == Purpose::Pull,
        lease.opened_by,
        row::integer(now_secs)?
    ])?;
    Ok(LeaseOpened::Done)
}

pub(super) fn note_kept(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    tx.prepare_cached("UPDATE leases SET has_kept = 1 WHERE id = $1")?.execute([id.as_bytes()])?;
    Ok(())
}

/// Returns the application and the opener of a lease.
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
    // Leases from before schema version 8 have no opening time.
    let sql = "UPDATE leases SET deadline_secs = $1 WHERE id = $2 AND deadline_secs > $3
                   AND (is_pull = 0 OR opened_at_secs = 0 OR opened_at_secs > $4)";
    let (deadline, now) = (row::integer(deadline_secs)?, row::integer(now_secs)?);
    let oldest = row::integer(now_secs.saturating_sub(PULL_LEASE_AGE_MAX_SECS))?;
    let count = tx.prepare_cached(sql)?.execute(params![deadline, id.as_bytes(), now, oldest])?;
    Ok(count == 1)
}

/// Ends a lease without a release. Objects stored under the lease count as litter.
pub(super) fn end(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    let sql = "DELETE FROM leases WHERE id = $1 AND has_kept = 1";
    if tx.prepare_cached(sql)?.execute([id.as_bytes()])? > 0 {
        count_up(tx, LITTER)?;
    }
    close(tx, id)
}

/// Ends a lease whose release was published.
pub(super) fn close(tx: &Transaction<'_>, id: LeaseId) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE id = $1")?.execute([id.as_bytes()])?;
    Ok(())
}

/// Runs a statement that takes the write lock and changes nothing.
pub(super) fn probe(tx: &Transaction<'_>) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM leases WHERE deadline_secs < 0")?.execute([])?;
    Ok(())
}
