//! The index of a disk: its extents in order, as a list of leaves (docs/FORMAT.md, section 4).
//!
//! A *leaf* lists the extents of one span of [`LEAF_SPAN`] bytes of disk. The *list* names the
//! leaves in order and binds them to the disk's content digest. Two releases share the leaves of
//! spans that did not change.
//!
//! # Invariants
//!
//! 1. A value of these types is in canonical form: the same disk gives the same bytes.
//! 2. Extents cover their span with no gap and no overlap; two holes never touch.
//! 3. The leaves' subtree values merge to the content digest. That a leaf's chunks hash to its
//!    subtree value is proven by whoever reads the bytes (`verify`), not by decoding.

use crate::content::{SubtreeValue, content_digest};
use crate::digest::{ChunkDigest, ContentDigest, DIGEST_LEN, IndexDigest, LeafDigest};
use crate::units::{BLOCK_LEN, ChunkLen, DiskLen, OutOfLimits, SECTOR_LEN};

mod leaf;
mod list;

pub use leaf::{LEAF_LEN_MAX, Leaf};
pub use list::{DiskIndex, INDEX_LEN_MAX, LeafRef};

/// The bytes of disk one leaf describes; only a disk's last leaf describes fewer.
pub const LEAF_SPAN: u64 = 256 << 20;
/// The format epoch this crate writes.
pub const FORMAT_EPOCH: u32 = 1;

/// A descriptor of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkRef {
    /// The chunk's name.
    pub digest: ChunkDigest,
    /// Its length in plain bytes.
    pub len: ChunkLen,
}

/// A run of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extent {
    /// The bytes of one chunk.
    Data(ChunkRef),
    /// That many zeros; never stored or sent.
    Hole(u32),
}

impl Extent {
    /// The bytes of disk it covers.
    #[must_use]
    pub fn disk_len(&self) -> u64 {
        match self {
            Self::Data(chunk) => chunk.len.into(),
            Self::Hole(len) => u64::from(*len),
        }
    }
}

/// Why bytes are not a leaf or a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIndex {
    /// The magic number is another's.
    #[error("this is not {0} of a disk index: its magic number differs")]
    Magic(&'static str),
    /// A later version of Seawall wrote it.
    #[error("format epoch {0} is unknown to this version (it reads epoch {FORMAT_EPOCH})")]
    Epoch(u32),
    /// The bytes end early, late, or are more than the limit.
    #[error("{0} has {1} bytes, which cannot be right")]
    Length(&'static str, usize),
    /// A length outside its limits.
    #[error(transparent)]
    Limits(#[from] OutOfLimits),
    /// Extents that break the canonical form.
    #[error("extent {position}: {why}")]
    Extent {
        /// Which extent, from 0.
        position: usize,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The extents cover another length than their span has.
    #[error("the extents cover {actual} bytes of a span of {expected}")]
    Coverage {
        /// The span's length in bytes.
        expected: u64,
        /// What the extents add up to.
        actual: u64,
    },
    /// The grid's offset is no multiple of the sector below the block length.
    #[error("a grid offset is a multiple of {SECTOR_LEN} below {BLOCK_LEN}, not {0}")]
    GridOffset(u32),
    /// The leaves' values merge to another digest.
    #[error("the leaves belong to a disk with digest {actual}, the list says {expected}")]
    Content {
        /// What the list says.
        expected: ContentDigest,
        /// What its leaves merge to.
        actual: ContentDigest,
    },
}

/// How many leaves a disk of `len` has.
#[must_use]
pub fn leaf_count(len: DiskLen) -> usize {
    // At most 64 TiB / 256 MiB = 2^18.
    usize::try_from(len.get().div_ceil(LEAF_SPAN)).unwrap_or(usize::MAX)
}

/// The bytes of disk that leaf `position` describes.
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
