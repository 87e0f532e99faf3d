//! Compare: the leaves and chunks of a disk that the target lacks.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::LeafDigest;
use seawall_api::index::{ChunkRef, DiskIndex, Leaf, leaf_range};
use seawall_api::v1::Lease;

use super::CopyError;
use crate::registry::{Reading, Writing};

/// The number of leaves that are fetched, asked about and stored together: 4 GiB of disk, whose
/// chunks fit one question as a rule.
pub(super) const LEAVES_PER_BATCH: usize = 16;
/// The number of leaves fetched concurrently.
const LEAVES_AT_ONCE: usize = 8;

/// A leaf of a disk, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NamedLeaf {
    pub(super) digest: LeafDigest,
    pub(super) span_len: u64,
}

/// The leaves of a disk, each once, that the target holds or lacks.
pub(super) struct Compared {
    pub(super) lacking: Vec<NamedLeaf>,
    /// The length of disk in the leaves that need no copy, repeats included, in bytes.
    pub(super) held_bytes: u64,
}

/// Asks the target about the leaves of a disk with one question.
pub(super) async fn leaves(
    to: &dyn Writing,
    lease: &Lease,
    index: &DiskIndex,
) -> Result<Compared, CopyError> {
    let mut seen = HashSet::new();
    let mut leaves = Vec::new();
    for (position, leaf) in index.leaves().iter().enumerate() {
        let span = leaf_range(index.disk_len(), position);
        if seen.insert(leaf.digest) {
            leaves.push(NamedLeaf { digest: leaf.digest, span_len: span.end - span.start });
        }
    }
    let names: Vec<_> = leaves.iter().map(|leaf| leaf.digest).collect();
    let missing = to.missing_leaves(lease, &names).await?;
    let mut missing = missing.into_iter();
    leaves.retain(|_| missing.next().unwrap_or(true));
    let lacking_bytes: u64 = leaves.iter().map(|leaf| leaf.span_len).sum();
    let held_bytes = index.disk_len().get().saturating_sub(lacking_bytes);
    Ok(Compared { lacking: leaves, held_bytes })
}

/// Fetches leaves from the source.
pub(super) async fn fetch(
    from: &Arc<dyn Reading>,
    leaves: &[NamedLeaf],
) -> Result<Vec<Leaf>, CopyError> {
    let reads: Vec<_> = leaves.iter().map(|leaf| from.leaf(leaf.digest, leaf.span_len)).collect();
    Ok(stream::iter(reads).buffered(LEAVES_AT_ONCE).try_collect().await?)
}

/// Returns the chunks of some leaves that the target lacks, each once, in disk order.
pub(super) async fn chunks(
    to: &dyn Writing,
    lease: &Lease,
    leaves: &[Leaf],
) -> Result<Vec<ChunkRef>, CopyError> {
    let mut seen = HashSet::new();
    let mut chunks: Vec<ChunkRef> =
        leaves.iter().flat_map(Leaf::chunks).filter(|chunk| seen.insert(chunk.digest)).collect();
    if chunks.is_empty() {
        return Ok(chunks);
    }
    let names: Vec<_> = chunks.iter().map(|chunk| chunk.digest).collect();
    let missing = to.missing_chunks(lease, &names).await?;
    let mut missing = missing.into_iter();
    chunks.retain(|_| missing.next().unwrap_or(true));
    Ok(chunks)
}
