//! Queries for missing chunks and leaves, and for the places of chunks.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};
use seawall_store::read::{Freshness, Place, Source, SourceError};

use super::Content;
use crate::app::AppError;
use crate::catalog::{ChunkPlace, LeaseId, Located};

impl Content {
    /// Returns the positions of the chunks that a push under `lease` has to upload.
    ///
    /// # Errors
    /// Fails if the lease has ended or the catalog fails.
    pub async fn missing_chunks(
        &self,
        lease: LeaseId,
        chunks: Vec<ChunkDigest>,
    ) -> Result<Vec<u32>, AppError> {
        let grip = self.use_lease(lease).await?.grip;
        Ok(self.catalog.missing_chunks(chunks, grip).await?)
    }

    /// Returns the positions of the leaves that a push under `lease` has to send. The others are
    /// complete.
    ///
    /// # Errors
    /// Fails if the lease has ended or the catalog fails.
    pub async fn missing_leaves(
        &self,
        lease: LeaseId,
        leaves: Vec<LeafDigest>,
    ) -> Result<Vec<u32>, AppError> {
        let grip = self.use_lease(lease).await?.grip;
        let rows = self.catalog.leaves(leaves, grip).await?;
        Ok((0..).zip(rows).filter(|(_, row)| row.is_none()).map(|(at, _)| at).collect())
    }

    /// Locates chunks: returns the packs, and for each chunk its place in one of them.
    ///
    /// # Errors
    /// [`AppError::NotFound`] with the first missing chunk.
    pub async fn locate_chunks(
        &self,
        chunks: Vec<ChunkDigest>,
    ) -> Result<(Vec<PackDigest>, Vec<ChunkPlace>), AppError> {
        match self.catalog.locate_chunks(chunks).await? {
            Located::All { packs, places } => Ok((packs, places)),
            Located::Missing(chunk) => Err(AppError::not_found(format!("chunk {chunk}"))),
        }
    }
}

impl From<AppError> for SourceError {
    fn from(error: AppError) -> Self {
        Self::new(error.code().into(), error)
    }
}

/// The registry's content as a source of chunks: their places from the catalog, their bytes from
/// the store.
#[async_trait]
impl Source for Content {
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, SourceError> {
        let (packs, places) = self.locate_chunks(chunks.to_vec()).await?;
        let place = |ChunkPlace { pack, frame }| Place {
            pack: packs[pack as usize],
            offset: frame.offset,
            stored_len: frame.stored_len,
            plain_len: frame.plain_len.get(),
            encoding: frame.encoding,
        };
        Ok(places.into_iter().map(place).collect())
    }

    async fn range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, SourceError> {
        if freshness == Freshness::AtRest {
            self.forget_cached(pack);
        }
        Ok(self.pack(pack).await?.read(range).await?)
    }
}
