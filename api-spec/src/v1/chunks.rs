//! Chunks: which are missing, and where those that are not lie.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::{ChunkDigest, PackDigest};

/// The most chunks one question may name: those of 1 GiB of the smallest usual chunks.
pub const CHUNKS_PER_QUESTION_MAX: usize = 65_536;

/// A frame holds the plain bytes (docs/FORMAT.md, section 5).
pub const ENCODING_RAW: u8 = 0;
/// A frame holds one zstd frame.
pub const ENCODING_ZSTD: u8 = 1;
/// A frame holds one zstd frame with another chunk as prefix. Reserved in epoch 1.
pub const ENCODING_DELTA: u8 = 2;

/// Asks which of these chunks the registry lacks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingChunks {
    /// The lease under which the answer holds: what is answered as present stays until it ends.
    pub lease: String,
    /// At most [`CHUNKS_PER_QUESTION_MAX`] chunks.
    pub chunks: Vec<ChunkDigest>,
}

/// The answer to a question about a list: what is missing of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MissingPositions {
    /// Positions in the question's list, ascending, from 0.
    pub missing: Vec<u32>,
}

/// Asks where these chunks lie.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocateChunks {
    /// At most [`CHUNKS_PER_QUESTION_MAX`] chunks.
    pub chunks: Vec<ChunkDigest>,
}

/// Where chunks lie. A chunk the registry lacks makes the whole question a 404.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LocatedChunks {
    /// The packs that the locations name by position.
    pub packs: Vec<PackDigest>,
    /// One location for each chunk asked for, in that order.
    pub locations: Vec<ChunkLocation>,
}

/// Where one frame lies and how to decode it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChunkLocation {
    /// Position in [`LocatedChunks::packs`].
    pub pack: u32,
    /// Where in the pack the frame begins, in bytes.
    pub offset: u64,
    /// Its length there, in bytes.
    pub stored_len: u32,
    /// Its length when decoded, in bytes.
    pub plain_len: u32,
    /// [`ENCODING_RAW`] or [`ENCODING_ZSTD`].
    pub encoding: u8,
}
