//! Packs: immutable objects of compressed chunks (docs/FORMAT.md, section 5).
//!
//! ```text
//! pack := header, frame*, footer, footer length, footer digest
//! ```
//!
//! # Invariants
//!
//! 1. A pack's name is the digest of its footer, and the footer names every chunk: a pack under
//!    its name says truly what it claims to hold. That its frames hold it is proven by decoding.
//! 2. Frames lie in the footer's order with no gap, so offsets follow from lengths.

mod footer;
mod verify;
mod writer;

pub use footer::{Footer, Frame, PackError};
pub use verify::{InspectedPack, VerifiedPack};
pub use writer::{FinishedPack, PackWriter};

use seawall_api::units::CHUNK_LEN_MAX;

/// A writer begins another pack once this many bytes are filled.
pub const PACK_LEN_TARGET: usize = 16 << 20;
/// The most chunks in one pack: as many as fit when each is one block and hardly compresses.
pub const FRAMES_MAX: usize = 16_384;
/// The longest pack in bytes: a full one, a last frame, and the longest footer.
pub const PACK_LEN_MAX: usize =
    PACK_LEN_TARGET + CHUNK_LEN_MAX as usize + FRAMES_MAX * footer::ENTRY_LEN + 4096;

const MAGIC: &[u8; 8] = b"SWPACK\0\0";
const HEADER_LEN: usize = 16;
/// The footer's length and digest, at the very end.
pub const TRAILER_LEN: usize = 4 + 32;

/// How long a pack of `chunk_count` frames of `stored_bytes` bytes in all is, in bytes.
#[must_use]
pub const fn len_of(chunk_count: u64, stored_bytes: u64) -> u64 {
    let around = HEADER_LEN + footer::FOOTER_HEADER_LEN + TRAILER_LEN;
    around as u64 + chunk_count * footer::ENTRY_LEN as u64 + stored_bytes
}

#[cfg(test)]
mod tests;
