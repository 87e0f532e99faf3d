//! Everything that holds the releases of an application.

use std::collections::BTreeMap;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;

use super::{pins, policies};
use crate::catalog::model::retention::{Inventory, InventoryHost, InventoryRelease, Marks};
use crate::catalog::rules::releases::channels::read_move;
use crate::catalog::tx::{Tx, TxResult, args};

/// Returns the marks of an application's releases. A release held by no more than channels pointing
/// at it has none.
pub(in crate::catalog) fn marks(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    now_secs: u64,
    moves_held: u32,
) -> TxResult<Vec<(ReleaseDigest, Marks)>> {
    let mut marks = BTreeMap::<ReleaseDigest, Marks>::new();
    let sql = "SELECT DISTINCT r.digest, m.channel
               FROM channel_moves m
               JOIN channels c ON c.application = m.application AND c.name = m.channel
               JOIN releases r ON r.id = m.release_id
               WHERE m.application = $1 AND c.release_id <> m.release_id
                   AND c.sequence - m.sequence <= $2 AND r.deleted_at_secs IS NULL
               ORDER BY m.channel";
    tx.rows(sql, args![application, moves_held], &mut |row| {
        let release = ReleaseDigest::from_bytes(row.id(0)?);
        marks.entry(release).or_default().recent_on.push(row.name(1)?);
        Ok(())
    })?;
    for (release, pin) in pins::of_application(tx, application)? {
        marks.entry(release).or_default().pins.push(pin);
    }
    let sql = "SELECT r.digest, COUNT(DISTINCT h.host)
               FROM hosts h JOIN releases r ON r.id = h.release_id
               WHERE h.application = $1 AND h.deadline_secs > $2 GROUP BY r.digest";
    tx.rows(sql, args![application, now_secs], &mut |row| {
        let release = ReleaseDigest::from_bytes(row.id(0)?);
        marks.entry(release).or_default().host_count = row.count(1)?;
        Ok(())
    })?;
    Ok(marks.into_iter().collect())
}

/// Returns everything that decides which releases of an application stay.
pub(in crate::catalog) fn inventory(
    tx: &mut dyn Tx,
    application: &ApplicationName,
) -> TxResult<Inventory> {
    let sql = "SELECT version, digest, published_at_secs FROM releases
               WHERE application = $1 AND deleted_at_secs IS NULL ORDER BY id DESC";
    let releases = tx.list(sql, args![application], |row| {
        Ok(InventoryRelease {
            version: row.name(0)?,
            digest: ReleaseDigest::from_bytes(row.id(1)?),
            published_at_secs: row.count(2)?,
        })
    })?;
    let sql = "SELECT m.channel, m.sequence, r.digest, r.version, m.moved_at_secs, m.moved_by
               FROM channel_moves m JOIN releases r ON r.id = m.release_id
               WHERE m.application = $1 ORDER BY m.channel, m.sequence";
    let moves = tx.list(sql, args![application], |row| Ok((row.name(0)?, read_move(row, 1)?)))?;
    let sql = "SELECT r.digest, h.host, h.deadline_secs
               FROM hosts h JOIN releases r ON r.id = h.release_id
               WHERE h.application = $1 ORDER BY h.host, h.instance";
    let hosts = tx.list(sql, args![application], |row| {
        Ok(InventoryHost {
            release: ReleaseDigest::from_bytes(row.id(0)?),
            host: row.name(1)?,
            deadline_secs: row.count(2)?,
        })
    })?;
    let pins = pins::of_application(tx, application)?;
    Ok(Inventory { releases, moves, pins, hosts, policies: policies::list(tx, application)? })
}
