//! Deleted releases, and the holders that prevent a deletion.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::connection::SqlResult;
use super::{audit, collect, releases, row};
use crate::catalog::Entry;
use crate::catalog::collect::{DeleteRequest, Deletion, Holder, Tombstone};
use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};

pub(super) fn delete(tx: &Transaction<'_>, request: &DeleteRequest) -> SqlResult<Deletion> {
    let (application, version) = (&request.application, &request.version);
    let sql = "SELECT id FROM releases
               WHERE application = $1 AND version = $2 AND deleted_at_secs IS NULL";
    let id: Option<i64> = tx
        .prepare_cached(sql)?
        .query_row(params![application.as_str(), version.as_str()], |found| found.get(0))
        .optional()?;
    let Some(id) = id else {
        let buried = tombstone(tx, application, version)?;
        return Ok(buried.map_or(Deletion::Absent, Deletion::Already));
    };
    let holders = holders(tx, id, request.now_secs, request.moves_held)?;
    if !holders.is_empty() {
        return Ok(Deletion::Held(holders));
    }
    let release = releases::by_id(tx, id)?;
    bury(tx, id, request.now_secs, &request.deleted_by)?;
    collect::count_up(tx, collect::LITTER)?;
    let entry = Entry::new(Action::Delete, &request.deleted_by, request.now_secs)
        .to_application(application)
        .to_release(version, release.digest);
    audit::append(tx, &entry)?;
    Ok(Deletion::Done(release))
}

/// Marks a release as deleted, and deletes its pins, its hosts and its references to indexes.
fn bury(tx: &Transaction<'_>, id: i64, deleted_at_secs: u64, deleted_by: &str) -> SqlResult<()> {
    let sql = "UPDATE releases SET deleted_at_secs = $1, deleted_by = $2 WHERE id = $3";
    tx.prepare_cached(sql)?.execute(params![row::integer(deleted_at_secs)?, deleted_by, id])?;
    for sql in [
        "DELETE FROM release_indexes WHERE release_id = $1",
        "DELETE FROM hosts WHERE release_id = $1",
        "DELETE FROM pins WHERE release_id = $1",
    ] {
        tx.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// Returns the holders of a release, the strongest first.
pub(super) fn holders(
    tx: &Transaction<'_>,
    id: i64,
    now_secs: u64,
    moves_held: u32,
) -> SqlResult<Vec<Holder>> {
    let mut holders = Vec::new();
    let mut pointing =
        tx.prepare_cached("SELECT name FROM channels WHERE release_id = $1 ORDER BY name")?;
    for channel in pointing.query_map([id], |found| row::name(found, 0))? {
        holders.push(Holder::Channel(channel?));
    }
    let mut past = tx.prepare_cached(
        "SELECT m.channel, MIN(c.sequence - m.sequence)
         FROM channel_moves m
         JOIN channels c ON c.application = m.application AND c.name = m.channel
         WHERE m.release_id = $1 AND c.release_id <> $1 AND c.sequence - m.sequence <= $2
         GROUP BY m.channel ORDER BY m.channel",
    )?;
    for held in past.query_map(params![id, moves_held], |found| {
        Ok(Holder::History { channel: row::name(found, 0)?, moves_ago: row::quantity(found, 1)? })
    })? {
        holders.push(held?);
    }
    let mut pins =
        tx.prepare_cached("SELECT name, reason FROM pins WHERE release_id = $1 ORDER BY name")?;
    for pin in pins.query_map([id], |found| {
        Ok(Holder::Pin { name: row::name(found, 0)?, reason: found.get(1)? })
    })? {
        holders.push(pin?);
    }
    let mut hosts = tx.prepare_cached(
        "SELECT host, MAX(renewed_at_secs) FROM hosts WHERE release_id = $1 AND deadline_secs > $2
         GROUP BY host ORDER BY host",
    )?;
    for host in hosts.query_map(params![id, row::integer(now_secs)?], |found| {
        Ok(Holder::Host { host: row::name(found, 0)?, renewed_at_secs: row::quantity(found, 1)? })
    })? {
        holders.push(host?);
    }
    Ok(holders)
}

const TOMBSTONE: &str = releases::columns!(", deleted_at_secs, deleted_by");

fn read_tombstone(found: &Row<'_>) -> SqlResult<Tombstone> {
    Ok(Tombstone {
        release: releases::read_release(found)?,
        deleted_at_secs: row::quantity(found, 8)?,
        deleted_by: found.get::<_, Option<String>>(9)?.unwrap_or_default(),
    })
}

pub(super) fn tombstone(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    version: &Version,
) -> SqlResult<Option<Tombstone>> {
    let sql = format!(
        "{TOMBSTONE} WHERE application = $1 AND version = $2 AND deleted_at_secs IS NOT NULL"
    );
    tx.prepare_cached(&sql)?
        .query_row(params![application.as_str(), version.as_str()], read_tombstone)
        .optional()
}

/// Returns a tombstone by the digest of its release.
pub(super) fn tombstone_of(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> SqlResult<Option<Tombstone>> {
    let sql = format!(
        "{TOMBSTONE} WHERE application = $1 AND digest = $2 AND deleted_at_secs IS NOT NULL"
    );
    tx.prepare_cached(&sql)?
        .query_row(params![application.as_str(), release.as_bytes()], read_tombstone)
        .optional()
}

pub(super) fn tombstones(
    tx: &Transaction<'_>,
    after: Option<&(ApplicationName, Version)>,
    limit: u32,
) -> SqlResult<Vec<Tombstone>> {
    let after: i64 = match after {
        None => 0,
        Some((application, version)) => {
            releases::position(tx, application, version)?.unwrap_or(i64::MAX)
        }
    };
    let sql =
        format!("{TOMBSTONE} WHERE deleted_at_secs IS NOT NULL AND id > $1 ORDER BY id LIMIT $2");
    tx.prepare_cached(&sql)?.query_map(params![after, limit], read_tombstone)?.collect()
}

pub(super) fn restore(tx: &Transaction<'_>, tombstone: &Tombstone) -> SqlResult<()> {
    let id: Option<i64> = tx
        .prepare_cached("SELECT id FROM releases WHERE digest = $1")?
        .query_row([tombstone.release.digest.as_bytes()], |found| found.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(()) };
    bury(tx, id, tombstone.deleted_at_secs, &tombstone.deleted_by)
}
