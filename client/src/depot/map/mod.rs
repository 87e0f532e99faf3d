//! Maps: the leaves of a disk index with the place of every chunk (docs/FORMAT.md).
//!
//! A registry answers where chunks lie. A depot has nobody to ask, so its mirror writes the
//! answers down, for one index at a time and in parts of up to 64 leaves: one request answers for
//! 16 GiB of disk.
//!
//! # Invariants
//!
//! 1. A decoded part is complete: the digest at its end matches, and every data extent of its
//!    leaves has a place.
//! 2. Nothing in a part is trusted. A place that is wrong costs a failed read: chunks are hashed.

mod decode;
mod encode;

use bytes::Bytes;
use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest};
use seawall_store::read::Place;

pub use decode::InvalidMap;

/// The maximum length of a part in bytes: the longest list, and leaves with their places.
pub const MAP_PART_LEN_MAX: u64 = 32 << 20;
/// The maximum number of leaves in a part.
pub const LEAVES_PER_PART_MAX: usize = 64;
/// The length of leaves and places, in bytes, past which a writer begins another part.
pub const PART_LEN_TARGET: usize = 8 << 20;

/// A left-out chunk in the table of places: the pack, and the frame.
const NO_PACK: u32 = u32::MAX;
const NO_FRAME: u32 = (LEFT_OUT as u32) << 24;

const MAGIC: &[u8; 8] = b"SWMAP\0\0\0";
/// The length of a part's header in bytes.
const HEADER_LEN: usize = 8 + 6 * 4 + 32;
/// The length of a place in bytes.
const PLACE_LEN: usize = 12;

/// The encoding of a chunk that is left out: the reader of a bundle is to hold it already.
pub const LEFT_OUT: u8 = u8::MAX;

/// Returns the place of a chunk that is left out.
#[must_use]
pub const fn left_out(plain_len: u32) -> Place {
    let pack = PackDigest::from_bytes([0; 32]);
    Place { pack, offset: 0, stored_len: 0, plain_len, encoding: LEFT_OUT }
}

/// A leaf, and the places of its chunks in the order of its data extents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappedLeaf {
    /// The leaf's name.
    pub digest: LeafDigest,
    /// The leaf's bytes.
    pub bytes: Bytes,
    /// One place per data extent.
    pub places: Vec<Place>,
}

impl MappedLeaf {
    /// Returns the bytes that the leaf takes in a part, without the table of packs.
    #[must_use]
    pub fn len_in_part(&self) -> usize {
        4 + self.bytes.len() + PLACE_LEN * self.places.len()
    }
}

/// A part of a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapPart {
    /// The index that the map describes.
    pub index: IndexDigest,
    /// The position of the part, from 0.
    pub position: u32,
    /// True if no part follows.
    pub is_last: bool,
    /// The list of the index: in the first part only.
    pub list: Option<Bytes>,
    /// Leaves of the index, each once in a map.
    pub leaves: Vec<MappedLeaf>,
}

/// Returns the path of a part of a map.
#[must_use]
pub fn path(index: IndexDigest, position: u32) -> String {
    let hex = index.to_hex();
    format!("maps/{}/{hex}/{position}", &hex[..2])
}

#[cfg(test)]
mod tests;
