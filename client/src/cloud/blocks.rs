//! The blocks of a volume that must be written, by comparison of the indexes of two disks.
//!
//! No byte is read, and the provider is not asked: a chunk of the same digest at the same offset
//! has the same bytes.

use seawall_api::index::{Extent, LEAF_SPAN};

use crate::directory::DiskLayout;
use crate::host::HostError;

/// Returns the ascending indexes of the blocks of `block_len` bytes in which a disk may differ from
/// `old`, or from zeros. A block that became zeros is among them.
///
/// # Errors
/// Fails if the cache has lost a leaf.
pub(super) fn changed(
    old: Option<&DiskLayout>,
    new: &DiskLayout,
    block_len: u64,
) -> Result<Vec<u64>, HostError> {
    let mut blocks = Vec::new();
    let leaves = new.leaf_count().max(old.map_or(0, DiskLayout::leaf_count));
    for position in 0..leaves {
        let digest =
            |layout: &DiskLayout| layout.index().leaves().get(position).map(|it| it.digest);
        if old.is_some_and(|old| digest(old) == digest(new)) {
            continue;
        }
        let before = old.map_or(Ok(Vec::new()), |old| extents(old, position))?;
        let after = extents(new, position)?;
        let start = position as u64 * LEAF_SPAN;
        differences(&before, &after, |from, to| {
            let first = (start + from) / block_len;
            let end = (start + to).div_ceil(block_len);
            let first = blocks.last().map_or(first, |last: &u64| first.max(last + 1));
            blocks.extend(first..end);
        });
    }
    Ok(blocks)
}

/// Returns the extents of a leaf; none for a leaf behind the disk's end, which reads as zeros.
fn extents(layout: &DiskLayout, position: usize) -> Result<Vec<Extent>, HostError> {
    if position >= layout.leaf_count() {
        return Ok(Vec::new());
    }
    layout.extents_of(position)
}

/// Calls `found` with each range in which two lists of extents differ. Zeros follow a list.
fn differences(old: &[Extent], new: &[Extent], mut found: impl FnMut(u64, u64)) {
    let (mut old, mut new) = (Cursor::new(old), Cursor::new(new));
    let mut at = 0;
    while let Some(end) = old.end().into_iter().chain(new.end()).min() {
        let is_same = match (old.data(), new.data()) {
            (None, None) => true,
            (Some(a), Some(b)) => a == b && old.start == new.start,
            _ => false,
        };
        if !is_same {
            found(at, end);
        }
        old.pass(end);
        new.pass(end);
        at = end;
    }
}

/// A position in a list of extents.
struct Cursor<'a> {
    rest: &'a [Extent],
    start: u64,
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a [Extent]) -> Self {
        Self { rest, start: 0 }
    }

    /// Returns the end of the current extent.
    fn end(&self) -> Option<u64> {
        self.rest.first().map(|extent| self.start + extent.disk_len())
    }

    fn data(&self) -> Option<seawall_api::index::ChunkRef> {
        match self.rest.first() {
            Some(Extent::Data(chunk)) => Some(*chunk),
            _ => None,
        }
    }

    fn pass(&mut self, to: u64) {
        if self.end() == Some(to) {
            self.start = to;
            self.rest = &self.rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seawall_api::digest::ChunkDigest;
    use seawall_api::index::ChunkRef;

    use super::*;

    const UNIT: u64 = 16 << 10;

    /// Makes extents: each pair is a chunk's seed (0 for a hole) and a length in units.
    fn extents(parts: &[(u8, u64)]) -> Vec<Extent> {
        let extent = |(seed, units): &(u8, u64)| {
            let len = u32::try_from(units * UNIT).unwrap();
            match seed {
                0 => Extent::Hole(len),
                _ => Extent::Data(ChunkRef {
                    digest: ChunkDigest::of(&[*seed, u8::try_from(*units).unwrap()]),
                    len: seawall_api::units::ChunkLen::new(len.into()).unwrap(),
                }),
            }
        };
        parts.iter().map(extent).collect()
    }

    /// Returns for each unit of disk the chunk's name and the offset in it.
    fn units(parts: &[(u8, u64)]) -> Vec<(u8, u64, u64)> {
        let unit = |(seed, len): &(u8, u64)| {
            let (seed, len) = (*seed, *len);
            (0..len).map(move |at| if seed == 0 { (0, 0, 0) } else { (seed, len, at) })
        };
        parts.iter().flat_map(unit).collect()
    }

    proptest! {
        /// Every unit that differs is in a range, and a range begins and ends where extents do.
        #[test]
        fn no_difference_is_missed_and_equal_lists_have_none(
            old in prop::collection::vec((0u8..4, 1u64..5), 0..12),
            new in prop::collection::vec((0u8..4, 1u64..5), 0..12),
        ) {
            let mut found = Vec::new();
            differences(&extents(&old), &extents(&new), |from, to| found.push(from..to));
            let (before, after) = (units(&old), units(&new));
            for at in 0..before.len().max(after.len()) {
                let get = |all: &[(u8, u64, u64)]| all.get(at).copied().unwrap_or((0, 0, 0));
                let offset = at as u64 * UNIT;
                let is_found = found.iter().any(|range| range.contains(&offset));
                prop_assert!(is_found || get(&before) == get(&after), "{at}");
            }
            let mut same = 0;
            differences(&extents(&new), &extents(&new), |_, _| same += 1);
            prop_assert_eq!(same, 0);
        }
    }
}
