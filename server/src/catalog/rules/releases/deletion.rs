//! Deleted releases, and the holders that prevent a deletion.

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;

use super::{list, read_release, select_release};
use crate::catalog::model::audit::Entry;
use crate::catalog::model::collect::{DeleteRequest, Deletion, Holder, Tombstone};
use crate::catalog::rules::audit;
use crate::catalog::rules::collect::{Counter, count_up};
use crate::catalog::tx::{Row, Tx, TxResult, args};

/// Deletes a release unless it is held.
pub(in crate::catalog) fn delete(tx: &mut dyn Tx, request: &DeleteRequest) -> TxResult<Deletion> {
    let (application, version) = (&request.application, &request.version);
    let sql = "SELECT id FROM releases
               WHERE application = $1 AND version = $2 AND deleted_at_secs IS NULL";
    let Some(id) = tx.find(sql, args![application, version], |row| row.int(0))? else {
        let buried = tombstone(tx, application, version)?;
        return Ok(buried.map_or(Deletion::Absent, Deletion::Already));
    };
    let holders = holders(tx, id, request.now_secs, request.moves_held)?;
    if !holders.is_empty() {
        return Ok(Deletion::Held(holders));
    }
    let release = list::by_id(tx, id)?;
    bury(tx, id, request.now_secs, &request.deleted_by)?;
    count_up(tx, Counter::Litter)?;
    let entry = Entry::new(Action::Delete, &request.deleted_by, request.now_secs)
        .to_application(application)
        .to_release(version, release.digest);
    audit::append(tx, &entry)?;
    Ok(Deletion::Done(release))
}

/// Marks a release as deleted, and deletes its pins, its hosts and its references to indexes.
fn bury(tx: &mut dyn Tx, id: i64, deleted_at_secs: u64, deleted_by: &str) -> TxResult<()> {
    let sql = "UPDATE releases SET deleted_at_secs = $1, deleted_by = $2 WHERE id = $3";
    tx.run(sql, args![deleted_at_secs, deleted_by, id])?;
    tx.run("DELETE FROM release_indexes WHERE release_id = $1", args![id])?;
    tx.run("DELETE FROM hosts WHERE release_id = $1", args![id])?;
    tx.run("DELETE FROM pins WHERE release_id = $1", args![id])?;
    Ok(())
}

/// Returns the holders of a release, the strongest first.
pub(in crate::catalog) fn holders(
    tx: &mut dyn Tx,
    id: i64,
    now_secs: u64,
    moves_held: u32,
) -> TxResult<Vec<Holder>> {
    let sql = "SELECT name FROM channels WHERE release_id = $1 ORDER BY name";
    let mut holders = tx.list(sql, args![id], |row| Ok(Holder::Channel(row.name(0)?)))?;
    let sql = "SELECT m.channel, MIN(c.sequence - m.sequence)
               FROM channel_moves m
               JOIN channels c ON c.application = m.application AND c.name = m.channel
               WHERE m.release_id = $1 AND c.release_id <> $1 AND c.sequence - m.sequence <= $2
               GROUP BY m.channel ORDER BY m.channel";
    holders.extend(tx.list(sql, args![id, moves_held], |row| {
        Ok(Holder::History { channel: row.name(0)?, moves_ago: row.count(1)? })
    })?);
    let sql = "SELECT name, reason FROM pins WHERE release_id = $1 ORDER BY name";
    holders.extend(tx.list(sql, args![id], |row| {
        Ok(Holder::Pin { name: row.name(0)?, reason: row.text(1)?.to_owned() })
    })?);
    let sql = "SELECT host, MAX(renewed_at_secs) FROM hosts
               WHERE release_id = $1 AND deadline_secs > $2 GROUP BY host ORDER BY host";
    holders.extend(tx.list(sql, args![id, now_secs], |row| {
        Ok(Holder::Host { host: row.name(0)?, renewed_at_secs: row.count(1)? })
    })?);
    Ok(holders)
}

/// Expands to a query for [`read_tombstone`].
macro_rules! select_tombstone {
    ($rest:literal) => {
        select_release!(
            ", deleted_at_secs, deleted_by",
            concat!("WHERE deleted_at_secs IS NOT NULL AND ", $rest)
        )
    };
}

fn read_tombstone(row: Row<'_>) -> TxResult<Tombstone> {
    Ok(Tombstone {
        release: read_release(row)?,
        deleted_at_secs: row.count(8)?,
        deleted_by: row.text_or_none(9)?.unwrap_or_default().to_owned(),
    })
}

/// Returns the tombstone of a version.
pub(super) fn tombstone(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    version: &Version,
) -> TxResult<Option<Tombstone>> {
    let sql = select_tombstone!("application = $1 AND version = $2");
    tx.find(sql, args![application, version], read_tombstone)
}

/// Returns a deleted release by version or digest. A channel never selects one.
pub(in crate::catalog) fn deleted(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    selector: &Selector,
) -> TxResult<Option<Tombstone>> {
    match selector {
        Selector::Version(version) => tombstone(tx, application, version),
        Selector::Digest(release) => {
            let sql = select_tombstone!("application = $1 AND digest = $2");
            tx.find(sql, args![application, release], read_tombstone)
        }
        Selector::Channel(_) => Ok(None),
    }
}

/// Lists deleted releases in order of publication, beginning after `after`.
pub(in crate::catalog) fn tombstones(
    tx: &mut dyn Tx,
    after: Option<&(ApplicationName, Version)>,
    limit: u32,
) -> TxResult<Vec<Tombstone>> {
    let after: i64 = match after {
        None => 0,
        Some((application, version)) => {
            list::position(tx, application, version)?.unwrap_or(i64::MAX)
        }
    };
    let sql = select_tombstone!("id > $1 ORDER BY id LIMIT $2");
    tx.list(sql, args![after, limit], read_tombstone)
}

/// Marks a restored release as deleted.
pub(in crate::catalog) fn restore(tx: &mut dyn Tx, tombstone: &Tombstone) -> TxResult<()> {
    let sql = "SELECT id FROM releases WHERE digest = $1";
    match tx.find(sql, args![tombstone.release.digest], |row| row.int(0))? {
        Some(id) => bury(tx, id, tombstone.deleted_at_secs, &tombstone.deleted_by),
        None => Ok(()),
    }
}

/// Returns the holders of a release; `None` if there is no such release.
pub(in crate::catalog) fn holders_of(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    release: ReleaseDigest,
    (now_secs, moves_held): (u64, u32),
) -> TxResult<Option<Vec<Holder>>> {
    let Some(id) = list::id_of(tx, application, release)? else { return Ok(None) };
    holders(tx, id, now_secs, moves_held).map(Some)
}
