//! Roots of collection, and listings of everything a collection compares with them.

use std::collections::BTreeSet;

use seawall_api::digest::{LeafDigest, PackDigest};

use super::{Counter, count, read_object};
use crate::catalog::model::collect::{Collectable, PackKey, PackRow, Roots};
use crate::catalog::rules::releases::list;
use crate::catalog::tx::{Batch, Tx, TxResult};

/// The lower bound of all digests: the empty byte string, not a text or a number.
pub(in crate::catalog) const FIRST: &[u8] = &[];

/// Returns the roots of collection.
pub(in crate::catalog) fn roots(tx: &mut dyn Tx) -> TxResult<Roots> {
    Ok(Roots { releases: list::visible(tx)?, published: count(tx, Counter::Published)? })
}

/// Lists all packs.
pub(in crate::catalog) fn packs(tx: &mut dyn Tx) -> TxResult<Vec<PackRow>> {
    let sql = "SELECT p.id, p.digest, p.len, l.pack_id IS NOT NULL, k.generation
               FROM packs p LEFT JOIN lost_packs l ON l.pack_id = p.id
                            LEFT JOIN condemned_packs k ON k.pack_id = p.id ORDER BY p.id";
    tx.list(sql, &[], |row| {
        Ok(PackRow {
            key: PackKey(row.int(0)?),
            digest: PackDigest::from_bytes(row.id(1)?),
            len: row.count(2)?,
            is_lost: row.flag(3)?,
            condemned: row.count_or_none(4)?,
        })
    })
}

/// Lists all leaves and indexes with a row.
pub(in crate::catalog) fn objects(tx: &mut dyn Tx) -> TxResult<Vec<Collectable>> {
    let sql = "SELECT 'leaf', digest FROM leaves UNION ALL SELECT 'index', digest FROM indexes";
    tx.list(sql, &[], read_object)
}

/// Returns the leaves recorded as needing one of these packs.
pub(in crate::catalog) fn leaves_in(
    tx: &mut dyn Tx,
    packs: &[PackDigest],
) -> TxResult<Vec<LeafDigest>> {
    let leaves: BTreeSet<_> = leaves_of_each(tx, packs)?.into_iter().flatten().collect();
    Ok(leaves.into_iter().collect())
}

/// Returns the leaves recorded as needing each of these packs.
pub(super) fn leaves_of_each(
    tx: &mut dyn Tx,
    packs: &[PackDigest],
) -> TxResult<Vec<Vec<LeafDigest>>> {
    let sql = "SELECT leaf_digest FROM leaf_packs
               WHERE pack_id = (SELECT id FROM packs WHERE digest = $1)";
    let mut leaves = vec![Vec::new(); packs.len()];
    tx.each(sql, &Batch::of(packs), &mut |position, row| {
        leaves[position].push(LeafDigest::from_bytes(row.id(0)?));
        Ok(())
    })?;
    Ok(leaves)
}
