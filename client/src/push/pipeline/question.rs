//! Asks the registry about a leaf's chunks, and decides the fate of each chunk.

use std::collections::{HashMap, HashSet};

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;

use super::Transfer;
use crate::push::PushError;

/// The state of one leaf's chunks, which may be asked about in one request or in several.
#[derive(Default)]
pub(super) struct Questions {
    asked: HashSet<ChunkDigest>,
    /// The missing chunks. True for a chunk that this worker still has to send.
    missing: HashMap<ChunkDigest, bool>,
    is_deferred: bool,
}

impl Questions {
    /// Asks about the chunks that were not asked about before.
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

    /// Returns whether to send a chunk that was asked about. A chunk claimed by this worker is sent
    /// at its first place. Other chunks are counted as reused.
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

    /// Returns whether a chunk of the leaf is sent for another leaf.
    pub(super) fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    /// Returns whether the registry has every requested chunk.
    pub(super) fn all_present(&self) -> bool {
        self.missing.is_empty()
    }
}
