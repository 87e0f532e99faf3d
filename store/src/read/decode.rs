//! The one place where a frame becomes proven bytes.

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::ChunkRef;
use seawall_api::units::CHUNK_LEN_MAX;

use super::ReadError;
use crate::codec::{CodecError, Decoder, Encoding};

/// A defect of a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame cannot be decoded, or decodes to another length.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The decoded bytes have another digest.
    #[error("its bytes hash to {0}")]
    Digest(ChunkDigest),
}

impl FrameError {
    pub(super) fn within(self, pack: PackDigest, chunk: ChunkRef) -> ReadError {
        match self {
            Self::Codec(source) => ReadError::Codec { chunk, pack, source },
            Self::Digest(actual) => ReadError::Digest { chunk, pack, actual },
        }
    }
}

/// A chunk's proven bytes, and the frame that holds them.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'a> {
    /// The chunk's bytes.
    pub plain: &'a [u8],
    /// The encoding of the frame.
    pub encoding: Encoding,
    /// The frame's bytes.
    pub stored: &'a [u8],
}

/// A decoder of frames that returns only proven bytes. Reuses its memory: make one per thread.
pub struct Prover {
    decoder: Decoder,
    plain: Vec<u8>,
}

impl Default for Prover {
    fn default() -> Self {
        Self { decoder: Decoder::default(), plain: vec![0; CHUNK_LEN_MAX as usize] }
    }
}

impl Prover {
    /// Decodes and hashes the frame of a chunk.
    ///
    /// # Errors
    /// Fails if the frame is malformed, or holds bytes of another length or digest.
    pub fn prove<'a>(
        &'a mut self,
        chunk: ChunkRef,
        encoding: Encoding,
        stored: &'a [u8],
    ) -> Result<Proven<'a>, FrameError> {
        let plain = self.decoder.decode(encoding, stored, chunk.len, &mut self.plain)?;
        match ChunkDigest::of(plain) {
            actual if actual == chunk.digest => Ok(Proven { plain, encoding, stored }),
            actual => Err(FrameError::Digest(actual)),
        }
    }

    /// Returns the bytes that `read` fills in for a chunk, or `None` if `read` returns false or
    /// fills in other bytes.
    pub fn prove_plain(
        &mut self,
        chunk: ChunkRef,
        read: impl FnOnce(&mut [u8]) -> bool,
    ) -> Option<&[u8]> {
        let plain = &mut self.plain[..usize::from(chunk.len)];
        (read(plain) && ChunkDigest::of(plain) == chunk.digest).then_some(plain)
    }
}
