//! Objects in flight: chunks claimed by one worker, and leaves waiting for their chunks.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use seawall_api::digest::{ChunkDigest, LeafDigest};
use seawall_api::index::Leaf;

/// A leaf that is sent once the last pack with one of its chunks has arrived.
///
/// Every batch and pack with such a chunk holds the leaf by an [`Arc`], and so does the worker that
/// scans the leaf. The holder that drops the last reference sends the leaf. An incomplete leaf, or
/// one handled by another worker, is not sent.
#[derive(Default, Debug)]
pub(super) struct PendingLeaf(OnceLock<Whole>);

#[derive(Debug)]
struct Whole {
    leaf: Leaf,
    /// True if the leaf also needs a chunk that is sent for another leaf. Such a leaf is sent at
    /// the end.
    is_deferred: bool,
}

impl PendingLeaf {
    /// Completes the leaf after its scan, so that it will be sent. Called at most once.
    pub(super) fn is_whole(&self, leaf: Leaf, is_deferred: bool) {
        let _ = self.0.set(Whole { leaf, is_deferred });
    }
}

/// The claims that keep two workers from sending the same object. Shared by all workers.
#[derive(Default)]
pub(super) struct Ledger {
    /// The claimed chunks, bounded by the packs in flight and the batches of the leaves being
    /// scanned.
    chunks: Mutex<HashSet<ChunkDigest>>,
    /// The leaves that the registry has or will have at the end of this push, one per span of disk.
    leaves: Mutex<HashSet<LeafDigest>>,
    deferred: Mutex<Vec<Leaf>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Claims a leaf. Returns whether the caller is the first, who has to handle the leaf.
    pub(super) fn claim_leaf(&self, leaf: LeafDigest) -> bool {
        lock(&self.leaves).insert(leaf)
    }

    /// Claims each chunk. Returns for each whether the caller is the first, who has to send the
    /// chunk.
    pub(super) fn claim(&self, chunks: impl Iterator<Item = ChunkDigest>) -> Vec<bool> {
        let mut claimed = lock(&self.chunks);
        chunks.map(|chunk| claimed.insert(chunk)).collect()
    }

    /// Drops the claims of arrived chunks. From now on, the registry reports them as present.
    pub(super) fn arrived(&self, chunks: &[ChunkDigest]) {
        let mut claimed = lock(&self.chunks);
        for chunk in chunks {
            claimed.remove(chunk);
        }
    }

    /// Drops references to leaves. Returns the leaves that are ready to be sent.
    pub(super) fn let_go(&self, leaves: Vec<Arc<PendingLeaf>>) -> Vec<Leaf> {
        let last = leaves.into_iter().filter_map(Arc::into_inner);
        let whole = last.filter_map(|pending| pending.0.into_inner());
        let (deferred, ready): (Vec<_>, Vec<_>) = whole.partition(|whole| whole.is_deferred);
        lock(&self.deferred).extend(deferred.into_iter().map(|whole| whole.leaf));
        ready.into_iter().map(|whole| whole.leaf).collect()
    }

    /// Takes the leaves deferred to the end.
    pub(super) fn take_deferred(&self) -> Vec<Leaf> {
        std::mem::take(&mut *lock(&self.deferred))
    }
}
