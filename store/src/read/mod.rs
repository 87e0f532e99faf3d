//! Reads of chunks: from the names of chunks to proven bytes.
//!
//! ```text
//! chunks → Source::locate → coalesced ranges → Source::range → Prover → proven bytes
//! ```
//!
//! Every reader of a registry's content stands on this module: the client implements [`Source`]
//! over HTTP, the registry over its catalog and store. Bulk flows (pull, patch, verify, repair)
//! plan and read requests themselves. Random readers ask a [`Reader`] for chunks, or a
//! [`StoredDisk`] for the bytes of a disk.
//!
//! # Invariants
//!
//! 1. [`Prover::prove`] is the only place where a frame becomes bytes of a chunk: decoded, of the
//!    chunk's length, and hashed.
//! 2. A source is not trusted. A wrong answer is a [`ReadError`], never wrong bytes.
//! 3. Memory is bounded by named constants, regardless of the length of a disk.

mod ahead;
mod cache;
mod decode;
mod disk;
mod error;
mod ranges;
mod reader;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::ChunkRef;

pub use cache::{Pending, Urgency};
pub use decode::{FrameError, Proven, Prover};
pub use disk::StoredDisk;
pub use error::{ReadError, SourceError};
pub use ranges::{Plan, Request, RequestedFrame, Wanted};
pub use reader::Reader;

/// The place of a chunk's frame in a pack, as claimed by a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The pack.
    pub pack: PackDigest,
    /// The offset of the frame in the pack, in bytes.
    pub offset: u64,
    /// The length of the frame, in bytes.
    pub stored_len: u32,
    /// The plain length of the chunk, in bytes.
    pub plain_len: u32,
    /// The number of the frame's encoding.
    pub encoding: u8,
}

/// The bytes that a source may answer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Bytes at rest or from a cache.
    Any,
    /// Bytes at rest only: after wrong bytes, which a cache may have kept.
    AtRest,
}

/// A source of frames: a registry, or the store behind one.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns one place per chunk, in the same order.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound) if the source lacks
    /// one of the chunks.
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, SourceError>;

    /// Returns the bytes of a range of a pack. The reader proves them.
    async fn range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, SourceError>;
}

/// Local copies of chunks that replace reads of the source.
pub trait Nearby: Send + Sync {
    /// Fills `plain` with the local bytes of a chunk, which the reader proves. Returns false if
    /// there are none.
    fn read(&self, chunk: ChunkRef, plain: &mut [u8]) -> bool;
}

#[cfg(test)]
mod tests;
