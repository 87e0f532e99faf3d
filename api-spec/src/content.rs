//! The content digest of a disk, computed from separately hashed parts.
//!
//! A content digest is plain BLAKE3 over the whole disk. BLAKE3 is a binary tree over 1 KiB inputs
//! (BLAKE3 paper, section 2.1). An aligned run with a power-of-two length is therefore a subtree
//! with its own *chaining value*, and the values of all leaves of an index merge into the digest.

use blake3::hazmat::{self, Mode};

use crate::digest::ContentDigest;

/// The chaining value of an aligned subtree of a disk. For a disk with one leaf, the disk's digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SubtreeValue(pub [u8; 32]);

/// Merges the values of equal, aligned spans (the last may be shorter) into one value.
///
/// The spans start at 0 or at a multiple of their common power-of-two capacity. `is_root` states
/// that the spans are the whole input, so that the last merge is BLAKE3's root.
///
/// # Panics
/// If `values` is empty: a disk has at least one byte.
#[must_use]
pub fn merge(values: &[SubtreeValue], is_root: bool) -> SubtreeValue {
    match values {
        [] => panic!("a disk has at least one leaf"),
        [only] => *only,
        _ => {
            // BLAKE3 paper, section 2.1: the left subtree is the largest complete one that
            // leaves at least one byte to the right.
            let left_count = values.len().next_power_of_two() / 2;
            let (left, right) = values.split_at(left_count);
            let (left, right) = (merge(left, false), merge(right, false));
            SubtreeValue(if is_root {
                *hazmat::merge_subtrees_root(&left.0, &right.0, Mode::Hash).as_bytes()
            } else {
                hazmat::merge_subtrees_non_root(&left.0, &right.0, Mode::Hash)
            })
        }
    }
}

/// Returns the content digest of a disk whose leaves have `values`.
#[must_use]
pub fn content_digest(values: &[SubtreeValue]) -> ContentDigest {
    ContentDigest::from_bytes(merge(values, true).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blake3::hazmat::HasherExt;

    /// Merging any number of whole spans and a remainder gives the digest that `b3sum` prints.
    #[test]
    fn merged_subtrees_are_the_plain_digest() {
        const SPAN: usize = 4096;
        let bytes: Vec<u8> = (0..=250).cycle().take(SPAN * 9).collect();
        for len in (1..=9 * SPAN).step_by(1777).chain((1..=9).map(|n| n * SPAN)) {
            let disk = &bytes[..len];
            let whole = ContentDigest::of(disk);
            if len <= SPAN {
                assert_eq!(content_digest(&[SubtreeValue(*whole.as_bytes())]), whole);
                continue;
            }
            let values: Vec<_> = disk
                .chunks(SPAN)
                .enumerate()
                .map(|(i, span)| {
                    let mut hasher = blake3::Hasher::new();
                    hasher.set_input_offset((i * SPAN) as u64);
                    SubtreeValue(hasher.update(span).finalize_non_root())
                })
                .collect();
            assert_eq!(content_digest(&values), whole, "{len} bytes");
        }
    }
}
