//! The subtree values of leaves, from which a disk's content digest is computed.
//!
//! BLAKE3 mixes the position of each KiB into its value, so zeros hash differently at every offset.
//! Hashing a hole would cost as much as hashing data. The values of aligned runs of zeros are
//! therefore looked up in a committed table (docs/adr/0002).
//!
//! # Invariants
//!
//! 1. Values are those of plain BLAKE3: the table only saves time (`the_table_is_true`). The one
//!    exception is a whole leaf of zeros past the table, at [`LEAVES_END`] or later. No table entry
//!    exists for its offset, so it has the value of the leaf of zeros at offset 0.
//! 2. A value depends only on the leaf's bytes and its offset, not on the way they are fed.

mod pieces;
mod zeros;

use blake3::Hasher;
use blake3::hazmat::HasherExt;
use seawall_api::content::{SubtreeValue, merge};
use seawall_api::index::LEAF_SPAN;

use crate::scan::is_zero;

pub use pieces::{PIECE_LEN, Pieces, piece_value};
pub use zeros::{GRANULE, LEAVES_END};

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The hasher of one leaf of a disk, fed in order with runs of data and zeros.
pub struct LeafHasher {
    offset: u64,
    is_root: bool,
    granule: Hasher,
    /// Values of the leaf's granules before `offset`.
    values: Vec<SubtreeValue>,
    /// Length in bytes of the zeros at the beginning of a leaf, if the table of zeros does not
    /// cover the leaf. They are hashed once data follows: a leaf of zeros is never hashed.
    pending: u64,
}

impl LeafHasher {
    /// Begins the leaf at `start`, a multiple of [`LEAF_SPAN`].
    ///
    /// `is_root` is true if the leaf is its disk's only one, so that its value is the disk's
    /// digest.
    #[must_use]
    pub fn new(start: u64, is_root: bool) -> Self {
        debug_assert!(start.is_multiple_of(LEAF_SPAN));
        Self { offset: start, is_root, granule: hasher_at(start), values: Vec::new(), pending: 0 }
    }

    /// Takes the next bytes of the leaf.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if self.may_be_zeros() && is_zero(bytes) {
            self.pending += bytes.len() as u64;
            return;
        }
        self.hash_pending();
        while !bytes.is_empty() {
            self.end_full_granule();
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.granule.update(now);
            self.offset += now.len() as u64;
            bytes = later;
        }
    }

    /// Takes the next `len` bytes of the leaf, all zero.
    pub fn update_zeros(&mut self, len: u64) {
        if self.may_be_zeros() {
            self.pending += len;
        } else {
            self.hash_zeros(len);
        }
    }

    /// Returns whether the leaf lies past the table and had nothing but zeros so far.
    fn may_be_zeros(&self) -> bool {
        self.offset >= LEAVES_END
            && self.offset.is_multiple_of(LEAF_SPAN)
            && self.values.is_empty()
            && self.granule.count() == 0
    }

    fn hash_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.hash_zeros(pending);
    }

    fn hash_zeros(&mut self, mut len: u64) {
        while len > 0 {
            self.end_full_granule();
            // The first granule of an only leaf may be the whole disk. The value of a root differs
            // from that of the subtree, which the table has.
            let may_be_root = self.is_root && self.offset == 0;
            let known = zeros::known(self.offset).filter(|known| known.len <= len && !may_be_root);
            let step = if let Some(known) = known {
                self.values.push(known.value);
                self.granule = hasher_at(self.offset + known.len);
                known.len
            } else {
                let step = len.min(self.room()).min(ZEROS.len() as u64);
                self.granule.update(&ZEROS[..usize::try_from(step).unwrap_or(0)]);
                step
            };
            self.offset += step;
            len -= step;
        }
    }

    /// Takes the value of the next granule, of `len` bytes. Only the disk's last granule may be
    /// shorter than [`GRANULE`].
    ///
    /// The bytes so far must end at a granule.
    fn update_granule(&mut self, value: SubtreeValue, len: u64) {
        self.hash_pending();
        self.end_full_granule();
        debug_assert!(self.granule.count() == 0 && self.offset.is_multiple_of(GRANULE));
        self.values.push(value);
        self.offset += len;
        // After a partial granule, at the disk's end, nothing follows.
        let is_full = self.offset.is_multiple_of(GRANULE);
        self.granule = if is_full { hasher_at(self.offset) } else { Hasher::new() };
    }

    /// Returns the leaf's value, or the disk's digest if the leaf is the only one.
    #[must_use]
    pub fn finish(mut self) -> SubtreeValue {
        if self.pending == LEAF_SPAN
            && let Some(value) = zeros::known_leaf(0)
        {
            return value;
        }
        self.hash_pending();
        if self.values.is_empty() && self.is_root {
            return SubtreeValue(*self.granule.finalize().as_bytes());
        }
        if self.granule.count() > 0 {
            self.values.push(SubtreeValue(self.granule.finalize_non_root()));
        }
        merge(&self.values, self.is_root)
    }

    /// Returns the number of bytes left in the granule at `offset`.
    fn room(&self) -> u64 {
        GRANULE - self.offset % GRANULE
    }

    /// Ends a full granule, when more bytes follow. The last granule is left open, as it may have
    /// to be the root.
    fn end_full_granule(&mut self) {
        if self.granule.count() > 0 && self.offset.is_multiple_of(GRANULE) {
            self.values.push(SubtreeValue(self.granule.finalize_non_root()));
            self.granule = hasher_at(self.offset);
        }
    }
}

fn hasher_at(offset: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset);
    hasher
}

#[cfg(test)]
mod tests;
