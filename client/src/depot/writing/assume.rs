//! What the reader of a bundle holds already: its chunks are left out.

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::IndexDigest;
use seawall_api::index::leaf_range;

use super::Depot;
use crate::depot::map::{MappedLeaf, left_out};
use crate::registry::{Reading, RegistryError};

/// The number of leaves that are read at once.
const LEAVES_AT_ONCE: usize = 8;

impl Depot {
    /// Takes the chunks of a disk as held by whoever reads this depot: they are left out.
    ///
    /// # Errors
    /// Fails if the source does not have the index, or fails.
    pub(crate) async fn assume(
        &self,
        source: &dyn Reading,
        index: IndexDigest,
    ) -> Result<(), RegistryError> {
        let writer = self.writer("leave out chunks")?;
        let list = source.index(index).await?;
        let mut lacking = Vec::new();
        for (position, leaf) in list.leaves().iter().enumerate() {
            let range = leaf_range(list.disk_len(), position);
            if !writer.stock.lock().await.leaves.contains(leaf.digest) {
                lacking.push(source.leaf(leaf.digest, range.end - range.start));
            }
        }
        let mut leaves = stream::iter(lacking).buffered(LEAVES_AT_ONCE);
        while let Some(leaf) = leaves.try_next().await? {
            let places = leaf.chunks().map(|chunk| left_out(chunk.len.get())).collect();
            let (digest, bytes) = (leaf.digest(), leaf.encode().into());
            let leaf = MappedLeaf { digest, bytes, places };
            let learnt = writer.stock.lock().await.learn(&leaf);
            learnt.map_err(|error| self.spool_failed(error))?;
        }
        Ok(())
    }
}
