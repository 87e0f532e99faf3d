//! Leaves and indexes, stored once everything they name is present.

use bytes::Bytes;
use seawall_api::digest::{IndexDigest, LeafDigest};
use seawall_api::index::{ChunkRef, DiskIndex, Extent, Leaf, leaf_range};
use seawall_store::port::{ObjectName, Put};

use super::Content;
use super::objects::Found;
use crate::app::{AppError, check_digest};
use crate::catalog::collect::{Added, Grip};
use crate::catalog::{IndexRow, LeafAdded, LeafRow, LeaseId};

/// Missing leaves listed in an error.
const MISSING_NAMED: usize = 4;

impl Content {
    /// Stores a leaf whose chunks are all present.
    ///
    /// # Errors
    /// [`AppError::Incomplete`] if a chunk is missing. Also fails if the lease has ended, the bytes
    /// do not match the digest, or a port fails.
    pub async fn put_leaf(
        &self,
        lease: LeaseId,
        expected: LeafDigest,
        bytes: Bytes,
    ) -> Result<Put, AppError> {
        check_digest("leaf", expected, LeafDigest::of(&bytes))?;
        let leaf = Leaf::decode_any(&bytes)
            .map_err(|error| AppError::invalid("the body is not a leaf", error))?;
        let row = leaf_row(expected, &leaf);
        self.keep_under(lease, &ObjectName::Leaf(expected), &bytes, async |stored| {
            match self.catalog.keep_leaf(row, leaf.chunks().collect(), stored).await? {
                LeafAdded::Present => Ok(Added::Present),
                LeafAdded::Swept => Ok(Added::Swept),
                LeafAdded::Unfit(chunks) => Err(unfit(expected, &chunks)),
            }
        })
        .await
    }

    /// Stores an index whose leaves are all present.
    ///
    /// # Errors
    /// [`AppError::Incomplete`] if a leaf is missing. Also fails if the lease has ended, the bytes
    /// do not match the digest, or a port fails.
    pub async fn put_index(
        &self,
        lease: LeaseId,
        expected: IndexDigest,
        bytes: Bytes,
    ) -> Result<Put, AppError> {
        check_digest("index", expected, IndexDigest::of(&bytes))?;
        let index = DiskIndex::decode(&bytes)
            .map_err(|error| AppError::invalid("the body is not an index", error))?;
        self.keep_under(lease, &ObjectName::Index(expected), &bytes, async |stored| {
            let row = self.prove_leaves(&index, expected, stored.grip).await?;
            let leaves = index.leaves().iter().map(|leaf| leaf.digest).collect();
            Ok(self.catalog.keep_index(row, leaves, stored).await?)
        })
        .await
    }

    /// Returns the row of an index. Fails unless every leaf is present and its span has the length
    /// given by its position.
    async fn prove_leaves(
        &self,
        index: &DiskIndex,
        digest: IndexDigest,
        grip: Grip,
    ) -> Result<IndexRow, AppError> {
        let names: Vec<_> = index.leaves().iter().map(|leaf| leaf.digest).collect();
        let rows = self.catalog.leaves(names.clone(), grip).await?;
        let absent = names.iter().zip(&rows).filter(|(_, row)| row.is_none());
        let absent: Vec<_> =
            absent.take(MISSING_NAMED).map(|(leaf, _)| format!("leaf {leaf}")).collect();
        if !absent.is_empty() {
            let missing = absent.join(", ");
            return Err(AppError::Incomplete { object: format!("index {digest}"), missing });
        }
        index_row(digest, index, &rows).map_err(|position| {
            let span = leaf_range(index.disk_len(), position);
            let described = rows[position].map_or(0, |row| row.span_len);
            let expected = span.end - span.start;
            AppError::rule(format!(
                "leaf {position} describes {described} bytes, but the index expects {expected}"
            ))
        })
    }

    /// Returns the bytes of a leaf.
    ///
    /// # Errors
    /// [`AppError::NotFound`], or [`AppError::Damaged`] if the leaf is missing or altered at rest.
    pub async fn leaf_bytes(&self, digest: LeafDigest) -> Result<Bytes, AppError> {
        let name = ObjectName::Leaf(digest);
        let found = self.find_bytes(&name).await?;
        if matches!(found, Found::Gone) && !self.knows_leaf(digest).await? {
            return Err(AppError::not_found(format!("leaf {digest}")));
        }
        self.expect(&name, found).await
    }

    /// Returns whether the catalog has known the leaf, including a leaf that lost its chunks.
    async fn knows_leaf(&self, digest: LeafDigest) -> Result<bool, AppError> {
        Ok(self.catalog.leaves(vec![digest], Grip::ANY).await? != [None]
            || !self.catalog.packs_of(vec![digest]).await?.is_empty())
    }

    /// Returns the bytes of an index's list of leaves.
    ///
    /// # Errors
    /// [`AppError::NotFound`], or [`AppError::Damaged`] if the list is missing or altered at rest.
    pub async fn index_bytes(&self, digest: IndexDigest) -> Result<Bytes, AppError> {
        let name = ObjectName::Index(digest);
        let found = self.find_bytes(&name).await?;
        let is_gone = matches!(found, Found::Gone);
        if is_gone && self.catalog.index(digest, Grip::ANY).await?.is_none() {
            return Err(AppError::not_found(format!("index {digest}")));
        }
        self.expect(&name, found).await
    }
}

fn unfit(leaf: LeafDigest, chunks: &[ChunkRef]) -> AppError {
    let named = chunks.iter().map(|c| format!("chunk {} of {} bytes", c.digest, c.len.get()));
    let missing = named.collect::<Vec<_>>().join(", ");
    AppError::Incomplete { object: format!("leaf {leaf}"), missing }
}

/// Returns the catalog's row of a leaf.
pub(in crate::app) fn leaf_row(digest: LeafDigest, leaf: &Leaf) -> LeafRow {
    let data_bytes = leaf.extents().iter().map(data_len).sum();
    LeafRow { digest, span_len: leaf.span_len(), data_bytes }
}

/// Returns the catalog's row of an index, from the rows of its leaves.
///
/// # Errors
/// The position of the first leaf that has no row, or whose span differs from the one given by its
/// position.
pub(in crate::app) fn index_row(
    digest: IndexDigest,
    index: &DiskIndex,
    rows: &[Option<LeafRow>],
) -> Result<IndexRow, usize> {
    let mut data_bytes: u64 = 0;
    for position in 0..index.leaves().len() {
        let span = leaf_range(index.disk_len(), position);
        match rows.get(position).copied().flatten() {
            Some(row) if row.span_len == span.end - span.start => {
                data_bytes = data_bytes.saturating_add(row.data_bytes);
            }
            _ => return Err(position),
        }
    }
    let (disk_len, content) = (index.disk_len(), index.content());
    Ok(IndexRow { digest, disk_len, content, data_bytes })
}

/// Returns the data bytes of an extent.
fn data_len(extent: &Extent) -> u64 {
    match extent {
        Extent::Data(chunk) => chunk.len.into(),
        Extent::Hole(_) => 0,
    }
}
