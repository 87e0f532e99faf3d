//! Decodes bytes as a leaf and as a list of leaves: accepted bytes are encoded to the same bytes.
//!
//! Seeds: the golden bytes of docs/FORMAT.md, in `fuzz/seeds/index`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_api::index::{DiskIndex, Extent, LEAF_SPAN, Leaf, leaf_count, leaf_range};
use seawall_api::units::DISK_LEN_MAX;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(leaf) = Leaf::decode_any(bytes) {
        check_leaf(bytes, &leaf);
    }
    if let Ok(list) = DiskIndex::decode(bytes) {
        check_list(bytes, &list);
    }
});

fn check_leaf(bytes: &[u8], leaf: &Leaf) {
    assert_eq!(leaf.encode(), bytes, "one leaf has one spelling");
    let span_len = leaf.span_len();
    assert!((1..=LEAF_SPAN).contains(&span_len));
    assert_eq!(Leaf::decode(bytes, span_len).as_ref(), Ok(leaf));
    assert!(Leaf::decode(bytes, span_len + 1).is_err(), "a leaf of another span");
    let extents = leaf.extents();
    assert!(extents.iter().all(|extent| extent.disk_len() > 0));
    let touch = |pair: &[Extent]| matches!(pair, [Extent::Hole(_), Extent::Hole(_)]);
    assert!(!extents.windows(2).any(touch), "two holes touch");
    assert!(leaf.chunks().count() <= extents.len());
}

fn check_list(bytes: &[u8], list: &DiskIndex) {
    assert_eq!(list.encode(), bytes, "one list has one spelling");
    let disk_len = list.disk_len();
    assert!((1..=DISK_LEN_MAX).contains(&disk_len.get()));
    assert_eq!(list.leaves().len(), leaf_count(disk_len));
    let last = leaf_range(disk_len, list.leaves().len() - 1);
    assert_eq!(last.end, disk_len.get(), "the last leaf ends where the disk does");
    let again = DiskIndex::new(disk_len, list.grid_offset(), list.leaves().to_vec());
    assert_eq!(again.as_ref(), Ok(list));
}
