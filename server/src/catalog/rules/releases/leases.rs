//! Leases.

use seawall_api::names::ApplicationName;

use crate::catalog::LeaseId;
use crate::catalog::model::collect::{Actor, Grip};
use crate::catalog::model::leases::{
    Admission, LEASES_MAX, LEASES_PER_TOKEN_MAX, Lease, LeaseOpened, NewLease,
    PULL_LEASE_AGE_MAX_SECS, Purpose, Renewal,
};
use crate::catalog::rules::audit::quotas;
use crate::catalog::rules::collect::{Counter, count, count_up};
use crate::catalog::tx::{Tx, TxResult, args};

/// Deletes leases that have ended. Objects stored under them count as litter.
pub(in crate::catalog) fn delete_ended(tx: &mut dyn Tx, now_secs: u64) -> TxResult<()> {
    let sql = "DELETE FROM leases WHERE deadline_secs <= $1 AND has_kept = 1";
    if tx.run(sql, args![now_secs])? > 0 {
        count_up(tx, Counter::Litter)?;
    }
    tx.run("DELETE FROM leases WHERE deadline_secs <= $1", args![now_secs])?;
    Ok(())
}

/// Opens a lease and deletes leases that have ended.
pub(in crate::catalog) fn open(
    tx: &mut dyn Tx,
    lease: &NewLease,
    now_secs: u64,
) -> TxResult<LeaseOpened> {
    delete_ended(tx, now_secs)?;
    let all: u32 = tx.get("SELECT COUNT(*) FROM leases", &[], |row| row.count(0))?;
    if all >= LEASES_MAX {
        return Ok(LeaseOpened::TooMany);
    }
    let sql = "SELECT COUNT(*) FROM leases WHERE opened_by = $1";
    let own: u32 = tx.get(sql, args![lease.opened_by], |row| row.count(0))?;
    if own >= LEASES_PER_TOKEN_MAX && !lease.opened_by.is_empty() {
        return Ok(LeaseOpened::TooManyOfToken);
    }
    let generation = count(tx, Counter::Generation)?;
    let is_pull = lease.purpose == Purpose::Pull;
    let NewLease { id, application, deadline_secs, opened_by, .. } = lease;
    let sql = "INSERT INTO leases (id, application, deadline_secs, generation, is_pull, has_kept,
                                   opened_by, opened_at_secs)
               VALUES ($1, $2, $3, $4, $5, 0, $6, $7)";
    let values = args![id, application, deadline_secs, generation, is_pull, opened_by, now_secs];
    tx.run(sql, values)?;
    Ok(LeaseOpened::Done)
}

/// Records that an object is about to be stored under a lease.
pub(in crate::catalog) fn mark_kept(tx: &mut dyn Tx, id: LeaseId) -> TxResult<()> {
    tx.run("UPDATE leases SET has_kept = 1 WHERE id = $1", args![id])?;
    Ok(())
}

/// Returns the application and the opener of a lease.
pub(in crate::catalog) fn opener(
    tx: &mut dyn Tx,
    id: LeaseId,
) -> TxResult<Option<(ApplicationName, String)>> {
    let sql = "SELECT application, opened_by FROM leases WHERE id = $1";
    tx.find(sql, args![id], |row| Ok((row.name(0)?, row.text(1)?.to_owned())))
}

/// Returns a lease if alive at `now_secs`.
pub(in crate::catalog) fn alive(
    tx: &mut dyn Tx,
    id: LeaseId,
    now_secs: u64,
) -> TxResult<Option<Lease>> {
    let sweeps = Some(count(tx, Counter::Sweeps)?);
    let actor = Some(Actor { lease: Some(id), at_secs: now_secs });
    let sql = "SELECT application, deadline_secs, generation, is_pull, has_kept FROM leases
               WHERE id = $1 AND deadline_secs > $2";
    tx.find(sql, args![id, now_secs], |row| {
        Ok(Lease {
            id,
            application: row.name(0)?,
            deadline_secs: row.count(1)?,
            purpose: if row.flag(3)? { Purpose::Pull } else { Purpose::Push },
            grip: Grip { generation: row.count(2)?, sweeps, actor },
            has_kept: row.flag(4)?,
        })
    })
}

/// Admits an object to be stored under a push lease: marks the lease, and renews it when due.
pub(in crate::catalog) fn admit(
    tx: &mut dyn Tx,
    id: LeaseId,
    renewal: Renewal,
) -> TxResult<Option<Admission>> {
    let Some(lease) = alive(tx, id, renewal.now_secs)? else { return Ok(None) };
    if lease.purpose == Purpose::Push {
        if !lease.has_kept {
            mark_kept(tx, id)?;
        }
        if renewal.is_due(lease.deadline_secs) {
            renew(tx, id, renewal.now_secs, renewal.deadline_secs())?;
        }
    }
    let load = quotas::load(tx, id, &lease.application)?;
    Ok(Some(Admission { lease, load }))
}

/// Moves the deadline of a lease. Returns false if the lease is not alive, or is a pull lease that
/// is too old.
pub(in crate::catalog) fn renew(
    tx: &mut dyn Tx,
    id: LeaseId,
    now_secs: u64,
    deadline_secs: u64,
) -> TxResult<bool> {
    // Leases from before schema version 8 have no opening time.
    let sql = "UPDATE leases SET deadline_secs = $1 WHERE id = $2 AND deadline_secs > $3
                   AND (is_pull = 0 OR opened_at_secs = 0 OR opened_at_secs > $4)";
    let oldest = now_secs.saturating_sub(PULL_LEASE_AGE_MAX_SECS);
    Ok(tx.run(sql, args![deadline_secs, id, now_secs, oldest])? == 1)
}

/// Ends a lease without a release. Objects stored under the lease count as litter.
pub(in crate::catalog) fn end(tx: &mut dyn Tx, id: LeaseId) -> TxResult<()> {
    if tx.run("DELETE FROM leases WHERE id = $1 AND has_kept = 1", args![id])? > 0 {
        count_up(tx, Counter::Litter)?;
    }
    close(tx, id)
}

/// Ends a lease whose release was published.
pub(in crate::catalog) fn close(tx: &mut dyn Tx, id: LeaseId) -> TxResult<()> {
    tx.run("DELETE FROM leases WHERE id = $1", args![id])?;
    Ok(())
}

/// Runs a statement that takes part in the order of writes and changes nothing.
pub(in crate::catalog) fn probe(tx: &mut dyn Tx) -> TxResult<()> {
    tx.run("DELETE FROM leases WHERE deadline_secs < 0", &[])?;
    Ok(())
}
