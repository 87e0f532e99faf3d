//! Verification of a pack's frames against the chunks its footer lists.

use bytes::Bytes;
use seawall_api::digest::PackDigest;
use seawall_api::index::ChunkRef;

use super::{Footer, Frame, PackError};
use crate::read::{FrameError, Prover};

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
        let mut prover = Prover::default();
        for frame in footer.frames() {
            verify_frame(frame, &bytes, &mut prover)?;
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
        let mut prover = Prover::default();
        let frames = footer.frames().to_vec();
        let unsound = frames.iter().enumerate().filter_map(|(position, frame)| {
            let error = verify_frame(frame, bytes, &mut prover).err()?;
            Some((position, error))
        });
        let unsound = unsound.collect();
        Ok(Self { frames, unsound })
    }
}

fn verify_frame(frame: &Frame, pack: &[u8], prover: &mut Prover) -> Result<(), PackError> {
    // `Footer::of_pack` proved that frames end where the footer begins.
    let range = frame.range();
    let outside = PackError::Footer("a frame lies outside the pack");
    let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
        return Err(outside);
    };
    let stored = pack.get(start..end).ok_or(outside)?;
    let digest = frame.digest;
    let chunk = ChunkRef { digest, len: frame.plain_len };
    match prover.prove(chunk, frame.encoding, stored) {
        Ok(_) => Ok(()),
        Err(FrameError::Codec(source)) => Err(PackError::Frame { digest, source }),
        Err(FrameError::Digest(actual)) => Err(PackError::Chunk { expected: digest, actual }),
    }
}
