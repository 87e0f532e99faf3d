use proptest::prelude::*;
use seawall_api::content::content_digest;
use seawall_api::digest::ContentDigest;

use super::*;

#[derive(Debug, Clone)]
enum Run {
    Data(Vec<u8>),
    Zeros(u64),
}

fn digest_of(runs: &[Run]) -> ContentDigest {
    let mut hasher = LeafHasher::new(0, true);
    for run in runs {
        match run {
            Run::Data(bytes) => hasher.update(bytes),
            Run::Zeros(len) => hasher.update_zeros(*len),
        }
    }
    content_digest(&[hasher.finish()])
}

fn plain_digest_of(runs: &[Run]) -> ContentDigest {
    let mut hasher = Hasher::new();
    for run in runs {
        match run {
            Run::Data(bytes) => hasher.update(bytes),
            Run::Zeros(len) => hasher.update(&vec![0; usize::try_from(*len).unwrap()]),
        };
    }
    ContentDigest::from_bytes(*hasher.finalize().as_bytes())
}

#[test]
fn runs_around_every_edge_hash_as_plain_blake3_does() {
    let edges = [1, 511, 4096, GRANULE - 1, GRANULE, GRANULE + 1, 2 * GRANULE, 3 * GRANULE];
    for zeros in edges {
        for data in [0, 1, 4096, 100_000] {
            let data = Run::Data(vec![7; data]);
            let zeros = Run::Zeros(zeros);
            for runs in [
                vec![zeros.clone()],
                vec![zeros.clone(), data.clone()],
                vec![data.clone(), zeros.clone()],
                vec![data.clone(), zeros.clone(), data.clone()],
            ] {
                assert_eq!(digest_of(&runs), plain_digest_of(&runs));
            }
        }
    }
}

/// The table against plain hashing, at entries near its start, its seam and its end.
#[test]
fn the_table_is_true() {
    for offset in [0, GRANULE, 100 * GRANULE, (128 << 30) - GRANULE] {
        let known = zeros::known(offset).unwrap();
        assert_eq!(known.len, GRANULE);
        assert_eq!(known.value, hashed(offset, GRANULE), "granule at {offset}");
    }
    for offset in [128 << 30, (1 << 40) - LEAF_SPAN, 1 << 40, 4 << 40, LEAVES_END - LEAF_SPAN] {
        let known = zeros::known(offset).unwrap();
        assert_eq!(known.len, LEAF_SPAN);
        assert_eq!(known.value, hashed(offset, LEAF_SPAN), "leaf at {offset}");
    }
    for leaf in (0..128 << 30).step_by(usize::try_from(LEAF_SPAN).unwrap()) {
        let step = usize::try_from(GRANULE).unwrap();
        let granules = (leaf..leaf + LEAF_SPAN).step_by(step);
        let values: Vec<_> = granules.map(|at| zeros::known(at).unwrap().value).collect();
        assert_eq!(merge(&values, false), zeros::known_leaf(leaf).unwrap(), "leaf at {leaf}");
    }
    assert!(zeros::known(LEAVES_END).is_none());
    assert!(zeros::known(4096).is_none());
}

fn hashed(offset: u64, len: u64) -> SubtreeValue {
    let mut hasher = hasher_at(offset);
    for _ in 0..len / ZEROS.len() as u64 {
        hasher.update(&ZEROS);
    }
    SubtreeValue(hasher.finalize_non_root())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_runs_hash_as_plain_blake3_does(runs in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..5000).prop_map(Run::Data),
            (0u64..20 << 20).prop_map(Run::Zeros),
        ],
        1..6,
    )) {
        prop_assert_eq!(digest_of(&runs), plain_digest_of(&runs));
    }
}

/// Disks around the edges of a piece, a granule and a leaf, with a piece of data here and there.
#[test]
fn pieces_hash_to_the_digest_that_leaves_hash_to() {
    let lens = [1, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, GRANULE, GRANULE + 5000, LEAF_SPAN];
    for len in lens.into_iter().chain([LEAF_SPAN + 1, 2 * LEAF_SPAN + PIECE_LEN + 7]) {
        let count = len.div_ceil(PIECE_LEN);
        for with_data in [vec![], vec![0], vec![count - 1], vec![0, count / 2, count - 1]] {
            let mut pieces = Pieces::new(len);
            let mut plain = Hasher::new();
            for piece in 0..count {
                let start = piece * PIECE_LEN;
                let piece_len = usize::try_from(PIECE_LEN.min(len - start)).unwrap();
                let bytes = vec![u8::from(with_data.contains(&piece)); piece_len];
                plain.update(&bytes);
                if with_data.contains(&piece) {
                    pieces.put(start, piece_value(start, &bytes, pieces.is_one()));
                }
            }
            let leaves = usize::try_from(len.div_ceil(LEAF_SPAN)).unwrap() as u64;
            let values: Vec<_> = (0..leaves).map(|leaf| pieces.leaf(leaf * LEAF_SPAN)).collect();
            let plain = ContentDigest::from_bytes(*plain.finalize().as_bytes());
            assert_eq!(content_digest(&values), plain, "{len} bytes, data in {with_data:?}");
        }
    }
}

/// Past the table, a leaf of zeros has the value of the one at offset 0, in whatever way its zeros
/// are fed. Any other leaf has the value of plain BLAKE3.
#[test]
fn a_leaf_of_zeros_past_the_table_is_a_constant_and_no_other_leaf_is() {
    let past = LEAVES_END + 7 * LEAF_SPAN;
    let constant = zeros::known_leaf(0).unwrap();
    let mut in_one = LeafHasher::new(past, false);
    in_one.update_zeros(LEAF_SPAN);
    assert_eq!(in_one.finish(), constant);
    let mut in_parts = LeafHasher::new(past, false);
    in_parts.update_zeros(GRANULE + 512);
    in_parts.update(&[0; 4096]);
    in_parts.update_zeros(LEAF_SPAN - GRANULE - 4608);
    assert_eq!(in_parts.finish(), constant);
    assert_eq!(Pieces::new(past + LEAF_SPAN).leaf(past), constant);

    for at in [0, GRANULE + 5, LEAF_SPAN - 1] {
        let mut fed = LeafHasher::new(past, false);
        fed.update_zeros(at);
        fed.update(b"x");
        fed.update_zeros(LEAF_SPAN - at - 1);
        let mut plain = hasher_at(past);
        let feed = |plain: &mut Hasher, mut len: u64| {
            while len > 0 {
                let step = len.min(ZEROS.len() as u64);
                plain.update(&ZEROS[..usize::try_from(step).unwrap()]);
                len -= step;
            }
        };
        feed(&mut plain, at);
        plain.update(b"x");
        feed(&mut plain, LEAF_SPAN - at - 1);
        assert_eq!(fed.finish(), SubtreeValue(plain.finalize_non_root()), "data at {at}");
    }
    // The last leaf of a disk may be short.
    let mut short = LeafHasher::new(past, false);
    short.update_zeros(4096);
    let mut plain = hasher_at(past);
    plain.update(&ZEROS[..4096]);
    assert_eq!(short.finish(), SubtreeValue(plain.finalize_non_root()));
}
