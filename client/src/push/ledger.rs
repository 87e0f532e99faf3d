//! What is on its way: chunks claimed by one worker, leaves that wait for their chunks.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use seawall_api::digest::{ChunkDigest, LeafDigest};
use seawall_api::index::Leaf;

/// A leaf that is sent once the last pack with one of its chunks has arrived.
///
/// Every batch and pack with such a chunk holds the leaf by an [`Arc`], as does who scans it;
/// whoever lets go of the last one sends it. A leaf that was never whole, or is seen to by
/// another, is not sent.
#[derive(Default, Debug)]
pub(super) struct PendingLeaf(OnceLock<Whole>);

#[derive(Debug)]
struct Whole {
    leaf: Leaf,
    /// It also needs a chunk that some other leaf brings, so it is sent at the end.
    is_deferred: bool,
}

impl PendingLeaf {
    /// The scan has ended; the leaf is to be sent. Is called once.
    pub(super) fn is_whole(&self, leaf: Leaf, is_deferred: bool) {
        let _ = self.0.set(Whole { leaf, is_deferred });
    }
}

/// Keeps two workers from sending one thing twice. Shared by all of them.
#[derive(Default)]
pub(super) struct Ledger {
    /// Bounded by the packs in flight and the batches of the leaves being scanned.
    chunks: Mutex<HashSet<ChunkDigest>>,
    /// Leaves that the registry has, or will have when this push ends; one per span of disk.
    leaves: Mutex<HashSet<LeafDigest>>,
    deferred: Mutex<Vec<Leaf>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Whether the caller is the first to claim the leaf, and so has to see to it.
    pub(super) fn claim_leaf(&self, leaf: LeafDigest) -> bool {
        lock(&self.leaves).insert(leaf)
    }

    /// Claims each chunk; for each in turn, whether the caller is the first and has to send it.
    pub(super) fn claim(&self, chunks: impl Iterator<Item = ChunkDigest>) -> Vec<bool> {
        let mut claimed = lock(&self.chunks);
        chunks.map(|chunk| claimed.insert(chunk)).collect()
    }

    /// The chunks have arrived: from now on the registry itself answers for them.
    pub(super) fn arrived(&self, chunks: &[ChunkDigest]) {
        let mut claimed = lock(&self.chunks);
        for chunk in chunks {
            claimed.remove(chunk);
        }
    }

    /// Lets go of leaves; those that waited for nothing else are given back, to be sent now.
    pub(super) fn let_go(&self, leaves: Vec<Arc<PendingLeaf>>) -> Vec<Leaf> {
        let last = leaves.into_iter().filter_map(Arc::into_inner);
        let whole = last.filter_map(|pending| pending.0.into_inner());
        let (deferred, ready): (Vec<_>, Vec<_>) = whole.partition(|whole| whole.is_deferred);
        lock(&self.deferred).extend(deferred.into_iter().map(|whole| whole.leaf));
        ready.into_iter().map(|whole| whole.leaf).collect()
    }

    /// The leaves that wait for the end.
    pub(super) fn take_deferred(&self) -> Vec<Leaf> {
        std::mem::take(&mut *lock(&self.deferred))
    }
}
