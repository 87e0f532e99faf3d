//! Packs, chunks, leaves and indexes.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, Transaction, params};
use seawall_api::digest::{ChunkDigest, ContentDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::ChunkRef;
use seawall_api::units::{ChunkLen, DiskLen};
use seawall_store::port::ObjectName;

use super::check::damage;
use super::collect::{LITTER, count_up, is_condemned, is_pack_swept, pardon_pack, revive};
use super::connection::SqlResult;
use super::row;
use crate::catalog::collect::{Added, Collectable, Grip, Hand};
use crate::catalog::model::{ChunkPlace, Frame, IndexRow, LeafAdded, LeafRow, Located, NewPack};

/// The maximum number of unfit chunks named. A caller that lacks one usually lacks many.
const UNFIT_NAMED: usize = 4;

/// SQL for a pack on which no caller of generation `$9` may begin to rely, because the pack is lost
/// or condemned.
const IS_UNSOUND: &str = "(EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = c.pack_id)
     OR EXISTS (SELECT 1 FROM condemned_packs k WHERE k.pack_id = c.pack_id
                AND (k.generation <= $9 OR k.is_swept = 1)))";

/// Returns the condition with `generation_at` as the placeholder of the generation.
fn unsound(generation_at: &str) -> String {
    IS_UNSOUND.replace("$9", generation_at)
}

/// Writes the row of a pack that was just stored, and returns its id. Logs a repair if the pack was
/// lost.
pub(super) fn put_row(tx: &Transaction<'_>, pack: &NewPack, hand: Option<Hand>) -> SqlResult<i64> {
    let digest = pack.digest.as_bytes();
    let sql = "INSERT INTO packs (digest, len) VALUES ($1, $2)
               ON CONFLICT (digest) DO UPDATE SET len = excluded.len";
    tx.prepare_cached(sql)?.execute(params![digest, row::integer(pack.len)?])?;
    let id: i64 = tx
        .prepare_cached("SELECT id FROM packs WHERE digest = $1")?
        .query_row([digest], |found| found.get(0))?;
    let found = tx.prepare_cached("DELETE FROM lost_packs WHERE pack_id = $1")?.execute([id])?;
    if found > 0 {
        damage::healed(tx, &ObjectName::Pack(pack.digest), hand)?;
    }
    Ok(id)
}

pub(super) fn add_pack(tx: &Transaction<'_>, pack: &NewPack, grip: Grip) -> SqlResult<Added> {
    if is_pack_swept(tx, pack.digest, grip)? {
        return Ok(Added::Swept);
    }
    let id = put_row(tx, pack, grip.hand)?;
    pardon_pack(tx, pack.digest)?;
    // A chunk keeps its place unless that pack is lost or condemned.
    let mut insert = tx.prepare_cached(
        "INSERT INTO chunks (digest, pack_id, frame_offset, stored_len, plain_len, encoding)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest) DO UPDATE
         SET pack_id = excluded.pack_id, frame_offset = excluded.frame_offset,
             stored_len = excluded.stored_len, plain_len = excluded.plain_len,
             encoding = excluded.encoding
         WHERE chunks.pack_id IN (SELECT pack_id FROM lost_packs)
            OR chunks.pack_id IN (SELECT pack_id FROM condemned_packs)",
    )?;
    for frame in &pack.frames {
        insert.execute(params![
            frame.digest.as_bytes(),
            id,
            row::integer(frame.offset)?,
            frame.stored_len,
            frame.plain_len.get(),
            frame.encoding
        ])?;
    }
    Ok(Added::Present)
}

pub(super) fn lose_pack(tx: &Transaction<'_>, pack: PackDigest) -> SqlResult<()> {
    let sql = "INSERT INTO lost_packs (pack_id) SELECT id FROM packs WHERE digest = $1
               ON CONFLICT (pack_id) DO NOTHING";
    match tx.prepare_cached(sql)?.execute([pack.as_bytes()])? {
        0 => Ok(()),
        _ => count_up(tx, LITTER),
    }
}

pub(super) fn pack_len(tx: &Transaction<'_>, pack: PackDigest) -> SqlResult<Option<u64>> {
    tx.prepare_cached("SELECT len FROM packs WHERE digest = $1")?
        .query_row([pack.as_bytes()], |found| row::quantity(found, 0))
        .optional()
}

/// Returns the positions of `digests` in digest order. Neighbours in the tree are then looked up
/// one after the other, and pages are read once.
fn by_digest<T: Ord>(digests: &[T]) -> SqlResult<Vec<u32>> {
    let count = u32::try_from(digests.len())
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by(|a, b| digests[*a as usize].cmp(&digests[*b as usize]));
    Ok(order)
}

