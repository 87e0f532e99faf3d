//! Tests of the format of maps. The vector is in docs/FORMAT.md.

use proptest::prelude::*;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::{ChunkRef, Extent, Leaf};
use seawall_api::units::ChunkLen;

use super::*;

fn mapped(extents: Vec<Extent>, span_len: u64, places: Vec<Place>) -> MappedLeaf {
    let bytes: Bytes = Leaf::new(extents, span_len).unwrap().encode().into();
    MappedLeaf { digest: LeafDigest::of(&bytes), bytes, places }
}

/// The part of the vector: the leaf of docs/FORMAT.md with two places in one pack.
fn part() -> MapPart {
    let chunk = |number: u8, len| {
        let digest = ChunkDigest::of(&[number, 0, 0, 0]);
        Extent::Data(ChunkRef { digest, len: ChunkLen::new(len).unwrap() })
    };
    let pack = PackDigest::of(b"pack");
    let place = |offset, stored_len, plain_len, encoding| Place {
        pack,
        offset,
        stored_len,
        plain_len,
        encoding,
    };
    let places = vec![place(16, 4096, 4096, 0), place(4112, 99, 512, 1)];
    let leaf = mapped(vec![chunk(1, 4096), Extent::Hole(8192), chunk(2, 512)], 12_800, places);
    MapPart {
        index: IndexDigest::of(b"index"),
        position: 0,
        is_last: true,
        list: Some(Bytes::from_static(b"list")),
        leaves: vec![leaf],
    }
}

#[test]
fn the_bytes_of_a_map_are_those_of_the_vector() {
    let bytes = part().encode();
    assert_eq!(bytes.len(), 244);
    assert_eq!(
        bytes[..32],
        *b"SWMAP\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x04\0\0\0\x01\0\0\0\x01\0\0\0"
    );
    let digest = blake3::hash(&bytes[..212]);
    assert_eq!(bytes[212..], *digest.as_bytes());
    assert_eq!(
        digest.to_hex().as_str(),
        "ca97567fe3b5784af7303cc11250b7e09e83f8680d06b6945c7542605753b55e",
        "the vector in docs/FORMAT.md"
    );
}

#[test]
fn a_part_is_read_as_it_was_written() {
    let mut without = part();
    without.leaves[0].places[1] = left_out(512);
    assert_eq!(MapPart::decode(&without.encode()).unwrap(), without);
    let later = MapPart { position: 7, is_last: false, list: None, ..part() };
    for part in [part(), later] {
        assert_eq!(MapPart::decode(&part.encode()).unwrap(), part);
    }
}

fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let end = bytes.len() - 32;
    let digest = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(digest.as_bytes());
    bytes.into()
}

#[test]
fn what_an_enemy_writes_is_refused() {
    let good = part().encode().to_vec();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        MapPart::decode(&sealed(bytes)).unwrap_err()
    };
    assert_eq!(changed(0, b'X'), InvalidMap::Magic);
    assert_eq!(changed(8, 2), InvalidMap::Epoch(2));
    assert!(matches!(changed(16, 2), InvalidMap::Malformed(_)), "the last part");
    assert!(matches!(changed(12, 1), InvalidMap::Malformed(_)), "a list in a later part");
    for at in [23, 27, 31] {
        assert!(matches!(changed(at, 0xff), InvalidMap::Malformed(_)), "a count at {at}");
    }
    let places = good.len() - 32 - 24;
    assert!(matches!(changed(places, 1), InvalidMap::Malformed(_)), "a pack that is not there");
    assert!(matches!(changed(places + 7, 2), InvalidMap::Malformed(_)), "an offset of 32 MiB");
    assert!(matches!(changed(places + 10, 0xff), InvalidMap::Malformed(_)), "a long frame");
    for len in 0..good.len() {
        MapPart::decode(&good[..len].to_vec().into()).unwrap_err();
    }
    let mut torn = good.clone();
    torn[100] ^= 1;
    assert_eq!(MapPart::decode(&torn.into()).unwrap_err(), InvalidMap::Torn);
}

proptest! {
    /// Nothing panics, whatever follows the header, and whatever is accepted is canonical.
    #[test]
    fn bytes_that_are_sealed_but_random_do_not_panic(
        at in 12usize..212,
        bytes in proptest::collection::vec(any::<u8>(), 1..24),
    ) {
        let mut changed = part().encode().to_vec();
        let end = (at + bytes.len()).min(212);
        changed[at..end].copy_from_slice(&bytes[..end - at]);
        let changed = sealed(changed);
        if let Ok(part) = MapPart::decode(&changed) {
            prop_assert_eq!(MapPart::decode(&part.encode()).unwrap(), part);
        }
    }
}
