//! Verification of a pack's frames against the chunks its footer lists.

use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::units::CHUNK_LEN_MAX;

use super::{Footer, Frame, PackError};
use crate::codec::Decoder;

/// A pack whose every frame was decoded and hashed.
#[derive(Clone, Debug)]
pub struct VerifiedPack {
    digest: PackDigest,
    bytes: Bytes,
    footer: Footer,
}

impl VerifiedPack {
    /// Decodes and hashes every frame of a pack received under the name `expected`.
    ///
    /// Computes for tens of milliseconds: run it on a thread that may block.
    ///
    /// # Errors
    /// Fails if the bytes are not a pack or not the pack `expected`, or a frame does not hold its
    /// chunk.
    pub fn verify(expected: PackDigest, bytes: Bytes) -> Result<Self, PackError> {
        let (actual, footer) = Footer::of_pack(&bytes)?;
        if actual != expected {
            return Err(PackError::Name { expected, actual });
        }
        let mut decoder = Decoder::default();
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        for frame in footer.frames() {
            verify_frame(frame, &bytes, &mut decoder, &mut plain)?;
        }
        Ok(Self { digest: actual, bytes, footer })
    }

    /// Returns the pack's name.
    #[must_use]
    pub fn digest(&self) -> PackDigest {
        self.digest
    }

    /// Returns the pack's bytes, which are cheap to clone.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the frames, in the pack's order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        self.footer.frames()
    }
}

/// The frames of a pack, and the errors of the damaged ones.
#[derive(Debug)]
pub struct InspectedPack {
    /// The frames, in the pack's order.
    pub frames: Vec<Frame>,
    /// The damaged frames: the position in `frames` and the error of each.
    pub unsound: Vec<(usize, PackError)>,
}

impl InspectedPack {
    /// Decodes and hashes every frame of the pack `expected`, and does not stop at damaged ones.
    ///
    /// Computes for tens of milliseconds: run it on a thread that may block.
    ///
    /// # Errors
    /// Fails if the footer cannot be read, or is not that of the pack `expected`.
    pub fn read(expected: PackDigest, bytes: &Bytes) -> Result<Self, PackError> {
        let (actual, footer) = Footer::of_pack(bytes)?;
        if actual != expected {
            return Err(PackError::Name { expected, actual });
        }
        let mut decoder = Decoder::default();
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        let frames = footer.frames().to_vec();
        let unsound = frames.iter().enumerate().filter_map(|(position, frame)| {
            let error = verify_frame(frame, bytes, &mut decoder, &mut plain).err()?;
            Some((position, error))
        });
        let unsound = unsound.collect();
        Ok(Self { frames, unsound })
    }
}

fn verify_frame(
    frame: &Frame,
    pack: &[u8],
    decoder: &mut Decoder,
    plain: &mut [u8],
) -> Result<(), PackError> {
    // `Footer::of_pack` proved that frames end where the footer begins.
    let range = frame.range();
    let outside = PackError::Footer("a frame lies outside the pack");
    let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
        return Err(outside);
    };
    let stored = pack.get(start..end).ok_or(outside)?;
    let digest = frame.digest;
    let plain = decoder
        .decode(frame.encoding, stored, frame.plain_len, plain)
        .map_err(|source| PackError::Frame { digest, source })?;
    let actual = ChunkDigest::of(plain);
    if actual != digest {
        return Err(PackError::Chunk { expected: digest, actual });
    }
    Ok(())
}
