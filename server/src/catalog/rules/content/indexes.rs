//! Indexes, and the leaves they need.

use seawall_api::digest::{ContentDigest, IndexDigest, LeafDigest};
use seawall_api::units::DiskLen;
use seawall_store::port::ObjectName;

use crate::catalog::model::collect::{Added, Collectable, Grip, Stored};
use crate::catalog::model::content::IndexRow;
use crate::catalog::rules::collect::condemn::{is_condemned, revive};
use crate::catalog::rules::maintenance::damage;
use crate::catalog::tx::{Batch, Bind, Row, Tx, TxError, TxResult, args};

/// Adds an index whose list was just stored, and records its leaves.
pub(in crate::catalog) fn keep(
    tx: &mut dyn Tx,
    index: &IndexRow,
    leaves: &[LeafDigest],
    stored: Stored,
) -> TxResult<Added> {
    damage::stored(tx, &ObjectName::Index(index.digest), stored)?;
    let added = add(tx, index, stored.grip)?;
    record_leaves(tx, index.digest, leaves)?;
    Ok(added)
}

/// Adds an index. Its leaves must all be present.
pub(in crate::catalog) fn add(tx: &mut dyn Tx, index: &IndexRow, grip: Grip) -> TxResult<Added> {
    if revive(tx, Collectable::Index(index.digest), grip.sweeps)? == Added::Swept {
        return Ok(Added::Swept);
    }
    let sql = "INSERT INTO indexes (digest, disk_len, content, data_bytes)
               VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING";
    tx.run(sql, args![index.digest, index.disk_len, index.content, index.data_bytes])?;
    Ok(Added::Present)
}

/// Records the leaves of an index.
pub(in crate::catalog) fn record_leaves(
    tx: &mut dyn Tx,
    index: IndexDigest,
    leaves: &[LeafDigest],
) -> TxResult<()> {
    let sql = "INSERT INTO index_leaves (leaf_digest, index_digest) VALUES ($1, $2)
               ON CONFLICT (leaf_digest, index_digest) DO NOTHING";
    tx.run_each(sql, &Batch::new(leaves.iter().map(|leaf| [leaf.bind(), index.bind()])))
}

/// Returns an index.
pub(in crate::catalog) fn row(
    tx: &mut dyn Tx,
    digest: IndexDigest,
    grip: Grip,
) -> TxResult<Option<IndexRow>> {
    if is_condemned(tx, Collectable::Index(digest), grip)? {
        return Ok(None);
    }
    let sql = "SELECT digest, disk_len, content, data_bytes FROM indexes WHERE digest = $1";
    tx.find(sql, args![digest], read)
}

/// Reads a row of `digest, disk_len, content, data_bytes`.
pub(in crate::catalog) fn read(row: Row<'_>) -> TxResult<IndexRow> {
    Ok(IndexRow {
        digest: IndexDigest::from_bytes(row.id(0)?),
        disk_len: DiskLen::new(row.count(1)?).map_err(TxError::damaged)?,
        content: ContentDigest::from_bytes(row.id(2)?),
        data_bytes: row.count(3)?,
    })
}
