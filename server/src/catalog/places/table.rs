//! A row for each chunk.

use seawall_api::digest::ChunkDigest;
use seawall_api::units::ChunkLen;

use super::{Place, Places};
use crate::catalog::model::collect::{PackKey, PlaceRow};
use crate::catalog::model::content::Frame;
use crate::catalog::rules::collect::roots::FIRST;
use crate::catalog::tx::{Batch, Bind, Row, Tx, TxError, TxResult, args};

/// The table `chunks`. Honest up to some 10⁸ rows (docs/SCALE.md).
pub(in crate::catalog) struct ChunkTable;

/// Returns the positions of `chunks` in digest order. Neighbours in the tree are then looked up one
/// after the other, and pages are read once.
fn by_digest(chunks: &[ChunkDigest]) -> Vec<usize> {
    // The first bytes decide, and lie beside the positions: whole digests would be compared at
    // random places of the memory.
    let first_bytes = |digest: &ChunkDigest| {
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    };
    let mut order: Vec<(u64, usize)> = chunks.iter().map(first_bytes).zip(0..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, position)| position).collect()
}

/// Runs a query for each chunk in the order of the table. Returns the answers in the order of the
/// chunks.
fn for_each<T: Clone>(
    tx: &mut dyn Tx,
    sql: &'static str,
    chunks: &[ChunkDigest],
    mut read: impl FnMut(ChunkDigest, Row<'_>) -> TxResult<T>,
) -> TxResult<Vec<Option<T>>> {
    let order = by_digest(chunks);
    let batch = Batch::of(order.iter().map(|position| &chunks[*position]));
    let mut found = vec![None; chunks.len()];
    tx.each(sql, &batch, &mut |position, row| {
        let position = order[position];
        found[position] = Some(read(chunks[position], row)?);
        Ok(())
    })?;
    Ok(found)
}

/// Reads a frame from the columns after the pack's.
fn frame(digest: ChunkDigest, row: Row<'_>) -> TxResult<Frame> {
    Ok(Frame {
        digest,
        offset: row.count(1)?,
        stored_len: row.count(2)?,
        plain_len: ChunkLen::new(row.count(3)?).map_err(TxError::damaged)?,
        encoding: row.count(4)?,
    })
}

impl Places for ChunkTable {
    /// The key has these columns in PostgreSQL, so the rows are not read.
    fn packs(&self, tx: &mut dyn Tx, chunks: &[ChunkDigest]) -> TxResult<Vec<Option<PlaceRow>>> {
        let sql = "SELECT pack_id, stored_len FROM chunks WHERE digest = $1";
        for_each(tx, sql, chunks, |digest, row| {
            Ok(PlaceRow { digest, pack: PackKey(row.int(0)?), stored_len: row.count(1)? })
        })
    }

    fn find(&self, tx: &mut dyn Tx, chunks: &[ChunkDigest]) -> TxResult<Vec<Option<Place>>> {
        let sql = "SELECT pack_id, frame_offset, stored_len, plain_len, encoding
                   FROM chunks WHERE digest = $1";
        for_each(tx, sql, chunks, |digest, row| {
            let frame = frame(digest, row).ok();
            let frame = frame.filter(|frame| frame.plain_len.may_be_stored_in(frame.stored_len));
            Ok(Place { pack: PackKey(row.int(0)?), frame })
        })
    }

    fn walk(
        &self,
        tx: &mut dyn Tx,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> TxResult<Vec<PlaceRow>> {
        let after = after.as_ref().map_or(FIRST, |digest| digest.as_bytes());
        let sql = "SELECT digest, pack_id, stored_len FROM chunks WHERE digest > $1
                   ORDER BY digest LIMIT $2";
        tx.list(sql, args![*after, limit], |row| {
            Ok(PlaceRow {
                digest: ChunkDigest::from_bytes(row.id(0)?),
                pack: PackKey(row.int(1)?),
                stored_len: row.count(2)?,
            })
        })
    }

    /// Sorted, so that neighbours in the tree are written one after the other. Of a chunk that
    /// occurs twice, the first frame counts.
    fn put(&self, tx: &mut dyn Tx, pack: PackKey, frames: &[Frame]) -> TxResult<()> {
        let sql = "INSERT INTO chunks (digest, pack_id, frame_offset, stored_len, plain_len,
                                       encoding)
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest) DO UPDATE
                   SET pack_id = excluded.pack_id, frame_offset = excluded.frame_offset,
                       stored_len = excluded.stored_len, plain_len = excluded.plain_len,
                       encoding = excluded.encoding";
        let mut frames: Vec<&Frame> = frames.iter().collect();
        frames.sort_by_key(|frame| frame.digest);
        frames.dedup_by_key(|frame| frame.digest);
        let batch = Batch::new(frames.into_iter().map(|frame| {
            let Frame { digest, offset, stored_len, plain_len, encoding } = frame;
            let (digest, plain_len) = (digest.bind(), plain_len.bind());
            [digest, pack.bind(), offset.bind(), stored_len.bind(), plain_len, encoding.bind()]
        }));
        tx.run_each(sql, &batch)
    }

    fn forget(
        &self,
        tx: &mut dyn Tx,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> TxResult<Option<ChunkDigest>> {
        let after = after.as_ref().map_or(FIRST, |digest| digest.as_bytes());
        let skipped = limit.saturating_sub(1);
        let sql = "SELECT digest FROM chunks WHERE digest > $1 ORDER BY digest LIMIT 1 OFFSET $2";
        let last =
            tx.find(sql, args![*after, skipped], |row| Ok(ChunkDigest::from_bytes(row.id(0)?)))?;
        match last {
            Some(last) => {
                let sql = "DELETE FROM chunks WHERE digest > $1 AND digest <= $2 AND pack_id IN
                           (SELECT pack_id FROM condemned_packs WHERE is_swept = 1)";
                tx.run(sql, args![*after, last])?;
            }
            None => {
                let sql = "DELETE FROM chunks WHERE digest > $1 AND pack_id IN
                           (SELECT pack_id FROM condemned_packs WHERE is_swept = 1)";
                tx.run(sql, args![*after])?;
            }
        }
        Ok(last)
    }
}
