//! Sweeps: the removal of condemned content, in the order bytes follow names.

use seawall_api::digest::LeafDigest;

use super::roots::leaves_of_each;
use super::{Counter, count_up};
use crate::catalog::model::collect::{Collectable, Sweep, Sweeping};
use crate::catalog::rules::content::leaves;
use crate::catalog::tx::{Batch, Bind, Tx, TxResult};

/// Chooses the content to sweep: candidates still condemned, except packs that a live leaf needs.
/// Deletes the rows of chosen leaves and indexes, and of leaves that need a chosen pack.
pub(in crate::catalog) fn begin(tx: &mut dyn Tx, sweep: &Sweep) -> TxResult<Sweeping> {
    count_up(tx, Counter::Sweeps)?;
    let needing = leaves_of_each(tx, &sweep.packs)?;
    let is_live = |leaf: &LeafDigest| sweep.live_leaves.contains(leaf);
    let candidates: Vec<_> =
        sweep.packs.iter().zip(needing).filter(|(_, leaves)| !leaves.iter().any(is_live)).collect();
    let sql = "UPDATE condemned_packs SET is_swept = 1
               WHERE is_swept = 0 AND pack_id = (SELECT id FROM packs WHERE digest = $1)
                 AND generation <= $2 RETURNING 1";
    let keys = candidates.iter().map(|(pack, _)| [pack.bind(), sweep.generation.bind()]);
    let taken = tx.find_each(sql, &Batch::new(keys), |_| Ok(()))?;
    let (mut packs, mut lost) = (Vec::new(), Vec::new());
    for ((pack, leaves), _) in candidates.into_iter().zip(taken).filter(|(_, took)| took.is_some())
    {
        packs.push(*pack);
        lost.extend(leaves);
    }
    let sql = "UPDATE condemned_objects SET is_swept = 1
               WHERE is_swept = 0 AND kind = $1 AND digest = $2 AND generation <= $3 RETURNING 1";
    let keys = sweep.objects.iter().map(|object| {
        let (kind, digest) = object.parts();
        [kind.bind(), digest.bind(), sweep.generation.bind()]
    });
    let taken = tx.find_each(sql, &Batch::new(keys), |_| Ok(()))?;
    let objects = sweep.objects.iter().zip(taken).filter(|(_, took)| took.is_some());
    let objects: Vec<_> = objects.map(|(object, _)| *object).collect();
    delete_rows(tx, &objects, lost)?;
    Ok(Sweeping { packs, objects })
}

/// Deletes the rows that name these objects and leaves as present.
fn delete_rows(
    tx: &mut dyn Tx,
    objects: &[Collectable],
    mut lost: Vec<LeafDigest>,
) -> TxResult<()> {
    let mut indexes = Vec::new();
    for object in objects {
        match object {
            Collectable::Leaf(leaf) => lost.push(*leaf),
            Collectable::Index(index) => indexes.push(*index),
            Collectable::Descriptor(_) | Collectable::Release(_) => {}
        }
    }
    leaves::delete_rows(tx, &lost)?;
    let batch = Batch::of(&indexes);
    // These may be left from restored releases that are gone since.
    tx.run_each("DELETE FROM release_indexes WHERE index_digest = $1", &batch)?;
    tx.run_each("DELETE FROM index_leaves WHERE index_digest = $1", &batch)?;
    tx.run_each("DELETE FROM indexes WHERE digest = $1", &batch)
}

/// Deletes the rows of swept content, whose bytes are gone.
pub(in crate::catalog) fn end(tx: &mut dyn Tx, done: &Sweeping) -> TxResult<()> {
    let sql = "SELECT k.pack_id FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE p.digest = $1 AND k.is_swept = 1";
    let swept = tx.find_each(sql, &Batch::of(&done.packs), |row| row.int(0))?;
    let swept: Vec<i64> = swept.into_iter().flatten().collect();
    for sql in [
        "DELETE FROM condemned_packs WHERE pack_id = $1",
        "DELETE FROM lost_packs WHERE pack_id = $1",
        "DELETE FROM packs WHERE id = $1",
    ] {
        tx.run_each(sql, &Batch::of(&swept))?;
    }
    let sql = "DELETE FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 1";
    let keys = done.objects.iter().map(|object| {
        let (kind, digest) = object.parts();
        [kind.bind(), digest.bind()]
    });
    tx.run_each(sql, &Batch::new(keys))?;
    // Invalidates lookups made while the bytes were being removed.
    count_up(tx, Counter::Sweeps)
}
