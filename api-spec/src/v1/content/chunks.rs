//! Chunks: queries for missing chunks and for the locations of present ones.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::{ChunkDigest, PackDigest};

/// The maximum number of chunks per query: 1 GiB of disk in chunks of the smallest usual size.
pub const CHUNKS_PER_QUESTION_MAX: usize = 65_536;

/// The frame holds the plain bytes (docs/FORMAT.md, section 5).
pub const ENCODING_RAW: u8 = 0;
/// The frame holds one zstd frame.
pub const ENCODING_ZSTD: u8 = 1;
/// The frame holds one zstd frame with another chunk as prefix. Reserved in epoch 1.
pub const ENCODING_DELTA: u8 = 2;

/// A query for the chunks that the registry lacks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingChunks {
    /// The lease for the query. Chunks reported as present stay until the lease ends.
    pub lease: String,
    /// The chunks, at most 65536.
    pub chunks: Vec<ChunkDigest>,
}

/// The positions of the missing items of a query.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MissingPositions {
    /// The positions in the list of the query, from 0, ascending.
    pub missing: Vec<u32>,
}

/// A query for the locations of chunks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocateChunks {
    /// The chunks, at most 65536.
    pub chunks: Vec<ChunkDigest>,
}

/// The locations of chunks. If the registry lacks any chunk of the query, the answer is 404
/// instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LocatedChunks {
    /// The packs, referred to by position.
    pub packs: Vec<PackDigest>,
    /// The locations, one per chunk, in the order of the query.
    pub locations: Vec<ChunkLocation>,
}

/// The location of one frame, and its encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChunkLocation {
    /// The position of the pack in `packs`, from 0.
    pub pack: u32,
    /// The offset of the frame in the pack, in bytes.
    pub offset: u64,
    /// The length of the frame in the pack, in bytes.
    pub stored_len: u32,
    /// The length of the decoded frame, in bytes.
    pub plain_len: u32,
    /// The encoding: 0 for raw bytes, 1 for a zstd frame.
    pub encoding: u8,
}
