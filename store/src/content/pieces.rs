//! The digest of a disk from pieces hashed in any order.

use std::collections::BTreeMap;

use seawall_api::content::SubtreeValue;
use seawall_api::index::LEAF_SPAN;

use super::{GRANULE, LeafHasher, hasher_at};

/// Length of a piece in bytes; a disk's last piece may be shorter.
pub const PIECE_LEN: u64 = GRANULE;

/// Returns the value of the piece at `start`. `is_root` is true if the piece is the whole disk.
#[must_use]
pub fn piece_value(start: u64, bytes: &[u8], is_root: bool) -> SubtreeValue {
    debug_assert!(start.is_multiple_of(PIECE_LEN) && bytes.len() as u64 <= PIECE_LEN);
    let mut hasher = hasher_at(start);
    hasher.update(bytes);
    value(&hasher, is_root)
}

fn value(hasher: &blake3::Hasher, is_root: bool) -> SubtreeValue {
    use blake3::hazmat::HasherExt;
    SubtreeValue(if is_root { *hasher.finalize().as_bytes() } else { hasher.finalize_non_root() })
}

/// The values of a disk's pieces with data. Memory grows with their number.
#[derive(Debug)]
pub struct Pieces {
    disk_len: u64,
    values: BTreeMap<u64, SubtreeValue>,
}

impl Pieces {
    /// Begins with no pieces, for a disk of `disk_len` bytes.
    #[must_use]
    pub fn new(disk_len: u64) -> Self {
        Self { disk_len, values: BTreeMap::new() }
    }

    /// Adds the value of the piece at `start`.
    pub fn put(&mut self, start: u64, value: SubtreeValue) {
        self.values.insert(start, value);
    }

    /// Returns whether the disk is a single piece, whose value is computed as a root.
    #[cfg(test)]
    pub(super) fn is_one(&self) -> bool {
        self.disk_len <= PIECE_LEN
    }

    /// Returns the value of the leaf at `start`. Pieces without a value are zeros.
    #[must_use]
    pub fn leaf(&self, start: u64) -> SubtreeValue {
        let end = (start + LEAF_SPAN).min(self.disk_len);
        let is_root = self.disk_len <= LEAF_SPAN;
        let mut hasher = LeafHasher::new(start, is_root);
        let mut at = start;
        while let Some((&piece, &value)) = self.values.range(at..end).next() {
            hasher.update_zeros(piece - at);
            at = (piece + PIECE_LEN).min(end);
            hasher.update_granule(value, at - piece);
        }
        hasher.update_zeros(end - at);
        hasher.finish()
    }
}
