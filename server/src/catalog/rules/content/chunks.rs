//! The places of chunks.

use std::collections::HashMap;

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::ChunkRef;

use super::unsound;
use crate::catalog::model::collect::Grip;
use crate::catalog::model::content::{ChunkPlace, Frame, Located};
use crate::catalog::tx::{Batch, Bind, Tx, TxError, TxResult};

/// The maximum number of unfit chunks named. A caller that lacks one usually lacks many.
const UNFIT_NAMED: usize = 4;

/// Returns the positions of `digests` in digest order. Neighbours in the tree are then looked up
/// one after the other, and pages are read once.
fn by_digest(digests: &[ChunkDigest]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..digests.len()).collect();
    order.sort_unstable_by_key(|position| digests[*position]);
    order
}

/// Returns the positions of the chunks without a usable place, ascending.
pub(in crate::catalog) fn missing(
    tx: &mut dyn Tx,
    chunks: &[ChunkDigest],
    grip: Grip,
) -> TxResult<Vec<u32>> {
    const FIND: &str =
        concat!("SELECT 1 FROM chunks c WHERE c.digest = $1 AND NOT ", unsound!("$2"));
    let order = by_digest(chunks);
    let keys = order.iter().map(|position| [chunks[*position].bind(), grip.generation.bind()]);
    let mut is_missing = vec![true; chunks.len()];
    tx.each(FIND, &Batch::new(keys), &mut |position, _| {
        is_missing[order[position]] = false;
        Ok(())
    })?;
    Ok((0..).zip(is_missing).filter_map(|(position, is)| is.then_some(position)).collect())
}

/// Returns the places of chunks, including places in lost packs.
pub(in crate::catalog) fn locate(tx: &mut dyn Tx, chunks: &[ChunkDigest]) -> TxResult<Located> {
    let sql = "SELECT pack_id, frame_offset, stored_len, plain_len, encoding
               FROM chunks WHERE digest = $1";
    let order = by_digest(chunks);
    let batch = Batch::of(order.iter().map(|position| &chunks[*position]));
    let mut found: Vec<Option<(i64, Frame)>> = vec![None; chunks.len()];
    tx.each(sql, &batch, &mut |position, row| {
        let position = order[position];
        let frame = Frame {
            digest: chunks[position],
            offset: row.count(1)?,
            stored_len: row.count(2)?,
            plain_len: super::leaves::chunk_len(row, 3)?,
            encoding: row.count(4)?,
        };
        if !frame.plain_len.may_be_stored_in(frame.stored_len) {
            return Err(TxError::damaged("a chunk's place has an impossible length"));
        }
        found[position] = Some((row.int(0)?, frame));
        Ok(())
    })?;
    let mut packs = Packs::default();
    let mut places = Vec::with_capacity(chunks.len());
    for (place, digest) in found.into_iter().zip(chunks) {
        let Some((pack_id, frame)) = place else { return Ok(Located::Missing(*digest)) };
        places.push(ChunkPlace { pack: packs.position(pack_id), frame });
    }
    Ok(Located::All { packs: packs.digests(tx)?, places })
}

/// The packs of an answer, each once, in the order of first use.
#[derive(Default)]
struct Packs {
    ids: Vec<i64>,
    positions: HashMap<i64, u32>,
}

impl Packs {
    fn position(&mut self, id: i64) -> u32 {
        let ids = &mut self.ids;
        *self.positions.entry(id).or_insert_with(|| {
            ids.push(id);
            // There are never more packs than chunks in the query, whose positions are `u32`.
            u32::try_from(ids.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn digests(&self, tx: &mut dyn Tx) -> TxResult<Vec<PackDigest>> {
        let sql = "SELECT digest FROM packs WHERE id = $1";
        let read = tx.find_each(sql, &Batch::of(&self.ids), |row| row.id(0))?;
        let read = read.into_iter().map(|digest| digest.map(PackDigest::from_bytes));
        read.collect::<Option<_>>().ok_or_else(|| TxError::damaged("a chunk's pack has no row"))
    }
}

/// The fitness of a leaf's chunks.
pub(in crate::catalog) struct Fit {
    /// The first few chunks that have no place or another length.
    pub(super) unfit: Vec<ChunkRef>,
    /// The packs of the others, ascending, each once.
    pub(super) packs: Vec<i64>,
}

/// Compares the chunks of a leaf with their places.
pub(super) fn fit(tx: &mut dyn Tx, chunks: &[ChunkRef], grip: Grip) -> TxResult<Fit> {
    const FIND: &str = concat!(
        "SELECT pack_id FROM chunks c WHERE c.digest = $1 AND c.plain_len = $2 AND NOT ",
        unsound!("$3")
    );
    let mut chunks = chunks.to_vec();
    chunks.sort_unstable_by_key(|chunk| chunk.digest);
    let generation = grip.generation;
    let keys = chunks.iter();
    let keys = keys.map(|chunk| [chunk.digest.bind(), chunk.len.bind(), generation.bind()]);
    let found = tx.find_each(FIND, &Batch::new(keys), |row| row.int(0))?;
    let unfit = chunks.iter().zip(&found).filter(|(_, pack)| pack.is_none());
    let unfit = unfit.map(|(chunk, _)| *chunk).take(UNFIT_NAMED).collect();
    let mut packs: Vec<i64> = found.into_iter().flatten().collect();
    packs.sort_unstable();
    packs.dedup();
    Ok(Fit { unfit, packs })
}
