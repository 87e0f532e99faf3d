//! The footer of a pack: a list of its chunks, in order.

use std::ops::Range;

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::FORMAT_EPOCH;
use seawall_api::units::{CHUNK_LEN_MAX, ChunkLen};

use super::{FRAMES_MAX, HEADER_LEN, MAGIC, PACK_LEN_MAX, TRAILER_LEN};
use crate::codec::{CodecError, Encoding};

pub(super) const ENTRY_LEN: usize = 32 + 4 + 4 + 4;
pub(super) const FOOTER_HEADER_LEN: usize = 8;
const FOOTER_LEN_MAX: u64 = (FOOTER_HEADER_LEN + FRAMES_MAX * ENTRY_LEN) as u64;
const OUTSIDE: &str = "it lies outside the pack";

/// One frame of a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The digest of the chunk.
    pub digest: ChunkDigest,
    /// The encoding of the frame.
    pub encoding: Encoding,
    /// The plain length of the chunk, in bytes.
    pub plain_len: ChunkLen,
    /// The offset of the frame in the pack, in bytes.
    pub offset: u64,
    /// The length of the frame, in bytes.
    pub stored_len: u32,
}

impl Frame {
    /// Returns the range of the frame in the pack, in bytes.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.stored_len)
    }
}

/// A defect of a pack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The length in bytes, which no pack can have.
    #[error("a pack has {HEADER_LEN} to {PACK_LEN_MAX} bytes, not {0}")]
    Length(usize),
    /// The bytes do not begin with the magic number of packs.
    #[error("this is not a pack: its magic number differs")]
    Magic,
    /// The format epoch is unknown to this version.
    #[error("format epoch {0} is unknown to this version (it reads epoch {FORMAT_EPOCH})")]
    Epoch(u32),
    /// The footer contradicts itself or the pack around it.
    #[error("the pack's footer is malformed: {0}")]
    Footer(&'static str),
    /// The footer does not match the pack's name.
    #[error("pack {expected} has the footer of {actual}")]
    Name {
        /// The name by which the pack was requested.
        expected: PackDigest,
        /// The digest of the footer.
        actual: PackDigest,
    },
    /// A frame cannot be decoded.
    #[error("chunk {digest} in the pack cannot be decoded")]
    Frame {
        /// The chunk listed in the footer.
        digest: ChunkDigest,
        /// The cause.
        source: CodecError,
    },
    /// A frame does not hold its chunk.
    #[error("chunk {expected} in the pack hashes to {actual}")]
    Chunk {
        /// The digest listed in the footer.
        expected: ChunkDigest,
        /// The digest of the decoded bytes.
        actual: ChunkDigest,
    },
    /// A frame's encoding cannot be read by this version.
    #[error("chunk {digest} in the pack needs a newer version")]
    Encoding {
        /// The digest of the chunk.
        digest: ChunkDigest,
        /// The cause, which names the encoding.
        source: CodecError,
    },
}

/// A pack's footer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Footer {
    frames: Vec<Frame>,
}

impl Footer {
    /// Makes the footer of frames that follow the header without gaps.
    pub(super) fn new(frames: Vec<Frame>) -> Self {
        Self { frames }
    }

