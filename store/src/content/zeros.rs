//! The values of aligned runs of zeros, from a committed table.
//!
//! `zeros.bin` holds the value of each granule of the first [`GRANULES_END`] bytes of a disk, then
//! that of each leaf up to [`LEAVES_END`]; further on, zeros are hashed. `./dev zeros` writes the
//! table anew; a test recomputes a part of it.

use seawall_api::content::SubtreeValue;
use seawall_api::index::LEAF_SPAN;

/// The finest run of zeros with a known value, in bytes.
pub const GRANULE: u64 = 16 << 20;
/// Granules are known up to this disk offset.
const GRANULES_END: u64 = 128 << 30;
/// Whole leaves are known up to this disk offset.
const LEAVES_END: u64 = 1 << 40;

static TABLE: &[u8; 384 << 10] = include_bytes!("zeros.bin");
const _: () = assert!(
    (GRANULES_END / GRANULE + LEAVES_END / LEAF_SPAN) * 32 == 384 << 10,
    "the table has one value for each granule and each leaf"
);

/// A run of zeros whose value is known.
pub(super) struct Known {
    pub(super) value: SubtreeValue,
    pub(super) len: u64,
}

/// The run of zeros that begins at `offset`, if the table has one.
pub(super) fn known(offset: u64) -> Option<Known> {
    let (entry, len) = if offset < GRANULES_END && offset.is_multiple_of(GRANULE) {
        (offset / GRANULE, GRANULE)
    } else if (GRANULES_END..LEAVES_END).contains(&offset) && offset.is_multiple_of(LEAF_SPAN) {
        (GRANULES_END / GRANULE + offset / LEAF_SPAN, LEAF_SPAN)
    } else {
        return None;
    };
    let start = usize::try_from(entry).ok()? * 32;
    let value = TABLE.get(start..start + 32)?.try_into().ok()?;
    Some(Known { value: SubtreeValue(value), len })
}
