//! Asks about a leaf in pieces while it is scanned and its bytes are in memory.
//!
//! # Invariants
//!
//! 1. At most [`PIECE_LEN`] and one chunk are kept. A piece with missing chunks is queued for idle
//!    workers. If the queue is full, the scanning worker packs the piece itself.

use std::sync::Arc;

use seawall_api::index::{ChunkRef, Leaf};

use super::Transfer;
use super::packer::Packer;
use super::question::Questions;
use super::queue::{Batch, Plain};
use crate::push::PushError;
use crate::push::ledger::PendingLeaf;

/// The plain bytes covered by one request: some hundred chunks.
const PIECE_LEN: usize = 4 << 20;

/// The pieces of a leaf during its scan.
pub(super) struct Early<'t> {
    transfer: &'t Transfer,
    questions: Questions,
    leaf: Arc<PendingLeaf>,
    plain: Vec<u8>,
    chunks: Vec<ChunkRef>,
    sent_bytes: u64,
}

impl<'t> Early<'t> {
    pub(super) fn new(transfer: &'t Transfer) -> Self {
        Self {
            transfer,
            questions: Questions::default(),
            leaf: Arc::default(),
            plain: Vec::new(),
            chunks: Vec::new(),
            sent_bytes: 0,
        }
    }

    /// Keeps the next chunk of the leaf. Once the piece is full, asks about it and queues missing
    /// chunks.
    pub(super) fn take(
        &mut self,
        packer: &mut Packer<'_>,
        chunk: ChunkRef,
        bytes: &[u8],
    ) -> Result<(), PushError> {
        if self.plain.capacity() == 0 {
            self.plain = std::mem::take(&mut packer.spare);
            self.plain.clear();
            self.plain.reserve(PIECE_LEN + bytes.len());
        }
        self.plain.extend_from_slice(bytes);
        self.chunks.push(chunk);
        if self.plain.len() < PIECE_LEN { Ok(()) } else { self.end_piece(packer) }
    }

    /// Ends the leaf after its last chunk. Returns whether the leaf is mostly new to the registry.
    /// `is_ours` decides whether this worker sends the leaf, given whether the registry has all its
    /// chunks.
    pub(super) fn finish(
        mut self,
        packer: &mut Packer<'_>,
        leaf: Leaf,
        is_ours: impl FnOnce(bool) -> Result<bool, PushError>,
    ) -> Result<bool, PushError> {
        self.end_piece(packer)?;
        let data_bytes: u64 = leaf.chunks().map(|chunk| u64::from(chunk.len)).sum();
        if is_ours(self.questions.all_present())? {
            self.leaf.is_whole(leaf, self.questions.is_deferred());
        }
        self.transfer.let_go(vec![self.leaf])?;
        Ok(self.sent_bytes * 2 > data_bytes)
    }

    fn end_piece(&mut self, packer: &mut Packer<'_>) -> Result<(), PushError> {
        let transfer = self.transfer;
        self.questions.ask(transfer, self.chunks.iter().map(|chunk| chunk.digest))?;
        let mut offset = 0;
        let mut wanted = Vec::new();
        for chunk in self.chunks.drain(..) {
            if self.questions.is_to_send(transfer, chunk) {
                self.sent_bytes += u64::from(chunk.len);
                wanted.push((offset, chunk));
            }
            offset += u64::from(chunk.len);
        }
        if wanted.is_empty() {
            self.plain.clear();
            return Ok(());
        }
        let plain = Plain::Kept(std::mem::take(&mut self.plain));
        let batch = Batch { leaf: Arc::clone(&self.leaf), plain, chunks: wanted };
        match transfer.queue.offer(batch) {
            Some(refused) => packer.pack(refused),
            None => Ok(()),
        }
    }
}
