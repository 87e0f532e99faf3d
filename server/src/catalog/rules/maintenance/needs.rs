//! The need of releases for objects.

use seawall_api::digest::IndexDigest;
use seawall_store::port::ObjectName;

use crate::catalog::tx::{Tx, TxResult, args};

/// Returns those indexes of releases that need a pack or leaf. An index needs itself; for other
/// objects the list is empty.
pub(in crate::catalog) fn indexes_needing(
    tx: &mut dyn Tx,
    object: &ObjectName,
) -> TxResult<Vec<IndexDigest>> {
    let (sql, digest) = match object {
        ObjectName::Pack(pack) => (
            "SELECT DISTINCT n.index_digest FROM packs k JOIN leaf_packs p ON p.pack_id = k.id
             JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest WHERE k.digest = $1",
            pack.as_bytes(),
        ),
        ObjectName::Leaf(leaf) => (
            "SELECT DISTINCT n.index_digest FROM index_leaves i
             JOIN release_indexes n ON n.index_digest = i.index_digest WHERE i.leaf_digest = $1",
            leaf.as_bytes(),
        ),
        ObjectName::Index(index) => return Ok(vec![*index]),
        ObjectName::Descriptor(_) | ObjectName::Release(_) | ObjectName::Name(_) => {
            return Ok(Vec::new());
        }
    };
    tx.list(sql, args![digest], |row| Ok(IndexDigest::from_bytes(row.id(0)?)))
}

/// Returns whether a release needs an object. The catalog does not know this of descriptors and
/// records: the answer is false.
pub(in crate::catalog) fn is_needed(tx: &mut dyn Tx, object: &ObjectName) -> TxResult<bool> {
    let (sql, digest) = match object {
        ObjectName::Pack(pack) => (
            "SELECT 1 FROM packs k JOIN leaf_packs p ON p.pack_id = k.id
             JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest
             WHERE k.digest = $1 LIMIT 1",
            pack.as_bytes(),
        ),
        ObjectName::Leaf(leaf) => (
            "SELECT 1 FROM index_leaves i
             JOIN release_indexes n ON n.index_digest = i.index_digest
             WHERE i.leaf_digest = $1 LIMIT 1",
            leaf.as_bytes(),
        ),
        ObjectName::Index(index) => {
            ("SELECT 1 FROM release_indexes WHERE index_digest = $1 LIMIT 1", index.as_bytes())
        }
        ObjectName::Release(release) => {
            let sql = "SELECT 1 FROM releases WHERE digest = $1 AND deleted_at_secs IS NULL";
            (sql, release.as_bytes())
        }
        ObjectName::Descriptor(_) | ObjectName::Name(_) => return Ok(false),
    };
    tx.exists(sql, args![digest])
}
