//! The comparison of two disks by their extents, without reading chunks.

use seawall_api::index::{Extent, LEAF_SPAN};

/// The state of a comparison. Leaves are added in disk order.
#[derive(Default, Debug)]
pub(super) struct Comparison {
    runs: u64,
    bytes: u64,
    /// True if the bytes before the next leaf belong to a run.
    in_run: bool,
    /// The plain length of chunks absent from `from`, in bytes, each chunk counted once.
    pub(super) new_plain_bytes: u64,
}

impl Comparison {
    /// Returns the number of runs of differing bytes.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// Returns the total length of the runs, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a leaf identical on both sides.
    pub(super) fn same_leaf(&mut self) {
        self.in_run = false;
    }

    /// Adds a leaf. Beyond its end, `from` reads as zeros.
    pub(super) fn leaf(&mut self, from: &[Extent], to: &[Extent]) {
        let mut before = Cursor::new(from);
        for extent in to {
            let start = before.position;
            let end = start + extent.disk_len();
            match extent {
                Extent::Data(chunk) => {
                    let same = before.at_start() == Some(&Extent::Data(*chunk));
                    before.advance(end);
                    self.segment(same, end - start);
                }
                Extent::Hole(_) => {
                    while before.position < end {
                        let from = before.position;
                        let is_hole = before.is_hole();
                        before.advance(before.end().min(end));
                        self.segment(is_hole, before.position - from);
                    }
                }
            }
        }
    }

    fn segment(&mut self, same: bool, len: u64) {
        if same {
            self.in_run = false;
            return;
        }
        if !self.in_run {
            self.runs += 1;
        }
        self.in_run = true;
        self.bytes += len;
    }
}

/// A position in a list of extents, followed by an endless hole.
struct Cursor<'a> {
    extents: &'a [Extent],
    /// The start of the first extent.
    start: u64,
    position: u64,
}

impl<'a> Cursor<'a> {
    fn new(extents: &'a [Extent]) -> Self {
        Self { extents, start: 0, position: 0 }
    }

    /// Returns the extent that begins exactly at this position.
    fn at_start(&self) -> Option<&'a Extent> {
        if self.start == self.position { self.extents.first() } else { None }
    }

    fn is_hole(&self) -> bool {
        !matches!(self.extents.first(), Some(Extent::Data(_)))
    }

    /// Returns the end of the extent at this position.
    fn end(&self) -> u64 {
        self.extents.first().map_or(LEAF_SPAN, |extent| self.start + extent.disk_len())
    }

    fn advance(&mut self, to: u64) {
        self.position = to;
        while let Some((first, rest)) = self.extents.split_first() {
            if self.start + first.disk_len() > to {
                return;
            }
            self.start += first.disk_len();
            self.extents = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::ChunkDigest;
    use seawall_api::index::ChunkRef;
    use seawall_api::units::ChunkLen;

    use super::*;

    fn data(seed: u8, len: u64) -> Extent {
        let digest = ChunkDigest::of(&[seed]);
        Extent::Data(ChunkRef { digest, len: ChunkLen::new(len).unwrap() })
    }

    fn check(from: &[Extent], to: &[Extent], runs: u64, bytes: u64) {
        let mut comparison = Comparison::default();
        comparison.leaf(from, to);
        assert_eq!((comparison.runs(), comparison.bytes()), (runs, bytes), "{from:?} {to:?}");
    }

    #[test]
    fn runs_are_counted_where_bytes_differ() {
        use Extent::Hole;
        check(&[data(1, 4), data(2, 4)], &[data(1, 4), data(2, 4)], 0, 0);
        check(&[data(1, 4), data(2, 4), Hole(4)], &[data(1, 4), data(3, 4), Hole(4)], 1, 4);
        check(&[data(1, 4), Hole(8)], &[Hole(4), data(1, 4), Hole(4)], 1, 8);
        check(&[Hole(4), data(1, 4), Hole(4)], &[Hole(12)], 1, 4);
        check(&[data(1, 4), Hole(4), data(2, 4)], &[Hole(12)], 2, 8);
        check(&[], &[data(1, 4), Hole(4)], 1, 4);
        check(&[data(1, 4)], &[data(1, 4), Hole(4), data(2, 4)], 1, 4);
        check(&[data(1, 4), data(1, 4)], &[data(1, 2), data(1, 4), data(1, 2)], 1, 8);
    }
}
