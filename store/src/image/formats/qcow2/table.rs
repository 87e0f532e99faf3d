//! L1 and L2 tables; L2 tables are loaded a slice at a time.
//!
//! # Invariants
//!
//! 1. Only the non-empty entries of an L1 table are kept. The tables of a chain together have at
//!    most [`L1_ENTRIES_MAX`] entries, a limit that [`Limits`] carries from image to image.
//! 2. L2 tables are read in slices of at most [`SLICE_LEN_MAX`] bytes; a chain shares one cache of
//!    at most [`SLICES_LEN_MAX`] bytes.

use std::sync::Arc;

use super::super::cache::Cache;
use super::super::fields::be64;
use super::header::Header;
use crate::image::ImageError;
use crate::image::source::NamedSource;

/// Maximum number of L1 entries: QEMU's limit of 32 MiB for one table.
const L1_ENTRIES_MAX: u64 = (32 << 20) / 8;
const SLICE_LEN_MAX: u64 = 64 << 10;
const SLICES_LEN_MAX: u64 = 8 << 20;
/// Maximum number of cached slices. More would slow down the search for the oldest slice; reached
/// only with the smallest clusters.
const SLICES_MAX: u64 = 1024;

/// Bits 9 to 55: the offset in an L1 entry, and in an L2 entry of a standard cluster.
pub(super) const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;

/// The L1 entries left for a chain of images while it is opened.
pub(in crate::image) struct Limits {
    l1_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { l1_entries: L1_ENTRIES_MAX }
    }
}

/// The non-empty entries of an L1 table.
pub(super) struct L1 {
    /// In ascending order. At most 2^22 entries, so 32 bits suffice.
    indexes: Vec<u32>,
    offsets: Vec<u64>,
}

impl L1 {
    pub(super) fn load(
        source: &NamedSource,
        header: &Header,
        entries: u64,
        limits: &mut Limits,
    ) -> Result<Self, ImageError> {
        let (cluster_len, start) = (1u64 << header.cluster_bits, header.l1_offset);
        let wrong = |reason: String| source.damaged("L1 table", start, reason);
        if entries > u64::from(header.l1_len) {
            let has = header.l1_len;
            return Err(wrong(format!("it has {has} entries, the disk needs {entries}")));
        }
        if entries > limits.l1_entries {
            let left = limits.l1_entries;
            return Err(wrong(format!("{entries} entries are needed, at most {left} are read")));
        }
        limits.l1_entries -= entries;
        if !start.is_multiple_of(cluster_len) {
            return Err(wrong("it does not start at a cluster".to_owned()));
        }
        // Entries are bounded by 2^22, so the product cannot overflow.
        if start.checked_add(entries * 8).is_none_or(|end| end > source.len) {
            return Err(wrong(format!("it ends past the end of the file at {}", source.len)));
        }
        let mut table = Self { indexes: Vec::new(), offsets: Vec::new() };
        let mut words = Vec::new();
        for index in 0..u32::try_from(entries).unwrap_or(u32::MAX) {
            let in_part = index % L1_PART;
            if in_part == 0 {
                let part = u64::from(L1_PART).min(entries - u64::from(index));
                words = read_words(source, start + u64::from(index) * 8, part * 8)?;
            }
            let offset = words[in_part as usize] & OFFSET_MASK;
            if offset == 0 {
                continue;
            }
            if !offset.is_multiple_of(cluster_len) || offset >= source.len {
                let reason =
                    format!("entry {index} points to {offset}, which is not a cluster of the file");
                return Err(wrong(reason));
            }
            table.indexes.push(index);
            table.offsets.push(offset);
        }
        Ok(table)
    }

    /// Returns the offset of the L2 table at `index`, or else the index of the next L1 entry with a
    /// table.
    pub(super) fn find(&self, index: u64) -> Result<u64, Option<u64>> {
        let at = self.indexes.partition_point(|it| u64::from(*it) < index);
        match self.indexes.get(at) {
            Some(found) if u64::from(*found) == index => Ok(self.offsets[at]),
            next => Err(next.map(|it| u64::from(*it))),
        }
    }
}

/// Number of L1 entries read at once: 64 KiB of them.
const L1_PART: u32 = 8192;

/// A cache of the L2 slices of a whole chain, keyed by layer and offset.
pub(super) struct Slices {
    cache: Cache<(usize, u64), Arc<[u64]>>,
}

impl Slices {
    /// Creates a cache for slices of at most `slice_len` bytes.
    pub(super) fn new(slice_len: u64) -> Self {
        let capacity = (SLICES_LEN_MAX / slice_len.max(1)).clamp(1, SLICES_MAX);
        Self { cache: Cache::new(usize::try_from(capacity).unwrap_or(1)) }
    }

    /// Returns the slice of an L2 table at `offset`.
    pub(super) fn load(
        &self,
        layer: usize,
        source: &NamedSource,
        offset: u64,
        len: u64,
    ) -> Result<Arc<[u64]>, ImageError> {
        if let Some(slice) = self.cache.get((layer, offset)) {
            return Ok(slice);
        }
        if offset.checked_add(len).is_none_or(|end| end > source.len) {
            let reason = format!("it ends past the end of the file at {}", source.len);
            return Err(source.damaged("L2 table", offset, reason));
        }
        let slice: Arc<[u64]> = read_words(source, offset, len)?.into();
        self.cache.put((layer, offset), slice.clone());
        Ok(slice)
    }
}

/// Returns the length in bytes of L2 slices for clusters of `cluster_len` bytes: a power of two.
pub(super) fn slice_len(cluster_len: u64) -> u64 {
    cluster_len.min(SLICE_LEN_MAX)
}

/// Reads `len` bytes, at most 64 KiB, as big-endian words.
fn read_words(source: &NamedSource, offset: u64, len: u64) -> Result<Vec<u64>, ImageError> {
    let mut bytes = vec![0; usize::try_from(len.min(SLICE_LEN_MAX)).unwrap_or(0)];
    source.read(offset, &mut bytes)?;
    Ok(bytes.chunks_exact(8).map(|word| be64(word, 0)).collect())
}
