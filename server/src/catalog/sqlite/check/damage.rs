//! Lost objects, and the releases that need them.
//!
//! For packs and leaves, the tables of content have the answer (`lost_packs`, `lost_leaves` and the
//! tables that refer to them). For every other object, a note lists the releases that need it,
//! until the object is stored again.

use rusqlite::{OptionalExtension, Transaction, params};
use seawall_api::audit::Action;
use seawall_api::digest::{LeafDigest, PackDigest, ReleaseDigest};
use seawall_store::port::ObjectName;

use super::super::connection::SqlResult;
use super::super::{audit, content, leases, releases as published, row};
use super::rows;
use crate::catalog::Entry;
use crate::catalog::check::{Healing, LostObject};
use crate::catalog::collect::Hand;
use crate::catalog::model::Release;

/// The description of damage that a reader found before any check did.
const GONE: &str = "it is missing, truncated or unreadable";

/// SQL for the leaves that are missing or lack a chunk.
const LOST_LEAVES: &str = "
    SELECT x.leaf_digest FROM lost_leaves x
    WHERE NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest)
    UNION SELECT p.leaf_digest FROM lost_packs l JOIN leaf_packs p ON p.pack_id = l.pack_id";

pub(super) fn note(
    tx: &Transaction<'_>,
    object: &LostObject,
    needed_by: &[ReleaseDigest],
    now_secs: u64,
) -> SqlResult<()> {
    let sql = "INSERT INTO damaged (object, what, found_at_secs) VALUES ($1, $2, $3)
               ON CONFLICT (object) DO UPDATE SET what = excluded.what";
    tx.prepare_cached(sql)?.execute(params![
        object.object,
        object.what,
        row::integer(now_secs)?
    ])?;
    let mut need = tx.prepare_cached(
        "INSERT INTO damage_needs (object, release_digest) VALUES ($1, $2)
         ON CONFLICT (object, release_digest) DO NOTHING",
    )?;
    for release in needed_by {
        need.execute(params![object.object, release.as_bytes()])?;
    }
    Ok(())
}

pub(super) fn is_noted(tx: &Transaction<'_>, object: &str) -> SqlResult<bool> {
    tx.prepare_cached("SELECT 1 FROM damaged WHERE object = $1")?.exists([object])
}

/// Clears the damage noted of an object. Returns whether a repair was logged.
pub(super) fn sound(
    tx: &Transaction<'_>,
    object: &ObjectName,
    hand: Hand,
    healing: Healing,
) -> SqlResult<bool> {
    let is_lost = match object {
        ObjectName::Pack(pack) => is_lost_pack(tx, *pack)?,
        ObjectName::Leaf(leaf) => is_lost_leaf(tx, *leaf)?,
        _ => false,
    };
    // The bytes are there, but the objects that need them are incomplete until the row is added.
    if is_lost || (healing == Healing::IfNoted && !is_noted(tx, &object.path())?) {
        return Ok(false);
    }
    healed(tx, object, Some(hand))?;
    Ok(true)
}

/// Clears the damage noted of an object. Logs the repair and its actor, if `hand` is given.
pub(in super::super) fn healed(
    tx: &Transaction<'_>,
    object: &ObjectName,
    hand: Option<Hand>,
) -> SqlResult<()> {
    let LostObject { object, what } = described(tx, object)?;
    for sql in
        ["DELETE FROM damage_needs WHERE object = $1", "DELETE FROM damaged WHERE object = $1"]
    {
        tx.prepare_cached(sql)?.execute([&object])?;
    }
    let Some(Hand { lease, at_secs }) = hand else { return Ok(()) };
    let opener = lease.map(|lease| leases::opener(tx, lease)).transpose()?.flatten();
    let actor = opener.as_ref().map_or("", |(_, opened_by)| opened_by);
    let mut entry =
        Entry::new(Action::Repair, actor, at_secs).with("object", object).with("was", what);
    if let Some((application, _)) = &opener {
        entry = entry.to_application(application);
    }
    audit::append(tx, &entry)?;
    Ok(())
}

fn is_lost_pack(tx: &Transaction<'_>, pack: PackDigest) -> SqlResult<bool> {
    let sql = "SELECT 1 FROM lost_packs l JOIN packs k ON k.id = l.pack_id WHERE k.digest = $1";
    tx.prepare_cached(sql)?.exists([pack.as_bytes()])
}

/// Returns whether a leaf was lost and not added since.
pub(in super::super) fn is_lost_leaf(tx: &Transaction<'_>, leaf: LeafDigest) -> SqlResult<bool> {
    let sql = "SELECT 1 FROM lost_leaves x WHERE x.leaf_digest = $1
               AND NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest)";
    tx.prepare_cached(sql)?.exists([leaf.as_bytes()])
}

/// Returns the lost packs with chunks of a leaf, as far as a release needs them.
pub(in super::super) fn lost_packs_of(
    tx: &Transaction<'_>,
    leaf: LeafDigest,
) -> SqlResult<Vec<PackDigest>> {
    let sql = "SELECT k.digest FROM leaf_packs p JOIN lost_packs l ON l.pack_id = p.pack_id
               JOIN packs k ON k.id = p.pack_id WHERE p.leaf_digest = $1";
    let mut statement = tx.prepare_cached(sql)?;
    let mut lost = Vec::new();
    for pack in statement.query_map([leaf.as_bytes()], |found| row::digest(found, 0))? {
        let pack = PackDigest::from_bytes(pack?);
        if rows::is_needed(tx, &ObjectName::Pack(pack))? {
            lost.push(pack);
        }
    }
    Ok(lost)
}

