//! Proofs that content listed in the catalog is still readable.
//!
//! The catalog records stored objects, but a person or a failing disk may have removed them since.
//! A release must not become visible with content missing, and a push must send lost content again.
//! Therefore an index is proven before it is relied on: its list and its leaves are read and
//! hashed, and its packs are checked for their full length. The bytes inside packs are not read,
//! because that would cost as much as pulling the disk.

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest};
use seawall_api::problem::Code;
use seawall_store::port::ObjectName;

use super::Content;
use crate::app::AppError;
use crate::catalog::collect::Grip;

/// Objects read concurrently.
const LOOKS_AT_ONCE: usize = 16;
/// Leaves per catalog query.
const LEAVES_ASKED: usize = 1024;

impl Content {
    /// Returns whether everything needed to pull an index is present. Missing objects are marked as
    /// lost, so that later queries report them as missing.
    ///
    /// # Errors
    /// Fails if a port fails.
    pub async fn is_whole(&self, index: IndexDigest) -> Result<bool, AppError> {
        if self.catalog.index(index, Grip::NEWEST).await?.is_none() {
            return Ok(false);
        }
        match self.prove_index(index, Grip::NEWEST).await {
            Ok(()) => Ok(true),
            Err(error) => match error.code() {
                Code::Incomplete | Code::Damaged | Code::NotFound => {
                    tracing::warn!(%index, %error, "an index is incomplete");
                    Ok(false)
                }
                _ => Err(error),
            },
        }
    }

    /// Proves that everything needed to pull an index is present.
    ///
    /// # Errors
    /// The first missing or damaged object, or the error of a port.
    pub(in crate::app) async fn prove_index(
        &self,
        index: IndexDigest,
        grip: Grip,
    ) -> Result<(), AppError> {
        let list = self.read(index).await?;
        let leaves: Vec<_> = list.leaves().iter().map(|leaf| leaf.digest).collect();
        let incomplete = |missing| {
            let object = format!("index {index}");
            AppError::Incomplete { object, missing }
        };
        for leaves in leaves.chunks(LEAVES_ASKED) {
            let rows = self.catalog.leaves(leaves.to_vec(), grip).await?;
            if let Some((leaf, _)) = leaves.iter().zip(rows).find(|(_, row)| row.is_none()) {
                return Err(incomplete(format!("leaf {leaf}")));
            }
            let proofs = stream::iter(leaves.iter().map(|leaf| self.prove_leaf(*leaf)));
            proofs.buffer_unordered(LOOKS_AT_ONCE).try_collect::<()>().await?;
            let packs = self.catalog.packs_of(leaves.to_vec()).await?;
            let proofs = stream::iter(packs.into_iter().map(|pack| self.prove_pack_len(pack)));
            proofs.buffer_unordered(LOOKS_AT_ONCE).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn prove_leaf(&self, leaf: LeafDigest) -> Result<(), AppError> {
        let read = self.read(leaf).await;
        if matches!(read, Err(AppError::Damaged { .. })) {
            self.catalog.mark_leaf_lost(leaf).await?;
        }
        read.map(|_| ())
    }

    async fn prove_pack_len(&self, (pack, len): (PackDigest, u64)) -> Result<(), AppError> {
        let name = ObjectName::Pack(pack);
        if self.store.len(&name).await? == Some(len) {
            return Ok(());
        }
        self.mark_pack_lost(pack).await?;
        Err(AppError::Damaged { object: name.path() })
    }
}
