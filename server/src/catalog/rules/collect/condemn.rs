//! Condemned packs and objects, and their pardon.

use seawall_api::digest::PackDigest;

use super::{Counter, count, count_up, read_object};
use crate::catalog::model::collect::{Added, Collectable, Grip, OlderLeases, Stored, Sweeping};
use crate::catalog::rules::maintenance::damage;
use crate::catalog::rules::releases::leases;
use crate::catalog::tx::{Batch, Bind, Tx, TxResult, args};

/// Returns whether bytes found at sweep counter `sweeps` may be gone, because the counter has moved
/// since.
fn is_stale(tx: &mut dyn Tx, sweeps: Option<u64>) -> TxResult<bool> {
    Ok(match sweeps {
        Some(sweeps) => count(tx, Counter::Sweeps)? != sweeps,
        None => false,
    })
}

/// Returns whether a pack is being swept, or may have been swept since `grip`.
pub(in crate::catalog) fn is_pack_swept(
    tx: &mut dyn Tx,
    pack: PackDigest,
    grip: Grip,
) -> TxResult<bool> {
    let sql = "SELECT 1 FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE p.digest = $1 AND k.is_swept = 1";
    Ok(is_stale(tx, grip.sweeps)? || tx.exists(sql, args![pack])?)
}

/// Returns whether an object is condemned for `grip`.
pub(in crate::catalog) fn is_condemned(
    tx: &mut dyn Tx,
    object: Collectable,
    grip: Grip,
) -> TxResult<bool> {
    Ok(first_condemned(tx, &[object], grip)?.is_some())
}

/// Returns the first of these objects that is condemned for `grip`.
pub(in crate::catalog) fn first_condemned(
    tx: &mut dyn Tx,
    objects: &[Collectable],
    grip: Grip,
) -> TxResult<Option<Collectable>> {
    let sql = "SELECT 1 FROM condemned_objects
               WHERE kind = $1 AND digest = $2 AND (generation <= $3 OR is_swept = 1)";
    let keys = objects.iter().map(|object| {
        let (kind, digest) = object.parts();
        [kind.bind(), digest.bind(), grip.generation.bind()]
    });
    let found = tx.find_each(sql, &Batch::new(keys), |_| Ok(()))?;
    Ok(found.iter().position(Option::is_some).map(|position| objects[position]))
}

/// Pardons an object whose bytes were just stored.
pub(in crate::catalog) fn keep(
    tx: &mut dyn Tx,
    object: Collectable,
    stored: Stored,
) -> TxResult<Added> {
    damage::stored(tx, &object.object(), stored)?;
    revive(tx, object, stored.grip.sweeps)
}

/// Pardons an object that was stored again, unless a sweep may have removed its bytes since the
/// sweep counter was `sweeps`.
pub(in crate::catalog) fn revive(
    tx: &mut dyn Tx,
    object: Collectable,
    sweeps: Option<u64>,
) -> TxResult<Added> {
    let (kind, digest) = object.parts();
    let sql = "SELECT 1 FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 1";
    if is_stale(tx, sweeps)? || tx.exists(sql, args![*kind, digest])? {
        return Ok(Added::Swept);
    }
    pardon_object(tx, object)?;
    Ok(Added::Present)
}

/// Pardons an object. A pardoned object may be unreachable after all, so it counts as litter until
/// a collection has looked again.
fn pardon_object(tx: &mut dyn Tx, object: Collectable) -> TxResult<()> {
    let (kind, digest) = object.parts();
    let sql = "DELETE FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 0";
    match tx.run(sql, args![*kind, digest])? {
        0 => Ok(()),
        _ => count_up(tx, Counter::Litter),
    }
}

/// Pardons a pack, as [`pardon_object`] does an object.
pub(in crate::catalog) fn pardon_pack(tx: &mut dyn Tx, pack: PackDigest) -> TxResult<()> {
    let sql = "DELETE FROM condemned_packs WHERE is_swept = 0
               AND pack_id = (SELECT id FROM packs WHERE digest = $1)";
    match tx.run(sql, args![pack])? {
        0 => Ok(()),
        _ => count_up(tx, Counter::Litter),
    }
}

/// Pardons condemned content, except content being swept.
pub(in crate::catalog) fn pardon(
    tx: &mut dyn Tx,
    packs: &[PackDigest],
    objects: &[Collectable],
) -> TxResult<()> {
    packs.iter().try_for_each(|pack| pardon_pack(tx, *pack))?;
    objects.iter().try_for_each(|object| pardon_object(tx, *object))
}

/// Condemns packs, with their lengths, and objects in a new generation. Returns the generation.
pub(in crate::catalog) fn condemn(
    tx: &mut dyn Tx,
    packs: &[(PackDigest, u64)],
    objects: &[Collectable],
) -> TxResult<u64> {
    count_up(tx, Counter::Generation)?;
    let generation = count(tx, Counter::Generation)?;
    // A pack that a push is about to name has no row yet. The push pardons the pack.
    let sql = "INSERT INTO packs (digest, len) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.run_each(sql, &Batch::new(packs.iter().map(|(pack, len)| [pack.bind(), len.bind()])))?;
    let sql = "INSERT INTO condemned_packs (pack_id, generation, is_swept)
               SELECT id, $1, 0 FROM packs WHERE digest = $2 ON CONFLICT (pack_id) DO NOTHING";
    let keys = packs.iter().map(|(pack, _)| [generation.bind(), pack.bind()]);
    tx.run_each(sql, &Batch::new(keys))?;
    let sql = "INSERT INTO condemned_objects (kind, digest, generation, is_swept)
               VALUES ($1, $2, $3, 0) ON CONFLICT (kind, digest) DO NOTHING";
    let keys = objects.iter().map(|object| {
        let (kind, digest) = object.parts();
        [kind.bind(), digest.bind(), generation.bind()]
    });
    tx.run_each(sql, &Batch::new(keys))?;
    Ok(generation)
}

/// Lists the condemned packs and objects: those being swept if `is_swept`, otherwise the rest.
pub(in crate::catalog) fn list(tx: &mut dyn Tx, is_swept: bool) -> TxResult<Sweeping> {
    let sql = "SELECT p.digest FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE k.is_swept = $1 ORDER BY p.id";
    let packs = tx.list(sql, args![is_swept], |row| Ok(PackDigest::from_bytes(row.id(0)?)))?;
    let sql =
        "SELECT kind, digest FROM condemned_objects WHERE is_swept = $1 ORDER BY kind, digest";
    let objects = tx.list(sql, args![is_swept], read_object)?;
    Ok(Sweeping { packs, objects })
}

/// Returns the leases older than `generation` and alive at `now_secs`. Leases that have ended are
/// deleted, so that none of them can publish any more.
pub(in crate::catalog) fn older_leases(
    tx: &mut dyn Tx,
    generation: u64,
    now_secs: u64,
) -> TxResult<Option<OlderLeases>> {
    leases::delete_ended(tx, now_secs)?;
    let sql = "SELECT COUNT(*), COALESCE(MAX(deadline_secs), 0) FROM leases WHERE generation < $1";
    let older = tx.get(sql, args![generation], |row| {
        Ok(OlderLeases { count: row.count(0)?, deadline_secs: row.count(1)? })
    })?;
    Ok((older.count > 0).then_some(older))
}
