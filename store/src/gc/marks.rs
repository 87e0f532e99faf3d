//! A compact set of reachable chunks.

use seawall_api::digest::ChunkDigest;

/// The first eight bytes of a digest. Digests are uniform, so the prefix tells apart the chunks of
/// any store. A collision, however unlikely, only keeps a chunk longer than needed.
type Prefix = u64;

/// Minimum number of unsorted entries in a builder before they are sorted in.
const TAIL_COUNT_MIN: usize = 1 << 16;

fn prefix(digest: &ChunkDigest) -> Prefix {
    let bytes = digest.as_bytes();
    Prefix::from_be_bytes(*bytes.first_chunk().unwrap_or(&[0; 8]))
}

/// The set of reachable chunks, at 8 bytes each.
#[derive(Clone, Debug, Default)]
pub struct Marks(Vec<Prefix>);

/// A builder of [`Marks`]. Chunks may be added repeatedly.
#[derive(Debug, Default)]
pub struct MarksBuilder {
    /// Sorted, without duplicates.
    sorted: Vec<Prefix>,
    tail: Vec<Prefix>,
}

impl MarksBuilder {
    /// Adds a chunk.
    pub fn add(&mut self, chunk: &ChunkDigest) {
        self.tail.push(prefix(chunk));
        // Sorted in at a quarter of the sorted part: memory stays in proportion to the distinct
        // chunks, and each of them is merged only a few times.
        if self.tail.len() >= TAIL_COUNT_MIN.max(self.sorted.len() / 4) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.tail.sort_unstable();
        self.tail.dedup();
        // The stable sort detects the two sorted runs and merges them.
        self.sorted.append(&mut self.tail);
        self.sorted.sort();
        self.sorted.dedup();
    }

    /// Returns the set of the chunks added.
    #[must_use]
    pub fn finish(mut self) -> Marks {
        self.settle();
        self.sorted.shrink_to_fit();
        Marks(self.sorted)
    }
}

impl Marks {
    /// Returns whether a chunk is in the set.
    #[must_use]
    pub fn contains(&self, chunk: &ChunkDigest) -> bool {
        self.0.binary_search(&prefix(chunk)).is_ok()
    }

    /// Returns the number of distinct chunks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns a walk, for membership tests of chunks in ascending order: cheaper than
    /// [`Self::contains`] for each.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk { rest: &self.0 }
    }
}

/// A cursor over [`Marks`], for membership tests in ascending order.
#[derive(Debug)]
pub struct Walk<'a> {
    rest: &'a [Prefix],
}

impl Walk<'_> {
    /// Returns whether a chunk is in the set. Chunks must be asked for in ascending order.
    pub fn contains(&mut self, chunk: &ChunkDigest) -> bool {
        let wanted = prefix(chunk);
        // Exponential search: the next chunk of a sorted list is near.
        let mut step = 1;
        while self.rest.get(step).is_some_and(|found| *found <= wanted) {
            self.rest = &self.rest[step..];
            step *= 2;
        }
        let end = self.rest.len().min(step + 1);
        let skip = self.rest[..end].partition_point(|found| *found < wanted);
        self.rest = &self.rest[skip..];
        self.rest.first() == Some(&wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(n: u32) -> ChunkDigest {
        ChunkDigest::of(&n.to_le_bytes())
    }

    proptest! {
        #[test]
        fn marks_hold_what_was_added_and_nothing_else(
            added in proptest::collection::vec(0u32..500, 0..800),
            asked in proptest::collection::vec(0u32..600, 0..200),
        ) {
            let mut builder = MarksBuilder::default();
            added.iter().for_each(|n| builder.add(&chunk(*n)));
            let marks = builder.finish();
            let mut asked: Vec<_> = asked.into_iter().map(|n| (chunk(n), n)).collect();
            asked.sort_unstable();
            let mut walk = marks.walk();
            for (digest, n) in asked {
                let want = added.contains(&n);
                prop_assert_eq!(marks.contains(&digest), want);
                prop_assert_eq!(walk.contains(&digest), want, "while walking");
            }
        }
    }

    #[test]
    fn a_chunk_that_is_added_often_takes_no_room() {
        let mut builder = MarksBuilder::default();
        for _ in 0..5 {
            (0..100_000).for_each(|n| builder.add(&chunk(n)));
        }
        assert!(builder.tail.capacity() <= 4 * TAIL_COUNT_MIN, "{}", builder.tail.capacity());
        assert_eq!(builder.finish().count(), 100_000);
    }
}
