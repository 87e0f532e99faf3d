//! The writer of packs.

use bytes::{Bytes, BytesMut};
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::units::{CHUNK_LEN_MAX, ChunkLen};

use super::{FRAMES_MAX, Footer, Frame, HEADER, HEADER_LEN, PACK_LEN_TARGET};
use crate::codec::Encoder;

/// A pack ready to be stored.
#[derive(Clone, Debug)]
pub struct FinishedPack {
    /// The pack's name.
    pub digest: PackDigest,
    /// The pack's bytes.
    pub bytes: Bytes,
    /// The number of chunks.
    pub chunk_count: usize,
    /// The chunks' total plain length, in bytes.
    pub plain_bytes: u64,
}

/// A pack under construction. Used by one thread; reuses its buffer and its compressor.
pub struct PackWriter {
    encoder: Encoder,
    buffer: BytesMut,
    frames: Vec<Frame>,
    filled: usize,
}

impl Default for PackWriter {
    fn default() -> Self {
        let buffer = BytesMut::new();
        Self { encoder: Encoder::default(), buffer, frames: Vec::new(), filled: HEADER_LEN }
    }
}

impl PackWriter {
    /// Appends the chunk `plain`. The caller has computed its digest; nothing checks it here.
    pub fn push(&mut self, digest: ChunkDigest, plain_len: ChunkLen, plain: &[u8]) {
        debug_assert_eq!(usize::from(plain_len), plain.len());
        let room = self.filled + Encoder::bound(plain.len());
        if self.buffer.len() < room {
            // Grown to its full size at once and zeroed once; later packs reuse the memory.
            let full = PACK_LEN_TARGET + Encoder::bound(CHUNK_LEN_MAX as usize);
            self.buffer.resize(room.max(full), 0);
        }
        let (encoding, stored_len) = self.encoder.encode(plain, &mut self.buffer[self.filled..]);
        self.frames.push(Frame {
            digest,
            encoding,
            plain_len,
            offset: self.filled as u64,
            stored_len: u32::try_from(stored_len).unwrap_or(u32::MAX),
        });
        self.filled += stored_len;
    }

    /// Appends a frame of another pack unchanged. `stored` is its bytes there.
    pub fn push_stored(&mut self, frame: &Frame, stored: &[u8]) {
        let room = self.filled + stored.len();
        if self.buffer.len() < room {
            self.buffer.resize(room.max(PACK_LEN_TARGET), 0);
        }
        self.buffer[self.filled..room].copy_from_slice(stored);
        self.frames.push(Frame { offset: self.filled as u64, ..*frame });
        self.filled = room;
    }

    /// Returns whether the pack has no chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns whether the pack is full: finish it before the next chunk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filled >= PACK_LEN_TARGET || self.frames.len() >= FRAMES_MAX
    }

    /// Finishes the pack and begins another, in the memory of `recycled` if nothing else refers to
    /// it.
    pub fn finish(&mut self, recycled: Option<Bytes>) -> FinishedPack {
        let next = recycled.and_then(|bytes| bytes.try_into_mut().ok()).unwrap_or_default();
        let mut pack = std::mem::replace(&mut self.buffer, next);
        let frames = std::mem::take(&mut self.frames);
        let filled = std::mem::replace(&mut self.filled, HEADER_LEN);
        let chunk_count = frames.len();
        let plain_bytes = frames.iter().map(|frame| u64::from(frame.plain_len)).sum();
        let footer = Footer::new(frames).encode();
        let digest = PackDigest::of(&footer);
        pack.resize(pack.len().max(HEADER_LEN), 0);
        pack.truncate(filled);
        pack[..HEADER_LEN].copy_from_slice(&HEADER);
        pack.extend_from_slice(&footer);
        let footer_len = u32::try_from(footer.len()).unwrap_or(u32::MAX);
        pack.extend_from_slice(&footer_len.to_le_bytes());
        pack.extend_from_slice(digest.as_bytes());
        FinishedPack { digest, bytes: pack.freeze(), chunk_count, plain_bytes }
    }
}
