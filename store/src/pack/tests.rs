use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::units::ChunkLen;

use super::*;

fn pack_of(chunks: &[&[u8]]) -> FinishedPack {
    let mut writer = PackWriter::default();
    for chunk in chunks {
        writer.push(ChunkDigest::of(chunk), ChunkLen::new(chunk.len() as u64).unwrap(), chunk);
    }
    writer.finish(None)
}

/// Golden bytes: an edit that changes them changes the format of every store.
#[test]
fn a_pack_has_these_bytes() {
    let pack = pack_of(&[b"seawall"]);
    let chunk = blake3::hash(b"seawall");
    let mut want = b"SWPACK\0\0\x01\0\0\0\0\0\0\0seawall".to_vec();
    let mut footer = b"\x01\0\0\0\x01\0\0\0".to_vec();
    footer.extend_from_slice(chunk.as_bytes());
    footer.extend_from_slice(b"\x07\0\0\0\x07\0\0\0\0\0\0\0");
    want.extend_from_slice(&footer);
    want.extend_from_slice(b"\x34\0\0\0");
    want.extend_from_slice(blake3::hash(&footer).as_bytes());
    assert_eq!(pack.bytes, want);
    assert_eq!(pack.digest, PackDigest::of(&footer));
}

#[test]
fn packed_chunks_are_verified_and_listed_in_order() {
    let text = b"sea ".repeat(5000);
    let pack = pack_of(&[b"seawall", &text, b"x"]);
    let verified = VerifiedPack::verify(pack.digest, pack.bytes.clone()).unwrap();
    let listed: Vec<_> = verified.frames().iter().map(|f| (f.digest, f.plain_len.get())).collect();
    assert_eq!(
        listed,
        [
            (ChunkDigest::of(b"seawall"), 7),
            (ChunkDigest::of(&text), 20_000),
            (ChunkDigest::of(b"x"), 1)
        ]
    );
    assert_eq!(pack.plain_bytes, 20_008);
}

#[test]
fn a_writer_begins_a_clean_pack_after_each_and_reuses_memory() {
    let mut writer = PackWriter::default();
    let len = ChunkLen::new(7).unwrap();
    writer.push(ChunkDigest::of(b"seawall"), len, b"seawall");
    let first = writer.finish(None);
    writer.push(ChunkDigest::of(b"other.."), len, b"other..");
    let second = writer.finish(Some(first.bytes.clone()));
    writer.push(ChunkDigest::of(b"seawall"), len, b"seawall");
    assert_eq!(writer.finish(Some(second.bytes)).bytes, first.bytes);
}

/// {flip a bit, truncate, swap} × every place. The pack is refused, or (zstd ignores some bits)
/// every chunk still decodes to its bytes.
#[test]
fn no_damage_changes_a_chunk_unseen() {
    let pack = pack_of(&[b"seawall", &b"sea ".repeat(200), b"x"]);
    let other = pack_of(&[b"another"]);
    let intact = VerifiedPack::verify(pack.digest, pack.bytes.clone()).unwrap();
    let frames = intact.frames();
    let mut unseen = 0;
    for bit in 0..pack.bytes.len() * 8 {
        let mut bad = pack.bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(verified) = VerifiedPack::verify(pack.digest, bad.into()) {
            assert_eq!(verified.frames(), frames, "bit {bit}");
            unseen += 1;
        }
    }
    assert!(unseen <= 1, "{unseen} bits of a pack mean nothing");
    for len in 0..pack.bytes.len() {
        assert!(
            VerifiedPack::verify(pack.digest, pack.bytes.slice(..len)).is_err(),
            "cut to {len}"
        );
    }
    let error = VerifiedPack::verify(pack.digest, other.bytes).unwrap_err();
    assert_eq!(error, PackError::Name { expected: pack.digest, actual: other.digest });
}

#[test]
fn a_pack_that_lies_about_a_chunk_is_refused() {
    let mut writer = PackWriter::default();
    let claimed = ChunkDigest::of(b"claimed");
    writer.push(claimed, ChunkLen::new(7).unwrap(), b"hostile");
    let pack = writer.finish(None);
    let error = VerifiedPack::verify(pack.digest, pack.bytes).unwrap_err();
    assert_eq!(error, PackError::Chunk { expected: claimed, actual: ChunkDigest::of(b"hostile") });
}

#[test]
fn the_end_of_a_pack_says_what_it_holds_and_no_damage_to_it_goes_unseen() {
    let pack = pack_of(&[b"seawall", &b"sea ".repeat(200), b"x"]);
    let (name, whole) = Footer::of_pack(&pack.bytes).unwrap();
    let read = |bytes: &[u8]| {
        let (body, trailer) = bytes.split_last_chunk().unwrap();
        let place = Footer::place(bytes.len() as u64, trailer)?;
        Footer::of_tail(name, &body[usize::try_from(place.start).unwrap()..], place.start)
    };
    assert_eq!(read(&pack.bytes), Ok(whole.clone()));
    let footer_start = usize::try_from(whole.frames().last().unwrap().range().end).unwrap();
    let digest_start = pack.bytes.len() - 32;
    for bit in footer_start * 8..digest_start * 8 {
        let mut bad = pack.bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bad).is_err(), "bit {bit}");
    }
    for len in TRAILER_LEN..pack.bytes.len() {
        assert!(read(&pack.bytes[..len]).is_err(), "cut to {len}");
    }
}
