//! Subtree values of aligned runs of zeros, from a committed table.
//!
//! `zeros.bin` has the value of each granule of the first [`GRANULES_END`] bytes of a disk, then
//! the value of each leaf up to [`LEAVES_END`]. `./dev zeros` regenerates the table; a test
//! recomputes a part of it.

use seawall_api::content::SubtreeValue;
use seawall_api::index::LEAF_SPAN;

/// Length of the shortest run of zeros with a known value, in bytes.
pub const GRANULE: u64 = 2 << 20;
/// Disk offset up to which granules have known values, in bytes.
const GRANULES_END: u64 = 128 << 30;
/// Disk offset up to which whole leaves have known values, in bytes. A part of the format: a leaf
/// of zeros at this offset or later has the value of the leaf of zeros at offset 0 (docs/adr/0002).
pub const LEAVES_END: u64 = 5 << 40;

const TABLE_LEN: u64 = (GRANULES_END / GRANULE + LEAVES_END / LEAF_SPAN) * 32;
static TABLE: &[u8] = include_bytes!("zeros.bin");
const _: () = assert!(
    TABLE.len() as u64 == TABLE_LEN,
    "the table has one value for each granule and each leaf"
);

/// A run of zeros with a known value.
pub(super) struct Known {
    pub(super) value: SubtreeValue,
    pub(super) len: u64,
}

/// Returns the run of zeros at `offset`, if the table has one.
pub(super) fn known(offset: u64) -> Option<Known> {
    if offset < GRANULES_END && offset.is_multiple_of(GRANULE) {
        Some(Known { value: entry(offset / GRANULE)?, len: GRANULE })
    } else if offset >= GRANULES_END {
        Some(Known { value: known_leaf(offset)?, len: LEAF_SPAN })
    } else {
        None
    }
}

/// Returns the value of the leaf of zeros at `offset`, if the table has one.
pub(super) fn known_leaf(offset: u64) -> Option<SubtreeValue> {
    let is_leaf = offset < LEAVES_END && offset.is_multiple_of(LEAF_SPAN);
    is_leaf.then(|| entry(GRANULES_END / GRANULE + offset / LEAF_SPAN)).flatten()
}

fn entry(number: u64) -> Option<SubtreeValue> {
    let start = usize::try_from(number).ok()? * 32;
    Some(SubtreeValue(TABLE.get(start..start + 32)?.try_into().ok()?))
}
