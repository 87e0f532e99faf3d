//! A registry as a source of chunks.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_store::read::{Place, Source, SourceError};

use crate::registry::{Registry, RegistryError};

/// The packs of a registry, for [`seawall_store::read`].
pub struct Packs(pub Arc<dyn Registry>);

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

    async fn range(&self, pack: PackDigest, range: Range<u64>) -> Result<Bytes, SourceError> {
        Ok(self.0.pack_range(pack, range).await?)
    }
}