    /// Returns the frames, in the pack's order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Encodes the footer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_HEADER_LEN + self.frames.len() * ENTRY_LEN);
        out.extend_from_slice(&FORMAT_EPOCH.to_le_bytes());
        let count = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for frame in &self.frames {
            out.extend_from_slice(frame.digest.as_bytes());
            out.extend_from_slice(&frame.plain_len.get().to_le_bytes());
            out.extend_from_slice(&frame.stored_len.to_le_bytes());
            out.extend_from_slice(&u32::from(frame.encoding.number()).to_le_bytes());
        }
        out
    }

    /// Reads the footer of a whole pack, and returns the pack's name with it.
    ///
    /// # Errors
    /// Fails if the bytes do not have the layout of a pack.
    pub fn of_pack(pack: &[u8]) -> Result<(PackDigest, Self), PackError> {
        if !(HEADER_LEN + TRAILER_LEN..=PACK_LEN_MAX).contains(&pack.len()) {
            return Err(PackError::Length(pack.len()));
        }
        if !pack.starts_with(MAGIC) {
            return Err(PackError::Magic);
        }
        match word(pack, MAGIC.len()) {
            Some(FORMAT_EPOCH) => {}
            other => return Err(PackError::Epoch(other.unwrap_or_default())),
        }
        if word(pack, MAGIC.len() + 4) != Some(0) {
            return Err(PackError::Footer("reserved bytes of the header are not zero"));
        }
        let (body, trailer) = pack.split_at(pack.len() - TRAILER_LEN);
        let trailer = trailer.first_chunk().expect("the pack is longer than its trailer");
        let place = Self::place(pack.len() as u64, trailer)?;
        // `place` proved that the footer lies inside the pack, which is in memory.
        let frames_end = usize::try_from(place.start).unwrap_or(usize::MAX);
        let footer = body.get(frames_end..).ok_or(PackError::Footer(OUTSIDE))?;
        let name = PackDigest::from_bytes(*trailer.last_chunk().expect("a digest ends it"));
        Ok((name, Self::of_tail(name, footer, place.start)?))
    }

    /// Returns the range of the footer in a pack of `pack_len` bytes, from the pack's trailer: its
    /// last [`TRAILER_LEN`] bytes.
    ///
    /// # Errors
    /// Fails if the pack is too short for a footer of this length.
    pub fn place(pack_len: u64, trailer: &[u8; TRAILER_LEN]) -> Result<Range<u64>, PackError> {
        let footer_len = word(trailer, 0).map_or(u64::MAX, u64::from);
        if footer_len > FOOTER_LEN_MAX {
            return Err(PackError::Footer("it is longer than the pack"));
        }
        let end = pack_len.saturating_sub(TRAILER_LEN as u64);
        let start = end.checked_sub(footer_len).filter(|&start| start >= HEADER_LEN as u64);
        Ok(start.ok_or(PackError::Footer("it is longer than the pack"))?..end)
    }

    /// Reads the footer of pack `expected` from the footer's bytes, without the pack's frames. The
    /// footer lies at `start` in the pack.
    ///
    /// # Errors
    /// Fails if the bytes are not the footer of that pack.
    pub fn of_tail(expected: PackDigest, footer: &[u8], start: u64) -> Result<Self, PackError> {
        let footer = Self::of_name(expected, footer)?;
        if footer.frames_end() != start {
            return Err(PackError::Footer("its frames do not fill the pack"));
        }
        Ok(footer)
    }

    /// Reads the footer of pack `expected` from the footer's bytes alone. The pack has as many
    /// bytes as the footer says.
    ///
    /// # Errors
    /// Fails if the bytes are not the footer of that pack.
    pub fn of_name(expected: PackDigest, footer: &[u8]) -> Result<Self, PackError> {
        if PackDigest::of(footer) != expected {
            return Err(PackError::Footer("its digest differs from the one at the pack's end"));
        }
        Self::decode(footer)
    }

    /// Returns the offset in the pack at which the last frame ends.
    #[must_use]
    pub fn frames_end(&self) -> u64 {
        self.frames.last().map_or(HEADER_LEN as u64, |frame| frame.range().end)
    }

    fn decode(bytes: &[u8]) -> Result<Self, PackError> {
        let epoch = word(bytes, 0).ok_or(PackError::Footer("it is too short"))?;
        if epoch != FORMAT_EPOCH {
            return Err(PackError::Epoch(epoch));
        }
        let count = word(bytes, 4).ok_or(PackError::Footer("it is too short"))? as usize;
        let (entries, rest) = bytes[FOOTER_HEADER_LEN..].as_chunks::<ENTRY_LEN>();
        if !rest.is_empty() || entries.len() != count || count > FRAMES_MAX {
            return Err(PackError::Footer("its length does not match its number of chunks"));
        }
        let mut offset = HEADER_LEN as u64;
        let mut frames = Vec::with_capacity(count);
        for entry in entries {
            let frame = decode_entry(entry, offset)?;
            offset = frame.range().end;
            frames.push(frame);
        }
        Ok(Self { frames })
    }
}

fn decode_entry(entry: &[u8; ENTRY_LEN], offset: u64) -> Result<Frame, PackError> {
    let (digest, rest) = entry.split_first_chunk::<32>().expect("an entry begins with a digest");
    let digest = ChunkDigest::from_bytes(*digest);
    let word = |at| word(rest, at).unwrap_or_default();
    let plain_len = ChunkLen::new(u64::from(word(0)))
        .map_err(|_| PackError::Footer("a chunk is empty or too long"))?;
    let stored_len = word(4);
    if stored_len == 0 || stored_len > CHUNK_LEN_MAX {
        return Err(PackError::Footer("a frame is empty or too long"));
    }
    let number =
        u8::try_from(word(8)).map_err(|_| PackError::Footer("an encoding exceeds a byte"))?;
    let encoding =
        Encoding::from_number(number).map_err(|source| PackError::Encoding { digest, source })?;
    Ok(Frame { digest, encoding, plain_len, offset, stored_len })
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}
