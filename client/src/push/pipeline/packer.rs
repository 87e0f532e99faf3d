//! Compresses chunks into packs and sends the packs.

use std::sync::Arc;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_store::pack::PackWriter;

use super::Transfer;
use super::queue::{Batch, Plain};
use crate::push::PushError;
use crate::push::ledger::PendingLeaf;
use crate::push::uploads::Cargo;

/// A worker's open pack.
pub(super) struct Packer<'t> {
    transfer: &'t Transfer,
    pack: PackWriter,
    /// The chunks in the open pack. `leaves` wait for the pack.
    chunks: Vec<ChunkDigest>,
    leaves: Vec<Arc<PendingLeaf>>,
    plain: Vec<u8>,
    /// The memory of a packed batch, for the next kept piece.
    pub(super) spare: Vec<u8>,
}

impl<'t> Packer<'t> {
    pub(super) fn new(transfer: &'t Transfer) -> Self {
        Self {
            transfer,
            pack: PackWriter::default(),
            chunks: Vec::new(),
            leaves: Vec::new(),
            plain: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Compresses a batch into packs.
    pub(super) fn pack(&mut self, batch: Batch) -> Result<(), PushError> {
        match batch.plain {
            Plain::Disk(disk) => {
                let image = Arc::clone(&self.transfer.disks[disk].image);
                let mut plain = std::mem::take(&mut self.plain);
                for (offset, chunk) in batch.chunks {
                    let len = usize::from(chunk.len);
                    plain.resize(plain.len().max(len), 0);
                    image.read_at(offset, &mut plain[..len])?;
                    self.push(&batch.leaf, chunk, &plain[..len])?;
                }
                self.plain = plain;
            }
            Plain::Kept(plain) => {
                for (offset, chunk) in batch.chunks {
                    let start = usize::try_from(offset).unwrap_or(usize::MAX);
                    let end = start.saturating_add(usize::from(chunk.len));
                    let bytes = plain.get(start..end).ok_or(PushError::Defect)?;
                    self.push(&batch.leaf, chunk, bytes)?;
                }
                self.spare = plain;
            }
        }
        self.leaves.push(batch.leaf);
        Ok(())
    }

    fn push(
        &mut self,
        leaf: &Arc<PendingLeaf>,
        chunk: ChunkRef,
        plain: &[u8],
    ) -> Result<(), PushError> {
        self.pack.push(chunk.digest, chunk.len, plain);
        self.chunks.push(chunk.digest);
        self.transfer.push.progress.advance(chunk.len.into());
        if self.pack.is_full() {
            self.leaves.push(Arc::clone(leaf));
            self.ship()?;
        }
        Ok(())
    }

    /// Sends the open pack, unless it is empty.
    pub(super) fn ship(&mut self) -> Result<(), PushError> {
        let leaves = std::mem::take(&mut self.leaves);
        if self.pack.is_empty() {
            // Every chunk of these leaves is in an earlier pack.
            return self.transfer.let_go(leaves);
        }
        let pack = self.pack.finish(self.transfer.uploads.spare());
        let chunks = std::mem::take(&mut self.chunks);
        self.transfer.uploads.send(Cargo { pack, chunks, leaves })
    }
}
