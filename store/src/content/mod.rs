//! The subtree values that make up a disk's content digest, computed leaf by leaf.
//!
//! BLAKE3 mixes each kilobyte's position into its value, so zeros hash differently at every
//! offset and a hole would cost what data costs. The values of aligned runs of zeros are constants,
//! and a committed table holds them (docs/adr/0002): a hole costs a look-up.
//!
//! # Invariants
//!
//! 1. Values are those of plain BLAKE3: the table only saves time (`the_table_is_true`). The one
//!    exception: a whole leaf of zeros past the table, at [`LEAVES_END`], has the value of the leaf
//!    of zeros at offset 0, as no look-up has its own.
//! 2. A value follows from the leaf's bytes and its offset alone, however they are fed.

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

/// Hashes one leaf of a disk, fed in order with runs of data and of zeros.
pub struct LeafHasher {
    offset: u64,
    is_root: bool,
    granule: Hasher,
    /// Values of the granules before `offset`.
    values: Vec<SubtreeValue>,
    /// Zeros that the leaf begins with, not hashed yet: past the table, all of it may be zeros.
    pending: u64,
}

impl LeafHasher {
    /// Begins a leaf that starts at `start`, a multiple of [`LEAF_SPAN`].
    ///
    /// `is_root` says that it is its disk's only leaf, so that its value is the disk's digest.
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

    /// Whether the leaf lies past the table and had nothing but zeros so far.
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
            // The first granule of an only leaf may be the whole disk, and a root has another
            // value than the subtree that the table knows.
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

    /// Takes the value of the next granule, of `len` bytes: less than [`GRANULE`] only at the end.
    ///
    /// What came before ends at a granule.
    fn update_granule(&mut self, value: SubtreeValue, len: u64) {
        self.hash_pending();
        self.end_full_granule();
        debug_assert!(self.granule.count() == 0 && self.offset.is_multiple_of(GRANULE));
        self.values.push(value);
        self.offset += len;
        // At the disk's end nothing follows.
        let is_full = self.offset.is_multiple_of(GRANULE);
        self.granule = if is_full { hasher_at(self.offset) } else { Hasher::new() };
    }

    /// The leaf's value, or the digest of the disk whose only leaf it is.
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

    /// Bytes left in the granule that `offset` lies in.
    fn room(&self) -> u64 {
        GRANULE - self.offset % GRANULE
    }

    /// A granule is ended only when more follows: the last one may have to be the root.
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