/// Returns the lost packs noted by a check.
fn noted_packs(tx: &Transaction<'_>) -> SqlResult<Vec<PackDigest>> {
    let sql = "SELECT k.digest FROM lost_packs l JOIN packs k ON k.id = l.pack_id";
    let mut statement = tx.prepare_cached(sql)?;
    let mut noted = Vec::new();
    for pack in statement.query_map([], |found| row::digest(found, 0))? {
        let pack = PackDigest::from_bytes(pack?);
        if is_noted(tx, &ObjectName::Pack(pack).path())? {
            noted.push(pack);
        }
    }
    Ok(noted)
}

/// Returns whether a release needs a lost leaf. The packs of a lost leaf are not known.
fn lacks_leaves(tx: &Transaction<'_>) -> SqlResult<bool> {
    let sql = "SELECT 1 FROM lost_leaves x
               JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               WHERE NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest) LIMIT 1";
    tx.prepare_cached(sql)?.exists([])
}

/// Clears the damage of a leaf that was added, and of those `packs` that nothing needs now.
pub(in super::super) fn leaf_added(
    tx: &Transaction<'_>,
    leaf: LeafDigest,
    (was_lost, mut packs): (bool, Vec<PackDigest>),
    hand: Option<Hand>,
) -> SqlResult<()> {
    if was_lost {
        tx.prepare_cached("DELETE FROM lost_leaves WHERE leaf_digest = $1")?
            .execute([leaf.as_bytes()])?;
        healed(tx, &ObjectName::Leaf(leaf), hand)?;
        // The leaf's references to packs were deleted with it, so every noted pack is looked at.
        if !lacks_leaves(tx)? {
            packs.extend(noted_packs(tx)?);
            packs.sort_unstable();
            packs.dedup();
        }
    }
    for pack in packs {
        let pack = ObjectName::Pack(pack);
        if !rows::is_needed(tx, &pack)? {
            healed(tx, &pack, hand)?;
        }
    }
    Ok(())
}

pub(super) fn lose_leaf(tx: &Transaction<'_>, leaf: LeafDigest) -> SqlResult<()> {
    let sql = "INSERT INTO lost_leaves (leaf_digest) VALUES ($1) ON CONFLICT DO NOTHING";
    tx.prepare_cached(sql)?.execute([leaf.as_bytes()])?;
    content::lose_leaf(tx, leaf)
}

pub(super) fn lost_of(tx: &Transaction<'_>, release: ReleaseDigest) -> SqlResult<Vec<LostObject>> {
    let digest = release.as_bytes();
    let mut lost = Vec::new();
    let sql = "SELECT d.object, d.what FROM damage_needs n JOIN damaged d ON d.object = n.object
               WHERE n.release_digest = $1 ORDER BY d.object";
    let mut statement = tx.prepare_cached(sql)?;
    for found in statement.query_map([digest], |found| {
        Ok(LostObject { object: found.get(0)?, what: found.get(1)? })
    })? {
        lost.push(found?);
    }
    let sql = "SELECT DISTINCT x.leaf_digest FROM lost_leaves x
               JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               JOIN releases r ON r.id = n.release_id
               WHERE r.digest = $1
                 AND NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest)";
    let mut statement = tx.prepare_cached(sql)?;
    for leaf in statement.query_map([digest], |found| row::digest(found, 0))? {
        lost.push(described(tx, &ObjectName::Leaf(LeafDigest::from_bytes(leaf?)))?);
    }
    let sql = "SELECT DISTINCT k.digest FROM lost_packs l JOIN packs k ON k.id = l.pack_id
               JOIN leaf_packs p ON p.pack_id = l.pack_id
               JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               JOIN releases r ON r.id = n.release_id WHERE r.digest = $1";
    let mut statement = tx.prepare_cached(sql)?;
    for pack in statement.query_map([digest], |found| row::digest(found, 0))? {
        lost.push(described(tx, &ObjectName::Pack(PackDigest::from_bytes(pack?)))?);
    }
    lost.sort();
    lost.dedup();
    Ok(lost)
}

fn described(tx: &Transaction<'_>, object: &ObjectName) -> SqlResult<LostObject> {
    let object = object.path();
    let what = tx
        .prepare_cached("SELECT what FROM damaged WHERE object = $1")?
        .query_row([&object], |found| found.get(0))
        .optional()?;
    Ok(LostObject { object, what: what.unwrap_or_else(|| GONE.to_owned()) })
}

pub(super) fn releases(tx: &Transaction<'_>, limit: u32) -> SqlResult<Vec<Release>> {
    let sql = format!(
        "{} WHERE deleted_at_secs IS NULL AND (digest IN (
             SELECT n.release_digest FROM damage_needs n JOIN damaged d ON d.object = n.object)
           OR id IN (
             SELECT n.release_id FROM ({LOST_LEAVES}) x
             JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest))
         ORDER BY id DESC LIMIT $1",
        published::RELEASE
    );
    tx.prepare_cached(&sql)?.query_map([limit], published::read_release)?.collect()
}
