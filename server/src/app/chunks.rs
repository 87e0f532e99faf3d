//! Queries for missing chunks and leaves, and for the places of chunks.

use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};

use super::{AppError, Registry};
use crate::catalog::{ChunkPlace, LeaseId, Located};

impl Registry {
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
