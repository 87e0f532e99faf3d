//! A registry as a source of chunks.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_store::read::{Freshness, Place, Source, SourceError};

use crate::registry::{Reading, RegistryError};
use crate::resolve::Resolved;

/// The packs of a registry, for [`seawall_store::read`].
pub struct Packs(Arc<dyn Reading>);

impl Packs {
    /// Returns the packs that a lease protects from collection.
    #[must_use]
    pub fn of(resolved: &Resolved) -> Self {
        Self(Arc::clone(resolved.registry()))
    }

    /// Returns the packs of a registry that may collect them at any time. For a repair, whose
    /// sources may lack any chunk.
    pub(crate) fn unprotected(registry: Arc<dyn Reading>) -> Self {
        Self(registry)
    }
}

impl From<RegistryError> for SourceError {
    fn from(error: RegistryError) -> Self {
        Self::new(error.kind(), error)
    }
}

#[async_trait]
impl Source for Packs {
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, SourceError> {
        Ok(self.0.locate_chunks(chunks).await?)
    }

    async fn range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, SourceError> {
        Ok(self.0.pack_range(pack, range, freshness).await?)
    }
}
