//! Frames: the form of a chunk in a pack, raw or compressed.
//!
//! # Invariants
//!
//! 1. Decoding never writes more bytes than the plain length given by the caller: a hostile frame
//!    cannot exhaust memory.
//! 2. The output of [`Decoder::decode`] has exactly this length. Its one caller, [`crate::read`],
//!    hashes it to prove that it is the right chunk.

use seawall_api::units::ChunkLen;
use seawall_api::v1::{ENCODING_DELTA, ENCODING_RAW, ENCODING_ZSTD};
use zstd_safe::{CCtx, CParameter, DCtx};

/// The encoding of a chunk in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// The plain bytes.
    Raw,
    /// One zstd frame (RFC 8878).
    Zstd,
}

impl Encoding {
    /// Returns the encoding's number at rest and on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Raw => ENCODING_RAW,
            Self::Zstd => ENCODING_ZSTD,
        }
    }

    /// Returns the encoding with this [`Self::number`].
    ///
    /// # Errors
    /// For the reserved delta encoding and for unknown ones.
    pub fn from_number(number: u8) -> Result<Self, CodecError> {
        match number {
            ENCODING_RAW => Ok(Self::Raw),
            ENCODING_ZSTD => Ok(Self::Zstd),
            ENCODING_DELTA => Err(CodecError::Delta),
            other => Err(CodecError::UnknownEncoding(other)),
        }
    }
}

/// An error of decoding a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The encoding is unknown to this version.
    #[error("frame encoding {0} is unknown to this version; a newer seawall can read it")]
    UnknownEncoding(u8),
    /// The encoding is delta: reserved in epoch 1, not written by any version so far.
    #[error("frame encoding 2 (delta) is unknown to this version; a newer seawall can read it")]
    Delta,
    /// zstd cannot decompress the frame.
    #[error("a frame cannot be decompressed: {0}")]
    Zstd(&'static str),
    /// The decoded length differs from the chunk's.
    #[error("a frame decodes to {actual} bytes, but its chunk has {expected}")]
    Length {
        /// The chunk's plain length, in bytes.
        expected: usize,
        /// The decoded length, in bytes.
        actual: usize,
    },
}

/// Level 1 is one and a half times as fast as level 3, for 5 % more bytes (docs/adr/0004).
const LEVEL: i32 = 1;

/// A compressor of chunks. Reuses its zstd context: make one per thread.
pub struct Encoder {
    context: CCtx<'static>,
}

impl Default for Encoder {
    fn default() -> Self {
        let mut context = CCtx::create();
        for parameter in [CParameter::CompressionLevel(LEVEL), CParameter::ChecksumFlag(false)] {
            // Fails only for values out of bounds; these are constants within them.
            context.set_parameter(parameter).expect("zstd knows its own parameters");
        }
        Self { context }
    }
}

impl Encoder {
    /// Returns the buffer length needed to encode a chunk of `plain_len` bytes.
    #[must_use]
    pub fn bound(plain_len: usize) -> usize {
        zstd_safe::compress_bound(plain_len)
    }

    /// Encodes `plain` to the front of `out`, which has at least [`Self::bound`] bytes. Returns the
    /// encoding and the frame's length in bytes.
    ///
    /// A chunk that zstd shrinks by less than a twentieth is stored raw, to save readers the time.
    ///
    /// # Panics
    /// When `out` is shorter than the bound.
    pub fn encode(&mut self, plain: &[u8], out: &mut [u8]) -> (Encoding, usize) {
        assert!(out.len() >= Self::bound(plain.len()), "the caller keeps room for a whole frame");
        if let Ok(len) = self.context.compress2(out, plain)
            && len + plain.len() / 20 < plain.len()
        {
            return (Encoding::Zstd, len);
        }
        out[..plain.len()].copy_from_slice(plain);
        (Encoding::Raw, plain.len())
    }
}

/// A decompressor of frames. Reuses its zstd context: make one per thread.
pub(crate) struct Decoder {
    context: DCtx<'static>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { context: DCtx::create() }
    }
}

impl Decoder {
    /// Decodes `frame`, a chunk of `plain_len` bytes, to the front of `out`, and returns the chunk.
    ///
    /// # Errors
    /// Fails if the frame is malformed or its chunk has another length.
    ///
    /// # Panics
    /// When `out` is shorter than `plain_len`.
    pub(crate) fn decode<'o>(
        &mut self,
        encoding: Encoding,
        frame: &[u8],
        plain_len: ChunkLen,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], CodecError> {
        let expected = usize::from(plain_len);
        let out = &mut out[..expected];
        let actual = match encoding {
            Encoding::Raw if frame.len() == expected => {
                out.copy_from_slice(frame);
                expected
            }
            Encoding::Raw => frame.len(),
            Encoding::Zstd => self
                .context
                .decompress(out, frame)
                .map_err(|code| CodecError::Zstd(zstd_safe::get_error_name(code)))?,
        };
        if actual != expected {
            return Err(CodecError::Length { expected, actual });
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(plain: &[u8]) -> (Encoding, usize) {
        let mut out = vec![0; Encoder::bound(plain.len())];
        let (encoding, len) = Encoder::default().encode(plain, &mut out);
        let plain_len = ChunkLen::new(plain.len() as u64).unwrap();
        let mut back = vec![0; plain.len()];
        let decoded = Decoder::default().decode(encoding, &out[..len], plain_len, &mut back);
        assert_eq!(decoded, Ok(plain));
        (encoding, len)
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn text_is_compressed_and_noise_is_kept_raw() {
        let (encoding, len) = round_trip(&b"seawall ".repeat(8192));
        assert_eq!(encoding, Encoding::Zstd);
        assert!(len < 1000, "{len}");
        assert_eq!(round_trip(&noise(65_536)), (Encoding::Raw, 65_536));
        assert_eq!(round_trip(b"x"), (Encoding::Raw, 1));
    }

    #[test]
    fn a_bomb_stops_at_the_length_of_its_chunk() {
        let bomb = vec![0; 200_000];
        let mut frame = vec![0; Encoder::bound(bomb.len())];
        let (encoding, len) = Encoder::default().encode(&bomb, &mut frame);
        let small = ChunkLen::new(4096).unwrap();
        let mut out = [0; 4096];
        let result = Decoder::default().decode(encoding, &frame[..len], small, &mut out);
        assert!(matches!(result, Err(CodecError::Zstd(_))), "{result:?}");
    }

    #[test]
    fn every_flipped_or_cut_frame_is_answered() {
        let plain = b"a wrong byte is the worst bug we can have ".repeat(100);
        let plain_len = ChunkLen::new(plain.len() as u64).unwrap();
        let mut frame = vec![0; Encoder::bound(plain.len())];
        let (encoding, len) = Encoder::default().encode(&plain, &mut frame);
        let mut decoder = Decoder::default();
        let mut out = vec![0; plain.len()];
        for bit in 0..len * 8 {
            let mut bad = frame[..len].to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let _ = decoder.decode(encoding, &bad, plain_len, &mut out);
        }
        for cut in 0..len {
            assert!(decoder.decode(encoding, &frame[..cut], plain_len, &mut out).is_err());
        }
    }

    #[test]
    fn unknown_encodings_are_named() {
        assert_eq!(Encoding::from_number(2), Err(CodecError::Delta));
        assert_eq!(Encoding::from_number(7), Err(CodecError::UnknownEncoding(7)));
        assert_eq!(Encoding::from_number(1), Ok(Encoding::Zstd));
    }
}
