//! Leaves, and the packs they need.

use std::collections::BTreeSet;

use seawall_api::digest::{LeafDigest, PackDigest};
use seawall_api::index::ChunkRef;
use seawall_store::port::ObjectName;

use super::{chunks, condemned_object, unsound};
use crate::catalog::model::collect::{Added, Collectable, Grip, Stored};
use crate::catalog::model::content::{LeafAdded, LeafRow};
use crate::catalog::places::Places;
use crate::catalog::rules::collect::condemn::revive;
use crate::catalog::rules::collect::{Counter, count_up};
use crate::catalog::rules::maintenance::damage;
use crate::catalog::tx::{Batch, Bind, Row, Tx, TxError, TxResult, args};

/// Adds a leaf whose bytes were just stored, if all its chunks are present.
pub(in crate::catalog) fn keep(
    tx: &mut dyn Tx,
    places: &dyn Places,
    (leaf, chunks): (&LeafRow, &[ChunkRef]),
    stored: Stored,
) -> TxResult<LeafAdded> {
    damage::stored(tx, &ObjectName::Leaf(leaf.digest), stored)?;
    add(tx, places, (leaf, chunks), stored.grip)
}

/// Adds a leaf if all its chunks are present.
pub(in crate::catalog) fn add(
    tx: &mut dyn Tx,
    places: &dyn Places,
    (leaf, chunks): (&LeafRow, &[ChunkRef]),
    grip: Grip,
) -> TxResult<LeafAdded> {
    let chunks::Fit { unfit, packs } = chunks::fit(tx, places, chunks, grip)?;
    if !unfit.is_empty() {
        return Ok(LeafAdded::Unfit(unfit));
    }
    if revive(tx, Collectable::Leaf(leaf.digest), grip.sweeps)? == Added::Swept {
        return Ok(LeafAdded::Swept);
    }
    let before = damage::before_adding(tx, leaf.digest)?;
    let sql = "INSERT INTO leaves (digest, span_len, data_bytes) VALUES ($1, $2, $3)
               ON CONFLICT (digest) DO NOTHING";
    tx.run(sql, args![leaf.digest, leaf.span_len, leaf.data_bytes])?;
    // References of an earlier row may name packs that are lost now.
    tx.run("DELETE FROM leaf_packs WHERE leaf_digest = $1", args![leaf.digest])?;
    let sql = "INSERT INTO leaf_packs (leaf_digest, pack_id) VALUES ($1, $2)";
    tx.run_each(sql, &Batch::new(packs.iter().map(|pack| [leaf.digest.bind(), pack.bind()])))?;
    damage::leaf_added(tx, leaf.digest, before, grip.actor)?;
    Ok(LeafAdded::Present)
}

/// Deletes the rows of leaves.
pub(in crate::catalog) fn delete_rows(tx: &mut dyn Tx, leaves: &[LeafDigest]) -> TxResult<()> {
    let batch = Batch::of(leaves);
    tx.run_each("DELETE FROM leaf_packs WHERE leaf_digest = $1", &batch)?;
    tx.run_each("DELETE FROM leaves WHERE digest = $1", &batch)
}

/// Deletes the row of a leaf whose bytes are gone. Chunks of this leaf alone may be litter now.
pub(in crate::catalog) fn delete_row(tx: &mut dyn Tx, leaf: LeafDigest) -> TxResult<()> {
    delete_rows(tx, &[leaf])?;
    count_up(tx, Counter::Litter)
}

/// Returns the packs with chunks of these leaves, each once, with its length in bytes.
pub(in crate::catalog) fn packs_of(
    tx: &mut dyn Tx,
    leaves: &[LeafDigest],
) -> TxResult<Vec<(PackDigest, u64)>> {
    let sql = "SELECT pack_id FROM leaf_packs WHERE leaf_digest = $1";
    let mut ids = BTreeSet::new();
    tx.each(sql, &Batch::of(leaves), &mut |_, row| {
        ids.insert(row.int(0)?);
        Ok(())
    })?;
    let sql = "SELECT digest, len FROM packs WHERE id = $1";
    let packs = tx.find_each(sql, &Batch::of(&ids), |row| {
        Ok((PackDigest::from_bytes(row.id(0)?), row.count(1)?))
    })?;
    let packs = packs.into_iter().collect::<Option<_>>();
    packs.ok_or_else(|| TxError::damaged("a leaf's pack has no row"))
}

/// Returns the rows of leaves, in order; `None` for a leaf that is absent or incomplete.
pub(in crate::catalog) fn rows(
    tx: &mut dyn Tx,
    leaves: &[LeafDigest],
    grip: Grip,
) -> TxResult<Vec<Option<LeafRow>>> {
    const FIND: &str = concat!(
        "SELECT digest, span_len, data_bytes FROM leaves x WHERE x.digest = $1 AND NOT ",
        condemned_object!("leaf", "$2"),
        " AND NOT EXISTS (SELECT 1 FROM leaf_packs c WHERE c.leaf_digest = x.digest AND ",
        unsound!("c.pack_id", "$2"),
        ")"
    );
    let keys = leaves.iter().map(|leaf| [leaf.bind(), grip.generation.bind()]);
    tx.find_each(FIND, &Batch::new(keys), read)
}

/// Reads a row of `digest, span_len, data_bytes`.
pub(in crate::catalog) fn read(row: Row<'_>) -> TxResult<LeafRow> {
    Ok(LeafRow {
        digest: LeafDigest::from_bytes(row.id(0)?),
        span_len: row.count(1)?,
        data_bytes: row.count(2)?,
    })
}
