//! Lost objects, and the releases that need them.
//!
//! For packs and leaves, the tables of content have the answer (`lost_packs`, `lost_leaves` and the
//! tables that refer to them). For every other object, a note lists the releases that need it,
//! until the object is stored again.

use seawall_api::audit::Action;
use seawall_api::digest::{LeafDigest, PackDigest, ReleaseDigest};
use seawall_store::port::ObjectName;

use super::needs::is_needed;
use crate::catalog::model::audit::Entry;
use crate::catalog::model::check::{Healing, LostObject};
use crate::catalog::model::collect::{Actor, Stored};
use crate::catalog::model::releases::Release;
use crate::catalog::rules::audit;
use crate::catalog::rules::content::leaves;
use crate::catalog::rules::releases::{leases, read_release, select_release};
use crate::catalog::tx::{Batch, Bind, Row, Tx, TxResult, args};

/// The description of damage that a reader found before any check did.
const GONE: &str = "it is missing, truncated or unreadable";

/// Records that an object is damaged, and the releases that need it.
pub(in crate::catalog) fn record(
    tx: &mut dyn Tx,
    object: &LostObject,
    needed_by: &[ReleaseDigest],
    now_secs: u64,
) -> TxResult<()> {
    let LostObject { object, what } = object;
    let sql = "INSERT INTO damaged (object, what, found_at_secs) VALUES ($1, $2, $3)
               ON CONFLICT (object) DO UPDATE SET what = excluded.what";
    tx.run(sql, args![object, what, now_secs])?;
    let sql = "INSERT INTO damage_needs (object, release_digest) VALUES ($1, $2)
               ON CONFLICT (object, release_digest) DO NOTHING";
    let rows = needed_by.iter().map(|release| [object.bind(), release.bind()]);
    tx.run_each(sql, &Batch::new(rows))
}

/// Returns whether damage of an object is recorded.
pub(in crate::catalog) fn is_recorded(tx: &mut dyn Tx, object: &str) -> TxResult<bool> {
    tx.exists("SELECT 1 FROM damaged WHERE object = $1", args![object])
}

/// Clears the damage recorded of an object whose bytes were just stored.
pub(in crate::catalog) fn stored(
    tx: &mut dyn Tx,
    object: &ObjectName,
    stored: Stored,
) -> TxResult<()> {
    if let Some(actor) = stored.grip.actor {
        sound(tx, object, actor, stored.healing)?;
    }
    Ok(())
}

/// Clears the damage recorded of an object. Returns whether a repair was logged. A lost pack or
/// leaf is sound, and its repair logged, only once its rows are added again.
pub(in crate::catalog) fn sound(
    tx: &mut dyn Tx,
    object: &ObjectName,
    actor: Actor,
    healing: Healing,
) -> TxResult<bool> {
    let is_lost = match object {
        ObjectName::Pack(pack) => is_lost_pack(tx, *pack)?,
        ObjectName::Leaf(leaf) => is_lost_leaf(tx, *leaf)?,
        _ => false,
    };
    // The bytes are there, but the objects that need them are incomplete until the row is added.
    if is_lost || (healing == Healing::IfNoted && !is_recorded(tx, &object.path())?) {
        return Ok(false);
    }
    healed(tx, object, Some(actor))?;
    Ok(true)
}

/// Clears the damage recorded of an object. Logs the repair and its actor, if `actor` is given.
pub(in crate::catalog) fn healed(
    tx: &mut dyn Tx,
    object: &ObjectName,
    actor: Option<Actor>,
) -> TxResult<()> {
    let LostObject { object, what } = described(tx, object)?;
    tx.run("DELETE FROM damage_needs WHERE object = $1", args![object])?;
    tx.run("DELETE FROM damaged WHERE object = $1", args![object])?;
    let Some(Actor { lease, at_secs }) = actor else { return Ok(()) };
    let opener = match lease {
        Some(lease) => leases::opener(tx, lease)?,
        None => None,
    };
    let actor = opener.as_ref().map_or("", |(_, opened_by)| opened_by);
    let mut entry =
        Entry::new(Action::Repair, actor, at_secs).with("object", object).with("was", what);
    if let Some((application, _)) = &opener {
        entry = entry.to_application(application);
    }
    audit::append(tx, &entry)?;
    Ok(())
}

fn is_lost_pack(tx: &mut dyn Tx, pack: PackDigest) -> TxResult<bool> {
    let sql = "SELECT 1 FROM lost_packs l JOIN packs k ON k.id = l.pack_id WHERE k.digest = $1";
    tx.exists(sql, args![pack])
}

/// Returns whether a leaf was lost and not added since.
fn is_lost_leaf(tx: &mut dyn Tx, leaf: LeafDigest) -> TxResult<bool> {
    let sql = "SELECT 1 FROM lost_leaves x WHERE x.leaf_digest = $1
               AND NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest)";
    tx.exists(sql, args![leaf])
}

/// The damage of a leaf about to be added.
pub(in crate::catalog) struct Before {
    /// True if the leaf was lost and not added since.
    is_lost: bool,
    /// The lost packs with chunks of the leaf, as far as a release needs them.
    packs: Vec<PackDigest>,
}

