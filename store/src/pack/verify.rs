//! Proves that a pack's frames hold the chunks its footer names.

use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::units::CHUNK_LEN_MAX;

use super::{Footer, Frame, PackError};
use crate::codec::Decoder;

/// A pack of which every frame was decoded and hashed.
#[derive(Clone, Debug)]
pub struct VerifiedPack {
    digest: PackDigest,
    bytes: Bytes,
    footer: Footer,
}

impl VerifiedPack {
    /// Decodes and hashes every frame of the pack that came under the name `expected`.
    ///
    /// Works for tens of milliseconds without a pause: run it where that blocks nobody.
    ///
    /// # Errors
    /// When the bytes are not a pack, or not that pack, or a frame does not hold its chunk.
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

    /// The pack's name.
    #[must_use]
    pub fn digest(&self) -> PackDigest {
        self.digest
    }

    /// The pack's bytes; cheap to clone.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its frames in the order they lie in.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        self.footer.frames()
    }
}

/// What a pack holds, and which of it is damaged.
#[derive(Debug)]
pub struct InspectedPack {
    /// Its frames in the order they lie in.
    pub frames: Vec<Frame>,
    /// What is wrong with those that do not hold their chunk, each with its place among them.
    pub unsound: Vec<(usize, PackError)>,
}

impl InspectedPack {
    /// Decodes and hashes every frame of the pack `expected`, past those that are damaged.
    ///
    /// Works for tens of milliseconds without a pause: run it where that blocks nobody.
    ///
    /// # Errors
    /// When it cannot even be told what the pack holds.
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
    // `Footer::of_pack` proved that frames end where the footer begins, inside the pack.
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
