//! Condemned packs and objects, and sweeps.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};

use super::connection::SqlResult;
use super::{content, leases, releases, row};
use crate::catalog::collect::{
    Added, CollectState, Collectable, Grip, OlderLeases, PackKey, PackRow, PlaceRow, Roots, Sweep,
    Sweeping,
};
use crate::catalog::model::NewPack;

/// The names of the counters of collection, as in the table `counters`.
pub(super) const GENERATION: &str = "generation";
pub(super) const SWEEPS: &str = "sweeps";
pub(super) const LITTER: &str = "litter";
pub(super) const PUBLISHED: &str = "published";
const COLLECTED: &str = "collected";

pub(super) fn counter(tx: &Transaction<'_>, name: &str) -> SqlResult<u64> {
    tx.prepare_cached("SELECT value FROM counters WHERE name = $1")?
        .query_row([name], |found| row::quantity(found, 0))
}

pub(super) fn count_up(tx: &Transaction<'_>, name: &str) -> SqlResult<()> {
    tx.prepare_cached("UPDATE counters SET value = value + 1 WHERE name = $1")?.execute([name])?;
    Ok(())
}

fn read_object(found: &Row<'_>) -> SqlResult<Collectable> {
    let (kind, digest) = (found.get::<_, String>(0)?, row::digest(found, 1)?);
    Collectable::of_parts(&kind, digest).ok_or(rusqlite::Error::InvalidColumnName(kind))
}

/// Returns whether bytes found under `grip` may be gone, because the sweep counter has moved since.
fn is_stale(tx: &Transaction<'_>, grip: Grip) -> SqlResult<bool> {
    Ok(match grip.sweeps {
        Some(sweeps) => counter(tx, SWEEPS)? != sweeps,
        None => false,
    })
}

/// Returns whether a pack is being swept, or may have been swept since `grip`.
pub(super) fn is_pack_swept(tx: &Transaction<'_>, pack: PackDigest, grip: Grip) -> SqlResult<bool> {
    let sql = "SELECT 1 FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE p.digest = $1 AND k.is_swept = 1";
    Ok(is_stale(tx, grip)? || tx.prepare_cached(sql)?.exists([pack.as_bytes()])?)
}

/// Returns whether an object is condemned for `grip`.
pub(super) fn is_condemned(
    tx: &Transaction<'_>,
    object: Collectable,
    grip: Grip,
) -> SqlResult<bool> {
    let (kind, digest) = object.parts();
    tx.prepare_cached(
        "SELECT 1 FROM condemned_objects
         WHERE kind = $1 AND digest = $2 AND (generation <= $3 OR is_swept = 1)",
    )?
    .exists(params![kind, digest, row::integer(grip.generation)?])
}

/// Pardons an object that was stored again, unless a sweep may have removed its bytes since `grip`.
pub(super) fn revive(tx: &Transaction<'_>, object: Collectable, grip: Grip) -> SqlResult<Added> {
    let (kind, digest) = object.parts();
    let sql = "SELECT 1 FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 1";
    if is_stale(tx, grip)? || tx.prepare_cached(sql)?.exists(params![kind, digest])? {
        return Ok(Added::Swept);
    }
    pardon_object(tx, object)?;
    Ok(Added::Present)
}

/// Pardons an object. A pardoned object may be unreachable after all, so it counts as litter until
/// a collection has looked again.
fn pardon_object(tx: &Transaction<'_>, object: Collectable) -> SqlResult<()> {
    let (kind, digest) = object.parts();
    let sql = "DELETE FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 0";
    match tx.prepare_cached(sql)?.execute(params![kind, digest])? {
        0 => Ok(()),
        _ => count_up(tx, LITTER),
    }
}

pub(super) fn pardon_pack(tx: &Transaction<'_>, pack: PackDigest) -> SqlResult<()> {
    let pardoned = tx
        .prepare_cached(
            "DELETE FROM condemned_packs WHERE is_swept = 0
             AND pack_id = (SELECT id FROM packs WHERE digest = $1)",
        )?
        .execute([pack.as_bytes()])?;
    match pardoned {
        0 => Ok(()),
        _ => count_up(tx, LITTER),
    }
}

