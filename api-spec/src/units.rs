//! Quantities with limits proven on construction.

use std::fmt;

/// The size of a file-system block and of the chunking grid, in bytes.
pub const BLOCK_LEN: u64 = 4096;
/// The smallest unit that a guest addresses, in bytes.
pub const SECTOR_LEN: u64 = 512;
/// The maximum length of a chunk in any format epoch, in plain bytes.
pub const CHUNK_LEN_MAX: u32 = 256 * 1024;
/// The maximum length of a disk, in bytes: 64 TiB, the most that any supported container format
/// allows.
pub const DISK_LEN_MAX: u64 = 64 << 40;

/// An error for a quantity outside its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfLimits {
    /// The length of a chunk is not 1 to [`CHUNK_LEN_MAX`].
    #[error("a chunk has 1 to {CHUNK_LEN_MAX} bytes, not {0}")]
    Chunk(u64),
    /// The length of a disk is not 1 to [`DISK_LEN_MAX`].
    #[error("a disk has 1 to {DISK_LEN_MAX} bytes, not {0}")]
    Disk(u64),
}

/// The number of bytes by which a frame may exceed its chunk.
const FRAME_SLACK: u32 = 4096;

/// The length of a chunk in plain bytes: 1 to [`CHUNK_LEN_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ChunkLen(u32);

impl ChunkLen {
    /// Proves a length.
    ///
    /// # Errors
    /// If the length is zero or over [`CHUNK_LEN_MAX`].
    pub fn new(len: u64) -> Result<Self, OutOfLimits> {
        match u32::try_from(len) {
            Ok(len @ 1..=CHUNK_LEN_MAX) => Ok(Self(len)),
            _ => Err(OutOfLimits::Chunk(len)),
        }
    }

    /// Returns the length in bytes.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns true if a frame of `stored_len` bytes may hold the chunk.
    #[must_use]
    pub const fn may_be_stored_in(self, stored_len: u32) -> bool {
        stored_len > 0 && stored_len <= self.0 + FRAME_SLACK
    }
}

impl From<ChunkLen> for u64 {
    fn from(len: ChunkLen) -> u64 {
        u64::from(len.0)
    }
}

impl From<ChunkLen> for usize {
    fn from(len: ChunkLen) -> usize {
        len.0 as usize
    }
}

/// The length of a disk in bytes: 1 to [`DISK_LEN_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DiskLen(u64);

impl DiskLen {
    /// Proves a length.
    ///
    /// # Errors
    /// If the length is zero or over [`DISK_LEN_MAX`].
    pub fn new(len: u64) -> Result<Self, OutOfLimits> {
        match len {
            1..=DISK_LEN_MAX => Ok(Self(len)),
            _ => Err(OutOfLimits::Disk(len)),
        }
    }

    /// Returns the length in bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A number of bytes, printed for people as `1.5 GiB`. Exact below 1 KiB.
#[derive(Clone, Copy, Debug)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

/// A counted noun: `1 chunk`, `2 chunks`, `2 entries`, `2 leaves`. The noun is a singular.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        match (number, noun.strip_suffix('y'), noun.strip_suffix('f')) {
            (1, ..) => write!(f, "1 {noun}"),
            (_, Some(stem), _) => write!(f, "{number} {stem}ies"),
            (_, _, Some(stem)) => write!(f, "{number} {stem}ves"),
            _ => write!(f, "{number} {noun}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_outside_their_limits_are_refused() {
        assert!(ChunkLen::new(0).is_err());
        assert!(ChunkLen::new(1).is_ok());
        assert!(ChunkLen::new(u64::from(CHUNK_LEN_MAX)).is_ok());
        assert!(ChunkLen::new(u64::from(CHUNK_LEN_MAX) + 1).is_err());
        assert!(ChunkLen::new((1 << 32) + 1).is_err(), "no wrap to a small length");
        assert!(DiskLen::new(0).is_err());
        assert!(DiskLen::new(DISK_LEN_MAX).is_ok());
        assert!(DiskLen::new(DISK_LEN_MAX + 1).is_err());
    }

    #[test]
    fn bytes_read_well() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (4 << 30, "4.0 GiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(HumanBytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_noun_agrees_with_its_number() {
        let cases = [
            (0, "chunk", "0 chunks"),
            (1, "chunk", "1 chunk"),
            (2, "other object", "2 other objects"),
            (1, "entry", "1 entry"),
            (3, "entry", "3 entries"),
            (2, "leaf", "2 leaves"),
        ];
        for (number, noun, text) in cases {
            assert_eq!(Counted(number, noun).to_string(), text);
        }
    }
}
