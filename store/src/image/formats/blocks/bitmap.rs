//! Sector bitmaps: one bit for each sector of a block, set if the file has the sector.

use std::sync::Arc;

use crate::image::ImageError;
use crate::image::formats::cache::Cache;
use crate::image::source::NamedSource;

/// Number of bitmaps cached per file. Readers move forward, so a few per thread suffice. With
/// bitmaps of the maximum length, 64 KiB for blocks of 256 MiB, a chain of 64 files caches 32 MiB.
const BITMAPS_MAX: usize = 8;

/// The bit of a byte that stands for the first of its eight sectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::image) enum First {
    Highest,
    Lowest,
}

/// The bitmaps of a file, keyed by file offset.
pub(in crate::image) struct Bitmaps {
    first: First,
    cache: Cache<u64, Arc<[u8]>>,
}

impl Bitmaps {
    pub(in crate::image) fn new(first: First) -> Self {
        Self { first, cache: Cache::new(BITMAPS_MAX) }
    }

    /// Returns the bit of `sector` in the bitmap of `len` bytes at `offset`, and the number of
    /// sectors from there on, within the bitmap, with the same bit.
    pub(in crate::image) fn run(
        &self,
        source: &NamedSource,
        offset: u64,
        len: u64,
        sector: u64,
    ) -> Result<(bool, u64), ImageError> {
        let bitmap = self.load(source, offset, len)?;
        let sectors = len * 8;
        let bit = |sector: u64| {
            let byte = usize::try_from(sector / 8).map_or(0, |at| bitmap[at]);
            let bit = match self.first {
                First::Highest => 7 - sector % 8,
                First::Lowest => sector % 8,
            };
            byte >> bit & 1 == 1
        };
        let is_set = bit(sector);
        let alike = if is_set { 0xff } else { 0 };
        let mut end = sector + 1;
        while end < sectors {
            if end.is_multiple_of(8) && usize::try_from(end / 8).is_ok_and(|at| bitmap[at] == alike)
            {
                end += 8;
            } else if bit(end) == is_set {
                end += 1;
            } else {
                break;
            }
        }
        Ok((is_set, end - sector))
    }

    fn load(&self, source: &NamedSource, offset: u64, len: u64) -> Result<Arc<[u8]>, ImageError> {
        if let Some(bitmap) = self.cache.get(offset) {
            return Ok(bitmap);
        }
        if offset.checked_add(len).is_none_or(|end| end > source.len) {
            let reason = format!("it ends past the end of the file at {}", source.len);
            return Err(source.damaged("sector bitmap", offset, reason));
        }
        let mut bitmap = vec![0; usize::try_from(len).unwrap_or(0)];
        source.read(offset, &mut bitmap)?;
        let bitmap: Arc<[u8]> = bitmap.into();
        self.cache.put(offset, bitmap.clone());
        Ok(bitmap)
    }
}
