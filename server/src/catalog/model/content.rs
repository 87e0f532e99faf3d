//! Packs, chunks, leaves and indexes.

use seawall_api::digest::{ChunkDigest, ContentDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::ChunkRef;
use seawall_api::units::{ChunkLen, DiskLen};

/// A pack whose frames were decoded and re-hashed.
#[derive(Clone, Debug)]
pub struct NewPack {
    /// The pack's digest.
    pub digest: PackDigest,
    /// Length of the pack in bytes.
    pub len: u64,
    /// The chunks in the pack.
    pub frames: Vec<Frame>,
}

/// A chunk as stored in a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The chunk's digest.
    pub digest: ChunkDigest,
    /// Offset of the frame in the pack, in bytes.
    pub offset: u64,
    /// Length of the frame in the pack, in bytes.
    pub stored_len: u32,
    /// Length of the decoded chunk.
    pub plain_len: ChunkLen,
    /// Encoding, as numbered in docs/FORMAT.md, section 5.
    pub encoding: u8,
}

/// The place of a chunk in one of the packs of [`Located::All`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkPlace {
    /// Position of the pack in the answer's list of packs.
    pub pack: u32,
    /// The frame in the pack.
    pub frame: Frame,
}

/// The answer to a query for the places of chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Located {
    /// Every chunk has a place. Places are in the order of the query.
    All {
        /// The packs to which the places refer by position.
        packs: Vec<PackDigest>,
        /// One place per chunk.
        places: Vec<ChunkPlace>,
    },
    /// The first chunk without a place.
    Missing(ChunkDigest),
}

/// A leaf whose chunks are all present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// The leaf's digest.
    pub digest: LeafDigest,
    /// Length of the part of the disk that the leaf describes, in bytes.
    pub span_len: u64,
    /// Bytes of data in that part.
    pub data_bytes: u64,
}

/// The outcome of adding a leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeafAdded {
    /// The leaf is present.
    Present,
    /// The first few chunks of the leaf that have no place or another decoded length.
    Unfit(Vec<ChunkRef>),
    /// As [`Added::Swept`](super::collect::Added::Swept).
    Swept,
}

/// An index whose leaves are all present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexRow {
    /// The index's digest.
    pub digest: IndexDigest,
    /// Length of the disk.
    pub disk_len: DiskLen,
    /// Content digest of the disk.
    pub content: ContentDigest,
    /// Bytes of data on the disk.
    pub data_bytes: u64,
}