pub(super) fn state(tx: &Transaction<'_>, now_secs: u64) -> SqlResult<CollectState> {
    leases::forget_ended(tx, now_secs)?;
    let count = |sql: &str| -> SqlResult<u64> {
        tx.prepare_cached(sql)?.query_row([], |found| row::quantity(found, 0))
    };
    let open = count(
        "SELECT (SELECT COUNT(*) FROM condemned_packs WHERE is_swept = 0)
              + (SELECT COUNT(*) FROM condemned_objects WHERE is_swept = 0)",
    )?;
    let swept = count(
        "SELECT (SELECT COUNT(*) FROM condemned_packs WHERE is_swept = 1)
              + (SELECT COUNT(*) FROM condemned_objects WHERE is_swept = 1)",
    )?;
    Ok(CollectState {
        generation: counter(tx, GENERATION)?,
        litter: counter(tx, LITTER)?,
        collected: counter(tx, COLLECTED)?,
        published: counter(tx, PUBLISHED)?,
        sweeps: counter(tx, SWEEPS)?,
        condemned: open,
        is_sweeping: swept > 0,
    })
}

pub(super) fn roots(tx: &Transaction<'_>) -> SqlResult<Roots> {
    Ok(Roots { releases: releases::visible(tx)?, published: counter(tx, PUBLISHED)? })
}

pub(super) fn all_packs(tx: &Transaction<'_>) -> SqlResult<Vec<PackRow>> {
    tx.prepare_cached(
        "SELECT p.id, p.digest, p.len, l.pack_id IS NOT NULL, k.generation
         FROM packs p LEFT JOIN lost_packs l ON l.pack_id = p.id
                      LEFT JOIN condemned_packs k ON k.pack_id = p.id ORDER BY p.id",
    )?
    .query_map([], |found| {
        let generation: Option<i64> = found.get(4)?;
        Ok(PackRow {
            key: PackKey(found.get(0)?),
            digest: PackDigest::from_bytes(row::digest(found, 1)?),
            len: row::quantity(found, 2)?,
            is_lost: found.get(3)?,
            condemned: generation.map(i64::unsigned_abs),
        })
    })?
    .collect()
}

fn read_place(found: &Row<'_>) -> SqlResult<PlaceRow> {
    Ok(PlaceRow {
        digest: ChunkDigest::from_bytes(row::digest(found, 0)?),
        pack: PackKey(found.get(1)?),
        stored_len: row::quantity(found, 2)?,
    })
}

/// The lower bound of all digests: the empty byte string, not a text or a number.
const FIRST: &[u8] = &[];

pub(super) fn places(
    tx: &Transaction<'_>,
    after: Option<ChunkDigest>,
    limit: u32,
) -> SqlResult<Vec<PlaceRow>> {
    let after = after.as_ref().map_or(FIRST, |digest| digest.as_bytes().as_slice());
    tx.prepare_cached(
        "SELECT digest, pack_id, stored_len FROM chunks WHERE digest > $1 ORDER BY digest LIMIT $2",
    )?
    .query_map(params![after, limit], read_place)?
    .collect()
}

pub(super) fn places_of(tx: &Transaction<'_>, chunks: &[ChunkDigest]) -> SqlResult<Vec<PlaceRow>> {
    let mut find =
        tx.prepare_cached("SELECT digest, pack_id, stored_len FROM chunks WHERE digest = $1")?;
    let mut found = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        found.extend(find.query_row([chunk.as_bytes()], read_place).optional()?);
    }
    Ok(found)
}

pub(super) fn all_objects(tx: &Transaction<'_>) -> SqlResult<Vec<Collectable>> {
    tx.prepare_cached(
        "SELECT 'leaf', digest FROM leaves UNION ALL SELECT 'index', digest FROM indexes",
    )?
    .query_map([], read_object)?
    .collect()
}

pub(super) fn leaves_in(tx: &Transaction<'_>, packs: &[PackDigest]) -> SqlResult<Vec<LeafDigest>> {
    let mut find = tx.prepare_cached(
        "SELECT leaf_digest FROM leaf_packs
         WHERE pack_id = (SELECT id FROM packs WHERE digest = $1)",
    )?;
    let mut leaves = BTreeSet::new();
    for pack in packs {
        for leaf in find.query_map([pack.as_bytes()], |found| row::digest(found, 0))? {
            leaves.insert(LeafDigest::from_bytes(leaf?));
        }
    }
    Ok(leaves.into_iter().collect())
}

