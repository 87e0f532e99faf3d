//! What the registry is asked about a leaf's chunks, and what becomes of each.

use std::collections::{HashMap, HashSet};

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;

use super::Transfer;
use crate::push::PushError;

/// What is known of one leaf's chunks; they may be asked about in one question or in several.
#[derive(Default)]
pub(super) struct Questions {
    asked: HashSet<ChunkDigest>,
    /// Of each missing chunk, whether it is for us to send and was not given out yet.
    missing: HashMap<ChunkDigest, bool>,
    is_deferred: bool,
}

impl Questions {
    /// Asks about those chunks that were not asked about yet.
    pub(super) fn ask(
        &mut self,
        transfer: &Transfer,
        chunks: impl Iterator<Item = ChunkDigest>,
    ) -> Result<(), PushError> {
        let Transfer { handle, push, lease, ledger, .. } = transfer;
        let distinct: Vec<_> = chunks.filter(|digest| self.asked.insert(*digest)).collect();
        if distinct.is_empty() {
            return Ok(());
        }
        let missing = handle.block_on(push.registry.missing_chunks(lease, &distinct))?;
        let missing: Vec<_> =
            distinct.iter().zip(missing).filter(|(_, missing)| *missing).map(|(d, _)| *d).collect();
        let claimed = ledger.claim(missing.iter().copied());
        self.is_deferred |= claimed.contains(&false);
        self.missing.extend(missing.into_iter().zip(claimed));
        Ok(())
    }

    /// Whether to send a chunk that was asked about. The first place of a chunk that we claimed is
    /// sent; what else needs no sending is counted as what it is.
    pub(super) fn is_to_send(&mut self, transfer: &Transfer, chunk: ChunkRef) -> bool {
        let reused = match self.missing.get_mut(&chunk.digest) {
            Some(fate) if *fate => {
                *fate = false;
                return true;
            }
            Some(_) => &transfer.repeated_bytes,
            None => &transfer.registry_bytes,
        };
        reused.add(chunk.len.into());
        transfer.push.progress.reused(chunk.len.into());
        false
    }

    /// Whether some chunk of the leaf is brought for another leaf.
    pub(super) fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    /// Whether the registry has every chunk that was asked about.
    pub(super) fn all_present(&self) -> bool {
        self.missing.is_empty()
    }
}
