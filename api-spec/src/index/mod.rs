//! The index of a disk: its extents in order, as a list of leaves (docs/FORMAT.md, section 4).
//!
//! A *leaf* lists the extents of one span of [`LEAF_SPAN`] bytes of disk. The *list* names the
//! leaves in order and binds them to the disk's content digest. Two releases share the leaves of
//! unchanged spans.
//!
//! # Invariants
//!
//! 1. A value of these types is in canonical form: the same disk gives the same bytes.
//! 2. Extents cover their span without gaps or overlaps. Two holes never touch.
//! 3. The leaves' subtree values merge into the content digest. Decoding does not prove that a
//!    leaf's chunks hash to its subtree value. The reader of the bytes does (`verify`).

use crate::content::{SubtreeValue, content_digest};
use crate::digest::{ChunkDigest, ContentDigest, DIGEST_LEN, IndexDigest, LeafDigest};
use crate::units::{BLOCK_LEN, ChunkLen, DiskLen, OutOfLimits, SECTOR_LEN};

mod leaf;
mod list;

pub use leaf::{LEAF_LEN_MAX, Leaf};
pub use list::{DiskIndex, INDEX_LEN_MAX, LeafRef};

/// The length of disk per leaf, in bytes. Only a disk's last leaf may cover less.
pub const LEAF_SPAN: u64 = 256 << 20;
/// The format epoch that this crate writes.
pub const FORMAT_EPOCH: u32 = 1;

/// A reference to a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkRef {
    /// The chunk's name.
    pub digest: ChunkDigest,
    /// The chunk's length, in plain bytes.
    pub len: ChunkLen,
}

/// A run of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extent {
    /// A run with the bytes of one chunk.
    Data(ChunkRef),
    /// A run of zeros, with its length in bytes. Zeros are never stored or sent.
    Hole(u32),
}

impl Extent {
    /// Returns the length of the extent on disk, in bytes.
    #[must_use]
    pub fn disk_len(&self) -> u64 {
        match self {
            Self::Data(chunk) => chunk.len.into(),
            Self::Hole(len) => u64::from(*len),
        }
    }
}

/// The reason bytes are not a leaf or a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIndex {
    /// The magic number belongs to another format.
    #[error("this is not {0} of a disk index: its magic number differs")]
    Magic(&'static str),
    /// The bytes were written by a later version of Seawall.
    #[error("format epoch {0} is unknown to this version (it reads epoch {FORMAT_EPOCH})")]
    Epoch(u32),
    /// The bytes are too few, too many, or over the limit.
    #[error("{0} has {1} bytes, which is not a valid length")]
    Length(&'static str, usize),
    /// A length is outside its limits.
    #[error(transparent)]
    Limits(#[from] OutOfLimits),
    /// An extent breaks the canonical form.
    #[error("extent {position}: {why}")]
    Extent {
        /// The position of the extent, from 0.
        position: usize,
        /// The broken rule.
        why: &'static str,
    },
    /// The extents do not add up to the length of the span.
    #[error("the extents cover {actual} bytes of a span of {expected}")]
    Coverage {
        /// The span's length, in bytes.
        expected: u64,
        /// The total length of the extents, in bytes.
        actual: u64,
    },
    /// The grid's offset is not a multiple of the sector length below the block length.
    #[error("a grid offset is a multiple of {SECTOR_LEN} below {BLOCK_LEN}, not {0}")]
    GridOffset(u32),
    /// The leaves' values merge into another digest.
    #[error("the leaves belong to a disk with digest {actual}, but the list says {expected}")]
    Content {
        /// The digest in the list.
        expected: ContentDigest,
        /// The digest of the merged leaves.
        actual: ContentDigest,
    },
}

/// Returns the number of leaves of a disk of `len`.
#[must_use]
pub fn leaf_count(len: DiskLen) -> usize {
    // At most 64 TiB / 256 MiB = 2^18.
    usize::try_from(len.get().div_ceil(LEAF_SPAN)).unwrap_or(usize::MAX)
}

/// Returns the byte range of disk that leaf `position` covers.
#[must_use]
pub fn leaf_range(len: DiskLen, position: usize) -> std::ops::Range<u64> {
    let start = position as u64 * LEAF_SPAN;
    start..len.get().min(start + LEAF_SPAN)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let word = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let word = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn digest_at(bytes: &[u8], offset: usize) -> Option<[u8; DIGEST_LEN]> {
    bytes.get(offset..offset.checked_add(DIGEST_LEN)?)?.try_into().ok()
}

#[cfg(test)]
mod tests;