/// Returns the damage of a leaf about to be added.
pub(in crate::catalog) fn before_adding(tx: &mut dyn Tx, leaf: LeafDigest) -> TxResult<Before> {
    let is_lost = is_lost_leaf(tx, leaf)?;
    let sql = "SELECT k.digest FROM leaf_packs p JOIN lost_packs l ON l.pack_id = p.pack_id
               JOIN packs k ON k.id = p.pack_id WHERE p.leaf_digest = $1";
    let mut packs = Vec::new();
    for pack in tx.list(sql, args![leaf], pack_of)? {
        if is_needed(tx, &ObjectName::Pack(pack))? {
            packs.push(pack);
        }
    }
    Ok(Before { is_lost, packs })
}

fn pack_of(row: Row<'_>) -> TxResult<PackDigest> {
    Ok(PackDigest::from_bytes(row.id(0)?))
}

/// Returns the lost packs whose damage is recorded.
fn recorded_packs(tx: &mut dyn Tx) -> TxResult<Vec<PackDigest>> {
    let sql = "SELECT k.digest FROM lost_packs l JOIN packs k ON k.id = l.pack_id";
    let mut recorded = Vec::new();
    for pack in tx.list(sql, &[], pack_of)? {
        if is_recorded(tx, &ObjectName::Pack(pack).path())? {
            recorded.push(pack);
        }
    }
    Ok(recorded)
}

/// Returns whether a release needs a lost leaf. The packs of a lost leaf are not known.
fn lacks_leaves(tx: &mut dyn Tx) -> TxResult<bool> {
    let sql = "SELECT 1 FROM lost_leaves x
               JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               WHERE NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest) LIMIT 1";
    tx.exists(sql, &[])
}

/// Clears the damage of a leaf that was added, and of the lost packs that nothing needs now.
pub(in crate::catalog) fn leaf_added(
    tx: &mut dyn Tx,
    leaf: LeafDigest,
    before: Before,
    actor: Option<Actor>,
) -> TxResult<()> {
    let Before { is_lost, mut packs } = before;
    if is_lost {
        tx.run("DELETE FROM lost_leaves WHERE leaf_digest = $1", args![leaf])?;
        healed(tx, &ObjectName::Leaf(leaf), actor)?;
        // The leaf's references to packs were deleted with it, so every recorded pack is looked at.
        if !lacks_leaves(tx)? {
            packs.extend(recorded_packs(tx)?);
            packs.sort_unstable();
            packs.dedup();
        }
    }
    for pack in packs {
        let pack = ObjectName::Pack(pack);
        if !is_needed(tx, &pack)? {
            healed(tx, &pack, actor)?;
        }
    }
    Ok(())
}

/// Deletes the row of a leaf whose bytes are missing from the store, and records the leaf as lost
/// until it is added again.
pub(in crate::catalog) fn mark_leaf_lost(tx: &mut dyn Tx, leaf: LeafDigest) -> TxResult<()> {
    let sql = "INSERT INTO lost_leaves (leaf_digest) VALUES ($1) ON CONFLICT DO NOTHING";
    tx.run(sql, args![leaf])?;
    leaves::delete_row(tx, leaf)
}

/// Returns the objects a release is known to lack.
pub(in crate::catalog) fn lost_of(
    tx: &mut dyn Tx,
    release: ReleaseDigest,
) -> TxResult<Vec<LostObject>> {
    let sql = "SELECT d.object, d.what FROM damage_needs n JOIN damaged d ON d.object = n.object
               WHERE n.release_digest = $1 ORDER BY d.object";
    let mut lost = tx.list(sql, args![release], |row| {
        Ok(LostObject { object: row.text(0)?.to_owned(), what: row.text(1)?.to_owned() })
    })?;
    let sql = "SELECT DISTINCT x.leaf_digest FROM lost_leaves x
               JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               JOIN releases r ON r.id = n.release_id
               WHERE r.digest = $1
                 AND NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest)";
    let leaf = |row: Row<'_>| Ok(ObjectName::Leaf(LeafDigest::from_bytes(row.id(0)?)));
    let mut objects = tx.list(sql, args![release], leaf)?;
    let sql = "SELECT DISTINCT k.digest FROM lost_packs l JOIN packs k ON k.id = l.pack_id
               JOIN leaf_packs p ON p.pack_id = l.pack_id
               JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               JOIN releases r ON r.id = n.release_id WHERE r.digest = $1";
    objects.extend(tx.list(sql, args![release], pack_of)?.into_iter().map(ObjectName::Pack));
    for object in objects {
        lost.push(described(tx, &object)?);
    }
    lost.sort();
    lost.dedup();
    Ok(lost)
}

fn described(tx: &mut dyn Tx, object: &ObjectName) -> TxResult<LostObject> {
    let object = object.path();
    let sql = "SELECT what FROM damaged WHERE object = $1";
    let what = tx.find(sql, args![object], |row| Ok(row.text(0)?.to_owned()))?;
    Ok(LostObject { object, what: what.unwrap_or_else(|| GONE.to_owned()) })
}

/// Lists releases that are known to lack objects, at most `limit`.
pub(in crate::catalog) fn releases(tx: &mut dyn Tx, limit: u32) -> TxResult<Vec<Release>> {
    let sql = select_release!(
        "WHERE deleted_at_secs IS NULL AND (digest IN (
             SELECT n.release_digest FROM damage_needs n JOIN damaged d ON d.object = n.object)
           OR id IN (
             SELECT n.release_id FROM (
                 SELECT y.leaf_digest FROM lost_leaves y
                 WHERE NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = y.leaf_digest)
                 UNION SELECT p.leaf_digest FROM lost_packs l
                 JOIN leaf_packs p ON p.pack_id = l.pack_id) x
             JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest))
         ORDER BY id DESC LIMIT $1"
    );
    tx.list(sql, args![limit], read_release)
}
