//! Reads bytes as a pack: the footer, then every frame.
//!
//! The footer's digest guards the checks behind it, so a mutation alone never reaches them. The
//! target reads the bytes twice: unchanged, and with a correct digest, as a hostile uploader would
//! send them. Seeds: the golden pack of docs/FORMAT.md and packs of zstd frames, in
//! `fuzz/seeds/pack`.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use seawall_api::digest::PackDigest;
use seawall_api::index::ChunkRef;
use seawall_store::pack::{FRAMES_MAX, Footer, VerifiedPack};
use seawall_store::read::Prover;

const TRAILER_LEN: usize = 4 + 32;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if let Some(sealed) = seal(bytes) {
        check(&sealed);
    }
});

/// Returns the bytes with the correct digest of their footer.
fn seal(bytes: &[u8]) -> Option<Vec<u8>> {
    let body_len = bytes.len().checked_sub(TRAILER_LEN)?;
    let len: [u8; 4] = bytes[body_len..body_len + 4].try_into().ok()?;
    let start = body_len.checked_sub(usize::try_from(u32::from_le_bytes(len)).ok()?)?;
    let digest = PackDigest::of(&bytes[start..body_len]);
    let mut sealed = bytes.to_vec();
    sealed[body_len + 4..].copy_from_slice(digest.as_bytes());
    Some(sealed)
}

fn check(bytes: &[u8]) {
    let Ok((name, footer)) = Footer::of_pack(bytes) else { return };
    assert_eq!(PackDigest::of(&footer.encode()), name, "a pack is named after its footer");
    assert!(footer.frames().len() <= FRAMES_MAX);
    let mut prover = Prover::default();
    let mut at = footer.frames().first().map_or(0, |frame| frame.offset);
    let mut all_right = true;
    for frame in footer.frames() {
        let range = frame.range();
        assert_eq!(range.start, at, "frames lie one behind the other");
        at = range.end;
        let stored = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let stored = bytes.get(stored).expect("frames lie inside the pack");
        let chunk = ChunkRef { digest: frame.digest, len: frame.plain_len };
        match prover.prove(chunk, frame.encoding, stored) {
            Ok(proven) => assert_eq!(proven.plain.len(), usize::from(frame.plain_len)),
            Err(_) => all_right = false,
        }
    }
    let verified = VerifiedPack::verify(name, Bytes::copy_from_slice(bytes));
    assert_eq!(verified.is_ok(), all_right, "verified means that every chunk is what it says");
    let other = PackDigest::of(name.as_bytes());
    assert!(VerifiedPack::verify(other, Bytes::copy_from_slice(bytes)).is_err());
}
