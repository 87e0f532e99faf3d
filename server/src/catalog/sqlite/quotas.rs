//! Quotas, and the data counted under leases.

use rusqlite::{OptionalExtension, Transaction, params};
use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;

use super::connection::SqlResult;
use super::{audit, row};
use crate::catalog::model::Frame;
use crate::catalog::watch::{Excess, LeaseLoad, Quota, QuotaState, Usage};
use crate::catalog::{Entry, LeaseId};

fn quota(tx: &Transaction<'_>, application: &ApplicationName) -> SqlResult<Quota> {
    let sql = "SELECT data_bytes_max, release_count_max FROM quotas WHERE application = $1";
    let found = tx.prepare_cached(sql)?.query_row([application.as_str()], |found| {
        let limit = |at| -> SqlResult<Option<u64>> {
            let value: Option<i64> = found.get(at)?;
            value.map(|_| row::quantity(found, at)).transpose()
        };
        Ok(Quota { data_bytes_max: limit(0)?, release_count_max: limit(1)? })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Returns the usage of an application. Deleted releases do not count.
fn usage(tx: &Transaction<'_>, application: &ApplicationName) -> SqlResult<Usage> {
    let sql = "SELECT COALESCE(SUM(data_bytes), 0), COUNT(*) FROM releases
               WHERE application = $1 AND deleted_at_secs IS NULL";
    tx.prepare_cached(sql)?.query_row([application.as_str()], |found| {
        Ok(Usage { data_bytes: row::quantity(found, 0)?, release_count: row::quantity(found, 1)? })
    })
}

pub(super) fn read(tx: &Transaction<'_>, application: &ApplicationName) -> SqlResult<QuotaState> {
    Ok(QuotaState { quota: quota(tx, application)?, usage: usage(tx, application)? })
}

/// Returns the limit exceeded by another release with this much data, if any.
pub(super) fn excess(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    data_bytes: u64,
) -> SqlResult<Option<Excess>> {
    let quota = quota(tx, application)?;
    if quota == Quota::default() {
        return Ok(None);
    }
    Ok(QuotaState { quota, usage: usage(tx, application)? }.excess(data_bytes))
}

pub(super) fn set(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    quota: Quota,
    (actor, now_secs): (&str, u64),
) -> SqlResult<()> {
    let limits = [quota.data_bytes_max, quota.release_count_max];
    let limits = limits.map(|limit| limit.map(row::integer).transpose());
    let [data_bytes_max, release_count_max] = limits;
    tx.prepare_cached(
        "INSERT INTO quotas (application, data_bytes_max, release_count_max) VALUES ($1, $2, $3)
         ON CONFLICT (application) DO UPDATE SET data_bytes_max = excluded.data_bytes_max,
             release_count_max = excluded.release_count_max",
    )?
    .execute(params![application.as_str(), data_bytes_max?, release_count_max?])?;
    let shown = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
    let entry = Entry::new(Action::Quota, actor, now_secs)
        .to_application(application)
        .with("dataBytesMax", shown(quota.data_bytes_max))
        .with("releaseCountMax", shown(quota.release_count_max));
    audit::append(tx, &entry)?;
    Ok(())
}

pub(super) fn lease_load(
    tx: &Transaction<'_>,
    lease: LeaseId,
    application: &ApplicationName,
    frames: &[Frame],
) -> SqlResult<Option<LeaseLoad>> {
    let quota = quota(tx, application)?;
    if quota.data_bytes_max.is_none() {
        return Ok(None);
    }
    let sql = "SELECT data_bytes FROM lease_loads WHERE lease_id = $1";
    let brought = tx
        .prepare_cached(sql)?
        .query_row([lease.as_bytes()], |found| row::quantity(found, 0))
        .optional()?
        .unwrap_or(0);
    let mut find = tx.prepare_cached("SELECT 1 FROM chunks WHERE digest = $1")?;
    let mut brings: u64 = 0;
    for frame in frames {
        if !find.exists([frame.digest.as_bytes()])? {
            brings = brings.saturating_add(frame.plain_len.into());
        }
    }
    let state = QuotaState { quota, usage: usage(tx, application)? };
    Ok(Some(LeaseLoad { state, brought, brings }))
}

pub(super) fn add_lease_load(
    tx: &Transaction<'_>,
    lease: LeaseId,
    data_bytes: u64,
) -> SqlResult<()> {
    tx.prepare_cached("DELETE FROM lease_loads WHERE lease_id NOT IN (SELECT id FROM leases)")?
        .execute([])?;
    tx.prepare_cached(
        "INSERT INTO lease_loads (lease_id, data_bytes) VALUES ($1, $2)
         ON CONFLICT (lease_id) DO UPDATE SET data_bytes = lease_loads.data_bytes
             + excluded.data_bytes",
    )?
    .execute(params![lease.as_bytes(), row::integer(data_bytes)?])?;
    Ok(())
}
