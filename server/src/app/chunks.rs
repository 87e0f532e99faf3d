//! Which chunks and leaves are missing, and where chunks lie.

use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};

use super::{AppError, Registry};
use crate::catalog::{ChunkPlace, LeaseId, Located};

impl Registry {
    /// Positions of the chunks that a push under `lease` has to upload.
    ///
    /// # Errors
    /// When the lease has ended or the catalog fails.
    pub async fn missing_chunks(
        &self,
        lease: LeaseId,
        chunks: Vec<ChunkDigest>,
    ) -> Result<Vec<u32>, AppError> {
        let grip = self.use_lease(lease).await?.grip;
        Ok(self.catalog.missing_chunks(chunks, grip).await?)
    }

    /// Positions of the leaves that a push under `lease` has to send; the others are complete.
    ///
    /// # Errors
    /// When the lease has ended or the catalog fails.
    pub async fn missing_leaves(
        &self,
        lease: LeaseId,
        leaves: Vec<LeafDigest>,
    ) -> Result<Vec<u32>, AppError> {
        let grip = self.use_lease(lease).await?.grip;
        let rows = self.catalog.leaves(leaves, grip).await?;
        Ok((0..).zip(rows).filter(|(_, row)| row.is_none()).map(|(at, _)| at).collect())
    }

    /// Where chunks lie: the packs, and a place in one of them for each chunk.
    ///
    /// # Errors
    /// [`AppError::NotFound`] naming the first chunk that is missing.
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