pub(super) fn missing(
    tx: &Transaction<'_>,
    chunks: &[ChunkDigest],
    grip: Grip,
) -> SqlResult<Vec<u32>> {
    let sql = format!("SELECT 1 FROM chunks c WHERE c.digest = $1 AND NOT {}", unsound("$2"));
    let mut find = tx.prepare_cached(&sql)?;
    let generation = row::integer(grip.generation)?;
    let mut missing = Vec::new();
    for position in by_digest(chunks)? {
        if !find.exists(params![chunks[position as usize].as_bytes(), generation])? {
            missing.push(position);
        }
    }
    missing.sort_unstable();
    Ok(missing)
}

pub(super) fn locate(tx: &Transaction<'_>, chunks: &[ChunkDigest]) -> SqlResult<Located> {
    let mut find = tx.prepare_cached(
        "SELECT pack_id, frame_offset, stored_len, plain_len, encoding
         FROM chunks WHERE digest = $1",
    )?;
    let mut found: Vec<Option<(i64, Frame)>> = vec![None; chunks.len()];
    for position in by_digest(chunks)? {
        let digest = chunks[position as usize];
        found[position as usize] = find
            .query_row([digest.as_bytes()], |at| {
                let plain_len =
                    ChunkLen::new(row::quantity(at, 3)?).map_err(|error| row::refused(3, error))?;
                let frame = Frame {
                    digest,
                    offset: row::quantity(at, 1)?,
                    stored_len: row::quantity(at, 2)?,
                    plain_len,
                    encoding: row::quantity(at, 4)?,
                };
                Ok((at.get(0)?, frame))
            })
            .optional()?;
    }
    let mut packs = Packs::default();
    let mut places = Vec::with_capacity(chunks.len());
    for (place, digest) in found.into_iter().zip(chunks) {
        let Some((pack_id, frame)) = place else { return Ok(Located::Missing(*digest)) };
        places.push(ChunkPlace { pack: packs.position(tx, pack_id)?, frame });
    }
    Ok(Located::All { packs: packs.digests, places })
}

/// The packs of an answer, each once, in the order of first use.
#[derive(Default)]
struct Packs {
    digests: Vec<PackDigest>,
    positions: HashMap<i64, u32>,
}

impl Packs {
    fn position(&mut self, tx: &Transaction<'_>, id: i64) -> SqlResult<u32> {
        if let Some(position) = self.positions.get(&id) {
            return Ok(*position);
        }
        let digest = tx
            .prepare_cached("SELECT digest FROM packs WHERE id = $1")?
            .query_row([id], |found| row::digest(found, 0))?;
        // There are never more packs than chunks in the query, whose positions are `u32`.
        let position = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        self.digests.push(PackDigest::from_bytes(digest));
        self.positions.insert(id, position);
        Ok(position)
    }
}

pub(super) fn add_leaf(
    tx: &Transaction<'_>,
    leaf: &LeafRow,
    chunks: &[ChunkRef],
    grip: Grip,
) -> SqlResult<LeafAdded> {
    let (unfit, packs) = fit(tx, chunks, grip)?;
    if !unfit.is_empty() {
        return Ok(LeafAdded::Unfit(unfit));
    }
    if revive(tx, Collectable::Leaf(leaf.digest), grip)? == Added::Swept {
        return Ok(LeafAdded::Swept);
    }
    let was = (damage::is_lost_leaf(tx, leaf.digest)?, damage::lost_packs_of(tx, leaf.digest)?);
    let sql = "INSERT INTO leaves (digest, span_len, data_bytes) VALUES ($1, $2, $3)
               ON CONFLICT (digest) DO NOTHING";
    let (span_len, data_bytes) = (row::integer(leaf.span_len)?, row::integer(leaf.data_bytes)?);
    tx.prepare_cached(sql)?.execute(params![leaf.digest.as_bytes(), span_len, data_bytes])?;
    // References of an earlier row may name packs that are lost now.
    tx.prepare_cached("DELETE FROM leaf_packs WHERE leaf_digest = $1")?
        .execute([leaf.digest.as_bytes()])?;
    let mut insert =
        tx.prepare_cached("INSERT INTO leaf_packs (leaf_digest, pack_id) VALUES ($1, $2)")?;
    for pack in packs {
        insert.execute(params![leaf.digest.as_bytes(), pack])?;
    }
    damage::leaf_added(tx, leaf.digest, was, grip.hand)?;
    Ok(LeafAdded::Present)
}

