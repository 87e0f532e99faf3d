//! Proofs that what the catalog says is there can still be read.
//!
//! The catalog knows what was kept; a person or a disk may have taken it away since. A release must
//! not become visible over a hole, and a push must send again what is gone. So whoever relies on an
//! index looks first: its list and leaves are read and hashed, its packs are there in full length.
//! Not here: the bytes inside of packs, which would be as much work as to pull the disk.

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest};
use seawall_api::problem::Code;
use seawall_store::port::ObjectName;

use super::{AppError, Registry};
use crate::catalog::collect::Grip;

/// How many objects are looked at at once.
const LOOKS_AT_ONCE: usize = 16;
/// How many leaves the catalog is asked about at once.
const LEAVES_ASKED: usize = 1024;

impl Registry {
    /// Whether everything that a pull of an index reads is there. What is found to be gone is
    /// forgotten, so that the next question about it is answered with *missing*.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn is_whole(&self, index: IndexDigest) -> Result<bool, AppError> {
        if self.catalog.index(index, Grip::NEWEST).await?.is_none() {
            return Ok(false);
        }
        match self.prove_index(index, Grip::NEWEST).await {
            Ok(()) => Ok(true),
            Err(error) => match error.code() {
                Code::Incomplete | Code::Damaged | Code::NotFound => {
                    tracing::warn!(%index, %error, "an index is not whole");
                    Ok(false)
                }
                _ => Err(error),
            },
        }
    }

    /// Proves that everything that a pull of an index reads is there.
    ///
    /// # Errors
    /// What is missing or damaged first; when a port fails.
    pub(super) async fn prove_index(&self, index: IndexDigest, grip: Grip) -> Result<(), AppError> {
        let list = self.read_index(index).await?;
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
        let read = self.read_leaf(leaf).await;
        if matches!(read, Err(AppError::Damaged { .. })) {
            self.catalog.lose_leaf(leaf).await?;
        }
        read.map(|_| ())
    }

    async fn prove_pack_len(&self, (pack, len): (PackDigest, u64)) -> Result<(), AppError> {
        let name = ObjectName::Pack(pack);
        if self.store.len(&name).await? == Some(len) {
            return Ok(());
        }
        self.lose_pack(pack).await?;
        Err(AppError::Damaged { object: name.path() })
    }
}