pub(super) fn move_frames(
    tx: &Transaction<'_>,
    pack: &NewPack,
    from: &[PackDigest],
    grip: Grip,
) -> SqlResult<Added> {
    if is_pack_swept(tx, pack.digest, grip)? {
        return Ok(Added::Swept);
    }
    let to = content::put_row(tx, pack, grip.hand)?;
    pardon_pack(tx, pack.digest)?;
    let mut change = tx.prepare_cached(
        "UPDATE chunks SET pack_id = $1, frame_offset = $2, stored_len = $3, encoding = $4
         WHERE digest = $5 AND pack_id = (SELECT id FROM packs WHERE digest = $6)",
    )?;
    for frame in &pack.frames {
        for source in from {
            let moved = change.execute(params![
                to,
                row::integer(frame.offset)?,
                frame.stored_len,
                frame.encoding,
                frame.digest.as_bytes(),
                source.as_bytes()
            ])?;
            if moved > 0 {
                break;
            }
        }
    }
    Ok(Added::Present)
}

pub(super) fn condemn(
    tx: &Transaction<'_>,
    packs: &[(PackDigest, u64)],
    objects: &[Collectable],
) -> SqlResult<u64> {
    count_up(tx, GENERATION)?;
    let generation = counter(tx, GENERATION)?;
    let at = row::integer(generation)?;
    let mut pack_row = tx.prepare_cached(
        "INSERT INTO condemned_packs (pack_id, generation, is_swept)
         SELECT id, $1, 0 FROM packs WHERE digest = $2 ON CONFLICT (pack_id) DO NOTHING",
    )?;
    // A pack that a push is about to name has no row yet. The push pardons the pack.
    let mut known = tx
        .prepare_cached("INSERT INTO packs (digest, len) VALUES ($1, $2) ON CONFLICT DO NOTHING")?;
    for (pack, len) in packs {
        known.execute(params![pack.as_bytes(), row::integer(*len)?])?;
        pack_row.execute(params![at, pack.as_bytes()])?;
    }
    let mut object_row = tx.prepare_cached(
        "INSERT INTO condemned_objects (kind, digest, generation, is_swept)
         VALUES ($1, $2, $3, 0) ON CONFLICT (kind, digest) DO NOTHING",
    )?;
    for object in objects {
        let (kind, digest) = object.parts();
        object_row.execute(params![kind, digest, at])?;
    }
    Ok(generation)
}

/// Lists the condemned packs and objects: those being swept if `is_swept`, otherwise the rest.
fn listed(tx: &Transaction<'_>, is_swept: bool) -> SqlResult<Sweeping> {
    let packs = tx
        .prepare_cached(
            "SELECT p.digest FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
             WHERE k.is_swept = $1 ORDER BY p.id",
        )?
        .query_map([is_swept], |found| Ok(PackDigest::from_bytes(row::digest(found, 0)?)))?
        .collect::<SqlResult<_>>()?;
    let objects = tx
        .prepare_cached(
            "SELECT kind, digest FROM condemned_objects WHERE is_swept = $1 ORDER BY kind, digest",
        )?
        .query_map([is_swept], read_object)?
        .collect::<SqlResult<_>>()?;
    Ok(Sweeping { packs, objects })
}

pub(super) fn condemned(tx: &Transaction<'_>) -> SqlResult<Sweeping> {
    listed(tx, false)
}

pub(super) fn sweeping(tx: &Transaction<'_>) -> SqlResult<Sweeping> {
    listed(tx, true)
}

pub(super) fn older_leases(
    tx: &Transaction<'_>,
    generation: u64,
    now_secs: u64,
) -> SqlResult<Option<OlderLeases>> {
    leases::forget_ended(tx, now_secs)?;
    let sql = "SELECT COUNT(*), COALESCE(MAX(deadline_secs), 0) FROM leases WHERE generation < $1";
    let older = tx.prepare_cached(sql)?.query_row([row::integer(generation)?], |found| {
        Ok(OlderLeases { count: row::quantity(found, 0)?, deadline_secs: row::quantity(found, 1)? })
    })?;
    Ok((older.count > 0).then_some(older))
}

pub(super) fn pardon(
    tx: &Transaction<'_>,
    packs: &[PackDigest],
    objects: &[Collectable],
) -> SqlResult<()> {
    packs.iter().try_for_each(|pack| pardon_pack(tx, *pack))?;
    objects.iter().try_for_each(|object| pardon_object(tx, *object))
}

