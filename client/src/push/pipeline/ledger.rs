//! The chunks on their way to the registry, and the leaves that wait for them.

use std::collections::HashMap;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::Leaf;

use super::Place;

/// The claimed chunks and the waiting leaves.
///
/// Claims are bounded by the packs in flight and by the batches of the leaves being scanned.
#[derive(Default)]
pub(super) struct Ledger {
    /// The leaves that wait for each claimed chunk.
    claims: HashMap<ChunkDigest, Vec<Place>>,
    leaves: HashMap<Place, Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The number of chunks that have not arrived.
    chunks: usize,
    /// `None` while the leaf is being scanned.
    leaf: Option<Leaf>,
}

impl Ledger {
    /// Lets the leaf at `at` wait for a missing chunk. Returns whether the leaf is the first to do
    /// so, and has to send the chunk.
    pub(super) fn claim(&mut self, chunk: ChunkDigest, at: Place) -> bool {
        let waiting = self.claims.entry(chunk).or_default();
        waiting.push(at);
        self.leaves.entry(at).or_default().chunks += 1;
        waiting.len() == 1
    }

    /// Takes the leaf at `at`, which will make no more claims. Returns the leaf if it waits for
    /// nothing.
    pub(super) fn complete(&mut self, at: Place, leaf: Leaf) -> Option<Leaf> {
        match self.leaves.get_mut(&at) {
            Some(waiting) if waiting.chunks > 0 => {
                waiting.leaf = Some(leaf);
                None
            }
            _ => {
                self.leaves.remove(&at);
                Some(leaf)
            }
        }
    }

    /// Forgets the leaf at `at`, which is not to be sent. Its claimed chunks still are.
    pub(super) fn abandon(&mut self, at: Place) {
        self.leaves.remove(&at);
    }

    /// Drops the claim of an arrived chunk: from now on, the registry reports the chunk as present.
    /// Returns the leaves for which it was the last one missing.
    pub(super) fn arrived(&mut self, chunk: ChunkDigest) -> impl Iterator<Item = Leaf> {
        let waiting = self.claims.remove(&chunk).unwrap_or_default();
        waiting.into_iter().filter_map(|at| {
            let leaf = self.leaves.get_mut(&at)?;
            leaf.chunks -= 1;
            if leaf.chunks > 0 || leaf.leaf.is_none() {
                return None;
            }
            self.leaves.remove(&at)?.leaf
        })
    }

    /// Returns whether no chunk is claimed and no leaf waits.
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.leaves.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_two_leaves_is_sent_for_the_first_and_awaited_by_both() {
        let [a, b] = [0, 1].map(|leaf| Place { disk: 0, leaf });
        let [x, y] = [b"x", b"y"].map(|bytes| ChunkDigest::of(bytes));
        let mut ledger = Ledger::default();
        assert!(ledger.claim(x, a), "the first leaf sends it");
        assert!(!ledger.claim(x, b), "the second does not");
        assert!(ledger.claim(y, b));
        assert_eq!(ledger.complete(b, Leaf::hole(8192)), None);
        assert_eq!(ledger.arrived(y).count(), 0, "x is still missing");
        // The first leaf is still being scanned.
        assert_eq!(ledger.arrived(x).collect::<Vec<_>>(), [Leaf::hole(8192)]);
        assert!(ledger.claim(x, b), "an arrived chunk is claimed no longer");
        ledger.abandon(b);
        assert_eq!(ledger.arrived(x).count(), 0);
        assert_eq!(ledger.complete(a, Leaf::hole(4096)), Some(Leaf::hole(4096)));
        assert!(ledger.is_empty());
    }
}
