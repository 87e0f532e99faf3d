//! Packs: immutable objects of compressed chunks (docs/FORMAT.md, section 5).
//!
//! ```text
//! pack := header, frame*, footer, footer length, footer digest
//! ```
//!
//! # Invariants
//!
//! 1. A pack's name is the digest of its footer, and the footer lists every chunk: the name vouches
//!    for the list. Decoding the frames proves that they hold these chunks.
//! 2. Frames lie in the footer's order without gaps, so offsets follow from lengths.

mod footer;
mod verify;
mod writer;

pub use footer::{Footer, Frame, PackError};
pub use verify::{InspectedPack, VerifiedPack};
pub use writer::{FinishedPack, PackWriter};

use seawall_api::index::FORMAT_EPOCH;
use seawall_api::units::CHUNK_LEN_MAX;

/// Length at which a pack is full, in bytes.
pub const PACK_LEN_TARGET: usize = 16 << 20;
/// Maximum number of chunks in a pack. Reached before the target length only if frames average less
/// than 1 KiB.
pub const FRAMES_MAX: usize = 16_384;
/// Maximum length of a pack in bytes: a full pack, a last frame, and the longest footer.
pub const PACK_LEN_MAX: usize =
    PACK_LEN_TARGET + CHUNK_LEN_MAX as usize + FRAMES_MAX * footer::ENTRY_LEN + 4096;

const MAGIC: &[u8; 8] = b"SWPACK\0\0";
/// Length of the header in bytes.
pub const HEADER_LEN: usize = 16;
/// The header, the same for every pack of this epoch.
pub const HEADER: [u8; HEADER_LEN] = {
    let (mut header, epoch) = ([0; HEADER_LEN], FORMAT_EPOCH.to_le_bytes());
    let mut at = 0;
    while at < MAGIC.len() {
        header[at] = MAGIC[at];
        at += 1;
    }
    let mut at = 0;
    while at < epoch.len() {
        header[MAGIC.len() + at] = epoch[at];
        at += 1;
    }
    header
};
/// Length of the trailer in bytes: the footer's length and digest, at the pack's end.
pub const TRAILER_LEN: usize = 4 + 32;

/// Returns the length in bytes of a pack with `chunk_count` frames of `stored_bytes` bytes in
/// total.
#[must_use]
pub const fn len_of(chunk_count: u64, stored_bytes: u64) -> u64 {
    let around = HEADER_LEN + footer::FOOTER_HEADER_LEN + TRAILER_LEN;
    around as u64 + chunk_count * footer::ENTRY_LEN as u64 + stored_bytes
}

#[cfg(test)]
mod tests;