pub(super) fn begin_sweep(tx: &Transaction<'_>, sweep: &Sweep) -> SqlResult<Sweeping> {
    let mut begun = Sweeping::default();
    let generation = row::integer(sweep.generation)?;
    count_up(tx, SWEEPS)?;
    let mut take_pack = tx.prepare_cached(
        "UPDATE condemned_packs SET is_swept = 1
         WHERE is_swept = 0 AND pack_id = (SELECT id FROM packs WHERE digest = $1)
           AND generation <= $2",
    )?;
    for pack in &sweep.packs {
        let leaves = leaves_in(tx, &[*pack])?;
        if leaves.iter().any(|leaf| sweep.live_leaves.contains(leaf)) {
            continue;
        }
        if take_pack.execute(params![pack.as_bytes(), generation])? == 1 {
            leaves.into_iter().try_for_each(|leaf| content::forget_leaf(tx, leaf))?;
            begun.packs.push(*pack);
        }
    }
    let mut take_object = tx.prepare_cached(
        "UPDATE condemned_objects SET is_swept = 1
         WHERE is_swept = 0 AND kind = $1 AND digest = $2 AND generation <= $3",
    )?;
    for object in &sweep.objects {
        let (kind, digest) = object.parts();
        if take_object.execute(params![kind, digest, generation])? == 1 {
            forget_object(tx, *object)?;
            begun.objects.push(*object);
        }
    }
    Ok(begun)
}

/// Deletes the rows that name an object as present.
fn forget_object(tx: &Transaction<'_>, object: Collectable) -> SqlResult<()> {
    match object {
        Collectable::Leaf(leaf) => content::forget_leaf(tx, leaf)?,
        Collectable::Index(index) => {
            // These may be left from restored releases that are gone since.
            for sql in [
                "DELETE FROM release_indexes WHERE index_digest = $1",
                "DELETE FROM index_leaves WHERE index_digest = $1",
                "DELETE FROM indexes WHERE digest = $1",
            ] {
                tx.prepare_cached(sql)?.execute([index.as_bytes()])?;
            }
        }
        Collectable::Descriptor(_) | Collectable::Release(_) => {}
    }
    Ok(())
}

pub(super) fn forget_places(
    tx: &Transaction<'_>,
    after: Option<ChunkDigest>,
    limit: u32,
) -> SqlResult<Option<ChunkDigest>> {
    let after = after.as_ref().map_or(FIRST, |digest| digest.as_bytes().as_slice());
    let last: Option<[u8; 32]> = tx
        .prepare_cached(
            "SELECT digest FROM chunks WHERE digest > $1 ORDER BY digest LIMIT 1 OFFSET $2",
        )?
        .query_row(params![after, limit], |found| row::digest(found, 0))
        .optional()?;
    let swept = "pack_id IN (SELECT pack_id FROM condemned_packs WHERE is_swept = 1)";
    match last {
        Some(last) => {
            let sql = format!("DELETE FROM chunks WHERE digest > $1 AND digest <= $2 AND {swept}");
            tx.prepare_cached(&sql)?.execute(params![after, last])?;
        }
        None => {
            let sql = format!("DELETE FROM chunks WHERE digest > $1 AND {swept}");
            tx.prepare_cached(&sql)?.execute([after])?;
        }
    }
    Ok(last.map(ChunkDigest::from_bytes))
}

pub(super) fn end_sweep(tx: &Transaction<'_>, done: &Sweeping) -> SqlResult<()> {
    for pack in &done.packs {
        let id: Option<i64> = tx
            .prepare_cached("SELECT id FROM packs WHERE digest = $1")?
            .query_row([pack.as_bytes()], |found| found.get(0))
            .optional()?;
        for sql in [
            "DELETE FROM leaf_packs WHERE pack_id = $1",
            "DELETE FROM condemned_packs WHERE pack_id = $1",
            "DELETE FROM lost_packs WHERE pack_id = $1",
            "DELETE FROM packs WHERE id = $1",
        ] {
            tx.prepare_cached(sql)?.execute([id])?;
        }
    }
    let mut forget = tx.prepare_cached(
        "DELETE FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 1",
    )?;
    for object in &done.objects {
        let (kind, digest) = object.parts();
        forget.execute(params![kind, digest])?;
    }
    // Invalidates lookups made while the bytes were being removed.
    count_up(tx, SWEEPS)
}

pub(super) fn end_collection(tx: &Transaction<'_>, litter: u64) -> SqlResult<()> {
    tx.prepare_cached("UPDATE counters SET value = $1 WHERE name = $2")?
        .execute(params![row::integer(litter)?, COLLECTED])?;
    Ok(())
}