/// Returns the first few of `chunks` that have no place or another length, and the packs of the
/// others.
fn fit(
    tx: &Transaction<'_>,
    chunks: &[ChunkRef],
    grip: Grip,
) -> SqlResult<(Vec<ChunkRef>, BTreeSet<i64>)> {
    let sql = format!(
        "SELECT pack_id FROM chunks c WHERE c.digest = $1 AND c.plain_len = $2 AND NOT {}",
        unsound("$3")
    );
    let generation = row::integer(grip.generation)?;
    let mut find = tx.prepare_cached(&sql)?;
    let digests: Vec<_> = chunks.iter().map(|chunk| chunk.digest).collect();
    let (mut unfit, mut packs) = (Vec::new(), BTreeSet::new());
    for position in by_digest(&digests)? {
        let chunk = chunks[position as usize];
        let place = params![chunk.digest.as_bytes(), chunk.len.get(), generation];
        match find.query_row(place, |found| found.get(0)).optional()? {
            Some(pack) => {
                packs.insert(pack);
            }
            None => unfit.push(chunk),
        }
        if unfit.len() == UNFIT_NAMED {
            break;
        }
    }
    Ok((unfit, packs))
}

pub(super) fn forget_leaf(tx: &Transaction<'_>, leaf: LeafDigest) -> SqlResult<()> {
    for sql in
        ["DELETE FROM leaf_packs WHERE leaf_digest = $1", "DELETE FROM leaves WHERE digest = $1"]
    {
        tx.prepare_cached(sql)?.execute([leaf.as_bytes()])?;
    }
    Ok(())
}

/// Deletes the row of a leaf whose bytes are gone. Chunks of this leaf alone may be litter now.
pub(super) fn lose_leaf(tx: &Transaction<'_>, leaf: LeafDigest) -> SqlResult<()> {
    forget_leaf(tx, leaf)?;
    count_up(tx, LITTER)
}

pub(super) fn packs_of(
    tx: &Transaction<'_>,
    leaves: &[LeafDigest],
) -> SqlResult<Vec<(PackDigest, u64)>> {
    let mut find = tx.prepare_cached("SELECT pack_id FROM leaf_packs WHERE leaf_digest = $1")?;
    let mut ids = BTreeSet::new();
    for leaf in leaves {
        for id in find.query_map([leaf.as_bytes()], |found| found.get::<_, i64>(0))? {
            ids.insert(id?);
        }
    }
    let mut read = tx.prepare_cached("SELECT digest, len FROM packs WHERE id = $1")?;
    let read = ids.into_iter().map(|id| {
        read.query_row([id], |found| {
            Ok((PackDigest::from_bytes(row::digest(found, 0)?), row::quantity(found, 1)?))
        })
    });
    read.collect()
}

pub(super) fn leaves(
    tx: &Transaction<'_>,
    leaves: &[LeafDigest],
    grip: Grip,
) -> SqlResult<Vec<Option<LeafRow>>> {
    let sql = format!(
        "SELECT span_len, data_bytes FROM leaves WHERE digest = $1 AND NOT EXISTS
         (SELECT 1 FROM leaf_packs c WHERE c.leaf_digest = $1 AND {})",
        unsound("$2")
    );
    let mut find = tx.prepare_cached(&sql)?;
    let generation = row::integer(grip.generation)?;
    let mut rows = vec![None; leaves.len()];
    for position in by_digest(leaves)? {
        let digest = leaves[position as usize];
        if is_condemned(tx, Collectable::Leaf(digest), grip)? {
            continue;
        }
        rows[position as usize] = find
            .query_row(params![digest.as_bytes(), generation], |found| {
                let (span_len, data_bytes) = (row::quantity(found, 0)?, row::quantity(found, 1)?);
                Ok(LeafRow { digest, span_len, data_bytes })
            })
            .optional()?;
    }
    Ok(rows)
}

pub(super) fn add_index(tx: &Transaction<'_>, index: &IndexRow, grip: Grip) -> SqlResult<Added> {
    if revive(tx, Collectable::Index(index.digest), grip)? == Added::Swept {
        return Ok(Added::Swept);
    }
    let sql = "INSERT INTO indexes (digest, disk_len, content, data_bytes)
               VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING";
    tx.prepare_cached(sql)?.execute(params![
        index.digest.as_bytes(),
        row::integer(index.disk_len.get())?,
        index.content.as_bytes(),
        row::integer(index.data_bytes)?
    ])?;
    Ok(Added::Present)
}

pub(super) fn index(
    tx: &Transaction<'_>,
    digest: IndexDigest,
    grip: Grip,
) -> SqlResult<Option<IndexRow>> {
    if is_condemned(tx, Collectable::Index(digest), grip)? {
        return Ok(None);
    }
    tx.prepare_cached("SELECT disk_len, content, data_bytes FROM indexes WHERE digest = $1")?
        .query_row([digest.as_bytes()], |found| {
            let disk_len =
                DiskLen::new(row::quantity(found, 0)?).map_err(|error| row::refused(0, error))?;
            let content = ContentDigest::from_bytes(row::digest(found, 1)?);
            Ok(IndexRow { digest, disk_len, content, data_bytes: row::quantity(found, 2)? })
        })
        .optional()
}
