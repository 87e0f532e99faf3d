use proptest::prelude::*;

use super::*;

fn chunk(seed: u32, len: u64) -> Extent {
    let digest = ChunkDigest::of(&seed.to_le_bytes());
    Extent::Data(ChunkRef { digest, len: ChunkLen::new(len).unwrap() })
}

fn list_of(disk_len: u64) -> DiskIndex {
    let len = DiskLen::new(disk_len).unwrap();
    let leaves = (0..leaf_count(len))
        .map(|i| {
            let range = leaf_range(len, i);
            let leaf = Leaf::hole(range.end - range.start);
            LeafRef { digest: leaf.digest(), value: SubtreeValue([u8::try_from(i).unwrap(); 32]) }
        })
        .collect();
    DiskIndex::new(len, 0, leaves).unwrap()
}

/// Golden bytes: a change here changes the format of every store.
#[test]
fn a_leaf_has_these_bytes() {
    let leaf = Leaf::new(vec![chunk(1, 4096), Extent::Hole(8192), chunk(2, 512)], 12_800).unwrap();
    let bytes = leaf.encode();
    assert_eq!(
        hex::encode(&bytes),
        concat!(
            "53574c4601000000",
            "00100000",
            "c610e85212d0697cb161d4ba431ba603f273feee7dcb7927c9ff5d74ae6cbfa3",
            "00200080",
            "00020000",
            "f03bf86f79d121cbfd774dec4a65912e99f5f17c33852bbc45e819160e62b53b",
        )
    );
    assert_eq!(Leaf::decode(&bytes, 12_800), Ok(leaf));
}

#[test]
fn a_list_has_these_bytes() {
    let list = list_of(LEAF_SPAN + 512);
    let bytes = list.encode();
    assert_eq!(bytes.len(), 56 + 2 * 64);
    assert_eq!(&bytes[..24], b"SWINDEX\0\x01\0\0\0\0\0\0\0\x00\x02\x00\x10\0\0\0\0");
    assert_eq!(
        list.digest().to_string(),
        "blake3:57447b83e692c7898af5f7ddbb99d79c9be2101c243489280472641a3ce67ec4"
    );
    assert_eq!(DiskIndex::decode(&bytes), Ok(list));
}

#[test]
fn extents_out_of_canonical_form_are_refused() {
    let cases = [
        (vec![Extent::Hole(512), Extent::Hole(512)], 1024, "two holes touch"),
        (vec![chunk(1, 512), Extent::Hole(0)], 512, "empty"),
        (vec![chunk(1, 512)], 1024, "cover"),
        (vec![], 0, "cover"),
        (vec![Extent::Hole(u32::MAX >> 1)], (1 << 31) - 1, "cover"),
    ];
    for (extents, span_len, why) in cases {
        let error = Leaf::new(extents, span_len).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn damaged_bytes_are_refused_or_are_another_valid_leaf_never_a_panic() {
    let leaf = Leaf::new(vec![chunk(1, 4096), Extent::Hole(8192), chunk(2, 512)], 12_800).unwrap();
    let bytes = leaf.encode();
    for len in 0..bytes.len() {
        assert!(Leaf::decode(&bytes[..len], 12_800).is_err(), "cut to {len}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // A flip within a digest gives another valid leaf, with another name.
        assert_ne!(LeafDigest::of(&flipped), leaf.digest());
        let _ = Leaf::decode(&flipped, 12_800);
    }
}

#[test]
fn a_list_that_contradicts_its_content_digest_is_refused() {
    let bytes = list_of(3 * LEAF_SPAN).encode();
    for offset in [24, 56 + 32, bytes.len() - 1] {
        let mut bad = bytes.clone();
        bad[offset] ^= 1;
        assert!(matches!(DiskIndex::decode(&bad), Err(InvalidIndex::Content { .. })), "{offset}");
    }
    for len in 0..bytes.len() {
        assert!(DiskIndex::decode(&bytes[..len]).is_err(), "cut to {len}");
    }
}

#[test]
fn an_unknown_epoch_says_so() {
    let mut list = list_of(512).encode();
    list[8] = 2;
    assert_eq!(DiskIndex::decode(&list), Err(InvalidIndex::Epoch(2)));
    let mut leaf = Leaf::hole(512).encode();
    leaf[4] = 9;
    assert_eq!(Leaf::decode(&leaf, 512), Err(InvalidIndex::Epoch(9)));
}

#[test]
fn an_absurd_disk_length_costs_nothing() {
    let mut list = list_of(512).encode();
    list[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(DiskIndex::decode(&list), Err(InvalidIndex::Limits(_))));
    list[16..24].copy_from_slice(&DISK_LEN_MAX_BYTES);
    assert!(matches!(DiskIndex::decode(&list), Err(InvalidIndex::Length(..))));
}

const DISK_LEN_MAX_BYTES: [u8; 8] = crate::units::DISK_LEN_MAX.to_le_bytes();

proptest! {
    #[test]
    fn decoding_is_the_inverse_of_encoding(
        lens in prop::collection::vec((any::<bool>(), 1u32..=262_144), 1..50)
    ) {
        let mut extents: Vec<Extent> = Vec::new();
        for (i, (is_hole, len)) in lens.into_iter().enumerate() {
            let after_hole = matches!(extents.last(), Some(Extent::Hole(_)));
            extents.push(if is_hole && !after_hole {
                Extent::Hole(len)
            } else {
                chunk(u32::try_from(i).unwrap(), u64::from(len))
            });
        }
        let span_len = extents.iter().map(Extent::disk_len).sum();
        let leaf = Leaf::new(extents, span_len).unwrap();
        prop_assert_eq!(Leaf::decode(&leaf.encode(), span_len), Ok(leaf));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Leaf::decode(&bytes, 512);
        let _ = DiskIndex::decode(&bytes);
    }
}
