//! Quotas, and the data counted under leases.

use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;

use crate::catalog::LeaseId;
use crate::catalog::model::audit::{Entry, Excess, LeaseLoad, Quota, QuotaState, Usage};
use crate::catalog::model::content::Frame;
use crate::catalog::places::Places;
use crate::catalog::rules::audit;
use crate::catalog::tx::{Tx, TxResult, args};

fn quota(tx: &mut dyn Tx, application: &ApplicationName) -> TxResult<Quota> {
    let sql = "SELECT data_bytes_max, release_count_max FROM quotas WHERE application = $1";
    let found = tx.find(sql, args![application], |row| {
        Ok(Quota {
            data_bytes_max: row.count_or_none(0)?,
            release_count_max: row.count_or_none(1)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Returns the usage of an application. Deleted releases do not count.
fn usage(tx: &mut dyn Tx, application: &ApplicationName) -> TxResult<Usage> {
    let sql = "SELECT CAST(COALESCE(SUM(data_bytes), 0) AS BIGINT), COUNT(*) FROM releases
               WHERE application = $1 AND deleted_at_secs IS NULL";
    tx.get(sql, args![application], |row| {
        Ok(Usage { data_bytes: row.count(0)?, release_count: row.count(1)? })
    })
}

/// Returns the quota and usage of an application.
pub(in crate::catalog) fn state(
    tx: &mut dyn Tx,
    application: &ApplicationName,
) -> TxResult<QuotaState> {
    Ok(QuotaState { quota: quota(tx, application)?, usage: usage(tx, application)? })
}

/// Returns the limit exceeded by another release with this much data, if any.
pub(in crate::catalog) fn excess(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    data_bytes: u64,
) -> TxResult<Option<Excess>> {
    let quota = quota(tx, application)?;
    if quota == Quota::default() {
        return Ok(None);
    }
    Ok(QuotaState { quota, usage: usage(tx, application)? }.excess(data_bytes))
}

/// Sets the quota of an application.
pub(in crate::catalog) fn set(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    quota: Quota,
    (actor, now_secs): (&str, u64),
) -> TxResult<()> {
    let sql =
        "INSERT INTO quotas (application, data_bytes_max, release_count_max) VALUES ($1, $2, $3)
         ON CONFLICT (application) DO UPDATE SET data_bytes_max = excluded.data_bytes_max,
             release_count_max = excluded.release_count_max";
    tx.run(sql, args![application, quota.data_bytes_max, quota.release_count_max])?;
    let shown = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
    let entry = Entry::new(Action::Quota, actor, now_secs)
        .to_application(application)
        .with("dataBytesMax", shown(quota.data_bytes_max))
        .with("releaseCountMax", shown(quota.release_count_max));
    audit::append(tx, &entry)?;
    Ok(())
}

/// Returns the data counted under a lease; `None` if its application has no quota of data.
pub(in crate::catalog) fn load(
    tx: &mut dyn Tx,
    lease: LeaseId,
    application: &ApplicationName,
) -> TxResult<Option<LeaseLoad>> {
    let quota = quota(tx, application)?;
    if quota.data_bytes_max.is_none() {
        return Ok(None);
    }
    let sql = "SELECT data_bytes FROM lease_loads WHERE lease_id = $1";
    let brought = tx.find(sql, args![lease], |row| row.count(0))?.unwrap_or(0);
    let state = QuotaState { quota, usage: usage(tx, application)? };
    Ok(Some(LeaseLoad { state, brought, brings: 0 }))
}

/// Returns the data counted under a lease, with the chunks in `frames` that have no place yet.
pub(in crate::catalog) fn load_with(
    tx: &mut dyn Tx,
    lease: LeaseId,
    (application, frames): (&ApplicationName, &[Frame]),
    places: &dyn Places,
) -> TxResult<Option<LeaseLoad>> {
    let Some(load) = load(tx, lease, application)? else { return Ok(None) };
    Ok(Some(LeaseLoad { brings: new_data(tx, places, frames)?, ..load }))
}

/// Returns the decoded length of those chunks that have no place yet, in bytes.
pub(in crate::catalog) fn new_data(
    tx: &mut dyn Tx,
    places: &dyn Places,
    frames: &[Frame],
) -> TxResult<u64> {
    let digests: Vec<_> = frames.iter().map(|frame| frame.digest).collect();
    let found = places.packs(tx, &digests)?;
    let new = frames.iter().zip(found).filter(|(_, found)| found.is_none());
    Ok(new.fold(0, |sum: u64, (frame, _)| sum.saturating_add(frame.plain_len.into())))
}

/// Adds to the data counted under a lease, and deletes the counts of leases that are gone.
pub(in crate::catalog) fn add_lease_load(
    tx: &mut dyn Tx,
    lease: LeaseId,
    data_bytes: u64,
) -> TxResult<()> {
    tx.run("DELETE FROM lease_loads WHERE lease_id NOT IN (SELECT id FROM leases)", &[])?;
    let sql = "INSERT INTO lease_loads (lease_id, data_bytes) VALUES ($1, $2)
               ON CONFLICT (lease_id) DO UPDATE SET data_bytes = lease_loads.data_bytes
                   + excluded.data_bytes";
    tx.run(sql, args![lease, data_bytes])?;
    Ok(())
}
