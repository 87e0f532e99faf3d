//! Errors of reads.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::ChunkRef;

use crate::codec::CodecError;
use crate::error::ErrorKind;

/// An error of a [`Source`](super::Source), displayed as the source's own error.
#[derive(Debug)]
pub struct SourceError {
    kind: ErrorKind,
    range: Option<(PackDigest, Range<u64>)>,
    error: Box<dyn Error + Send + Sync>,
}

impl SourceError {
    /// Wraps an error of the class `kind`.
    pub fn new(kind: ErrorKind, error: impl Error + Send + Sync + 'static) -> Self {
        Self { kind, range: None, error: Box::new(error) }
    }

    pub(super) fn of_range(self, pack: PackDigest, range: Range<u64>) -> Self {
        Self { range: Some((pack, range)), ..self }
    }

    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the unreadable range of a pack, or `None` if chunks could not be located.
    #[must_use]
    pub fn range(&self) -> Option<&(PackDigest, Range<u64>)> {
        self.range.as_ref()
    }

    /// Returns the source's own error, if it has the type `E`.
    #[must_use]
    pub fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error of a read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed or refused.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source answered for another number of chunks.
    #[error("asked for the places of {asked} chunks, the source gave {given}")]
    Places {
        /// The number of chunks in the question.
        asked: usize,
        /// The number of places in the answer.
        given: usize,
    },
    /// The source and the index disagree about the length of a chunk.
    #[error("the place of chunk {} in pack {pack} gives a length of {actual} bytes", chunk.digest)]
    Length {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack.
        pack: PackDigest,
        /// The length in bytes given by the source.
        actual: u32,
    },
    /// The source sent fewer bytes of a pack than requested.
    #[error("pack {pack} ends before the frame of chunk {}", chunk.digest)]
    Short {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack.
        pack: PackDigest,
    },
    /// The frame of a chunk cannot be decoded.
    #[error("pack {pack} holds damaged bytes for chunk {}", chunk.digest)]
    Codec {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack with the damaged frame.
        pack: PackDigest,
        /// The cause.
        source: CodecError,
    },
    /// The frame of a chunk holds other bytes.
    #[error("pack {pack} holds other bytes for chunk {}: they hash to {actual}", chunk.digest)]
    Digest {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack with the wrong bytes.
        pack: PackDigest,
        /// The digest of the decoded bytes.
        actual: ChunkDigest,
    },
    /// A leaf of the disk's index was lost during the read.
    #[error("leaf {position} of the disk's index was removed or changed meanwhile")]
    Leaf {
        /// The position of the leaf on the disk.
        position: usize,
    },
    /// A worker thread panicked, or the runtime is shutting down.
    #[error("the read stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl ReadError {
    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Length { .. } | Self::Short { .. } | Self::Codec { .. } | Self::Digest { .. } => {
                ErrorKind::Damaged
            }
            Self::Leaf { .. } => ErrorKind::Unavailable,
            Self::Places { .. } | Self::Defect => ErrorKind::Internal,
        }
    }
}
